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

The raw measures behind the last two are reported too. Identical texts count as one.

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

from motionmillion.eval.body.capsules import capsule_penetrations
from motionmillion.eval.body.mesh import BodyMesh
from motionmillion.eval.body.nrdf import Nrdf
from motionmillion.eval.body.pose_prior import PosePrior, pose_prior_distances
from motionmillion.eval.evaluator.model import TextMotionEvaluator
from motionmillion.eval.physics import physics_measures
from motionmillion.eval.prompts import Prompt
from motionmillion.eval.results import Estimate, Measure, SampleResult
from motionmillion.eval.statistics.bootstrap import bootstrap_intervals
from motionmillion.eval.statistics.calibration import BANDED, SPEED, Calibration
from motionmillion.motion import Motion

TEXT, SMOOTH, PLAUSIBLE, MOVEMENT = "text alignment", "smoothness", "plausibility", "movement"

MEASURES = (
    Measure("text_alignment_percent", "text alignment (%; chance 50)", "higher", TEXT, 1),
    Measure("retrieval_top1", "own text nearest in the suite", "higher", TEXT),
    Measure("retrieval_top3", "own text among the nearest three", "higher", TEXT),
    Measure("judge_match", "judged to match the text", "higher", TEXT),
    Measure("smoothness_percent", "smoothness (%)", "higher", SMOOTH, 1),
    Measure("jitter_degree", "jitter degree (m/frame^2 at 20 fps)", "lower", SMOOTH, 4),
    Measure("jerk", "jerk (m/frame^3 at 20 fps)", "lower", SMOOTH, 4),
    Measure("plausibility_percent", "plausibility (%)", "higher", PLAUSIBLE, 1),
    Measure("ground_penetration", "ground penetration (m)", "lower", PLAUSIBLE, 4),
    Measure("foot_sliding", "foot sliding (m/frame at 20 fps)", "lower", PLAUSIBLE, 4),
    Measure("foot_floating", "foot floating (fraction of frames)", "lower", PLAUSIBLE, 3),
    Measure("capsule_penetration", "capsule penetration (% of pairs)", "lower", PLAUSIBLE, 3),
    Measure("pose_prior_distance", "pose prior distance (degrees)", "lower", PLAUSIBLE, 2),
    Measure("dynamic_degree", "dynamic degree (m/frame at 20 fps)", "neither", MOVEMENT, 4),
    Measure("foot_contact", "foot contact (fraction of feet)", "neither", MOVEMENT, 3),
    Measure("seconds", "length (s)", "neither", MOVEMENT, 2),
)
FAULTS = ("ground_penetration", "foot_sliding", "foot_floating", "capsule_penetration", "pose_prior_distance")
CALIBRATED = (*BANDED, *FAULTS, SPEED)
"""Measures that a `Calibration` for the suites must contain."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A motion and what it should show.

    Args:
        id: unique among the samples; equal to the prompt's id for its first sample.
        motion: input of the evaluator and the judges.
        positions: `[T, 22, 3]` at the motion's frame rate, y up, metres: input of the physical measures.
        file: path of the motion relative to the results, "" for none.
        take: samples of one take are not independent: the prompt's id, or a recording.
    """

    id: str
    prompt: Prompt
    motion: Motion
    positions: Tensor
    file: str = ""
    take: str = ""


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
        values = {**text_alignment(embedded, [s.prompt.text for s in samples]), **self.physics(samples)}
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


def raw_measures(samples: Sequence[Sample], pose_prior: PosePrior) -> dict[str, np.ndarray]:
    """Physics, poses and length of samples: `[N]` by measure, not calibrated."""
    clips, rates = [sample.positions for sample in samples], [sample.motion.fps for sample in samples]
    values = {n: v.numpy() for n, v in physics_measures(clips, "y", rates, [s.id for s in samples]).items()}
    values["capsule_penetration"] = capsule_penetrations(clips).numpy()
    values["pose_prior_distance"] = pose_prior_distances([s.motion for s in samples], pose_prior).numpy()
    values["seconds"] = np.array([sample.motion.seconds for sample in samples])
    return values


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
