"""Measures of every motion with a prompt, independent of the suite.

    scorer = Scorer(evaluator, Calibration.bundled(), PosePrior.bundled())
    rows = scorer.rows(samples)                               # [SampleResult, ...]
    values = estimates(rows, names, takes)                    # {"jitter_degree": Estimate(...), ...}

| axis | per motion | how |
|---|---|---|
| text alignment | `text_alignment_percent` | percentage of the suite's other texts farther from it than its own |
| | `retrieval_top1`, `retrieval_top3` | whether its own text is the nearest of the suite, or among three |
| smoothness | `smoothness_percent` | mean of how typical acceleration and jerk are at this speed |
| plausibility | `plausibility_percent` | mean over five faults, compared with real motion; 0 for statues |

The raw measures behind the last two (`motionmillion.eval.measures`) are reported too. Identical texts count as one.

Unusual: smoothness is two-sided, so motion far smoother than real motion scores as low as jittery motion. The faults
of plausibility are one-sided, and nothing slides less than a statue, so motion that hardly moves is reduced to 0 there
too. The raw measures have no such correction: read them together with `dynamic_degree`.

Shapes: N motions, E embedding size, T frames.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from motionmillion.eval.body.mesh import BodyMesh
from motionmillion.eval.body.nrdf import Nrdf
from motionmillion.eval.body.pose_prior import PosePrior
from motionmillion.eval.evaluator.model import TextMotionEvaluator
from motionmillion.eval.measures import CALIBRATED, FAULTS, Sample, raw_measures
from motionmillion.eval.results import Estimate, SampleResult
from motionmillion.eval.statistics.bootstrap import bootstrap_intervals
from motionmillion.eval.statistics.calibration import BANDED, SPEED, Calibration

__all__ = [
    "CALIBRATED",
    "FAULTS",
    "Embedded",
    "Sample",
    "Scorer",
    "estimates",
    "raw_measures",
    "text_alignment",
]

FEWEST_TEXTS = 5
"""Different texts of a suite below which text alignment is left out."""


@dataclass(frozen=True, eq=False)
class Embedded:
    """Embeddings of samples `[N, E]` and of their texts `[N, E]`."""

    motions: Tensor
    texts: Tensor


class Scorer:
    """Measures motions.

    Args:
        evaluator: embeds texts and motions.
        calibration: distribution of real motion.
        pose_prior: rates the likelihood of poses.
        nrdf, body: for MBench's own pose quality and body penetration, if available.
    """

    def __init__(
        self,
        evaluator: TextMotionEvaluator,
        calibration: Calibration,
        pose_prior: PosePrior,
        nrdf: Nrdf | None = None,
        body: BodyMesh | None = None,
    ) -> None:
        self.evaluator, self.calibration, self.pose_prior = evaluator, calibration, pose_prior
        self.nrdf, self.body = nrdf, body

    def embed(self, samples: Sequence[Sample]) -> Embedded:
        """Embed motions and texts."""
        return Embedded(
            self.evaluator.embed_motions([sample.motion for sample in samples]),
            self.evaluator.embed_texts([sample.prompt.text for sample in samples]),
        )

    def rows(self, samples: Sequence[Sample], embedded: Embedded) -> list[SampleResult]:
        """All measures of all samples."""
        texts = [sample.prompt.text for sample in samples]
        # among a few texts, any motion is near its own
        values = text_alignment(embedded, texts) if len(set(texts)) >= FEWEST_TEXTS else {}
        values |= self.physics(samples)
        return [
            SampleResult(
                id=sample.id,
                prompt=sample.prompt.text,
                category=sample.prompt.category,
                motion=sample.file,
                frames=sample.motion.num_frames,
                fps=sample.motion.fps,
                values={name: float(column[index]) for name, column in values.items()},
            )
            for index, sample in enumerate(samples)
        ]

    def physics(self, samples: Sequence[Sample]) -> dict[str, np.ndarray]:
        """All measures without texts: `[N]` by measure."""
        values = raw_measures(samples, self.pose_prior)
        speeds = values[SPEED].tolist()
        typical = [self.calibration.typical(name, values[name].tolist(), speeds) for name in BANDED]
        unharmful = [self.calibration.unharmful(name, values[name].tolist()) for name in FAULTS]
        moving = self.calibration.moving(SPEED, speeds)
        return {
            "smoothness_percent": 100 * np.mean(typical, axis=0),
            "plausibility_percent": 100 * np.mean(unharmful, axis=0) * moving,
            **values,
        }


def text_alignment(embedded: Embedded, texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Retrieval of each motion's `[N]` own text among all texts of the suite; a tie counts for the other text.

    Raises:
        ValueError: if all texts are the same.
    """
    different = list(dict.fromkeys(texts))
    if len(different) < 2:
        raise ValueError(f"prompts must hold at least two different texts to tell apart, got {len(different)}")
    points = embedded.texts[[texts.index(text) for text in different]].double()
    distances = torch.cdist(embedded.motions.double(), points)  # [N, texts]
    own = torch.tensor([different.index(text) for text in texts])[:, None]
    ahead = (distances <= distances.gather(1, own)).sum(1).numpy() - 1  # number of texts at most as far away
    return {
        "text_alignment_percent": 100 * (1 - ahead / (len(different) - 1)),
        "retrieval_top1": (ahead < 1).astype(float),
        "retrieval_top3": (ahead < 3).astype(float),
    }


def estimates(
    rows: Sequence[SampleResult],
    takes: Mapping[str, str],
    names: Sequence[str],
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Means over samples with 95 % bootstrap intervals over whole takes.

    Args:
        takes: take of each sample by sample id.
        names: measures; a mean is over the samples with a value.
    """
    found = {}
    for name in names:
        with_it = [row for row in rows if name in row.values]
        if not with_it:
            continue
        values = np.array([[row.values[name]] for row in with_it])
        own = [takes[row.id] for row in with_it]
        bounds = bootstrap_intervals(values, np.ones(len(values)), own, resamples, seed)
        low, high = (None, None) if bounds is None else bounds[0].tolist()
        found[name] = Estimate(float(values.mean()), low, high, len(values))
    return found
