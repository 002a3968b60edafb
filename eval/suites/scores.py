"""Scores of measured motions: measures, groups and notes.

    scores = category_scores(batch)             # motionmillion-eval: by category and level

Scores specific to a suite are in `.text_to_motion.scores` and `.mbench.scores`. A `Batch` holds the measurements of
`motionmillion.eval.scoring`. Judges' answers are among the values of single samples.

Unusual: a metric that needs more motions than there are is left out, and a note says so; nothing is filled in.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from motionmillion.eval.distribution import r_precision
from motionmillion.eval.measures import CALIBRATED, TEXT, Sample, suite_measures
from motionmillion.eval.prompts import Suite
from motionmillion.eval.results import EVERYTHING, Estimate, Measure, ResultGroup, SampleResult
from motionmillion.eval.scoring import FEWEST_TEXTS, Embedded, estimates
from motionmillion.eval.statistics.calibration import Calibration
from motionmillion.eval.statistics.intervals import repeated

BATCH = 32
CALIBRATION_NOTE = (
    "Over the clips of the calibration smoothness averages 50 and plausibility 75; real motion of other people may "
    "lie off."
)

PRECISION = tuple(
    Measure(f"r_precision_top{k}", f"R-precision top {k} of {BATCH} (chance {k / BATCH:.3f})", "higher", TEXT)
    for k in (1, 2, 3)
)


@dataclass(frozen=True, eq=False)
class Batch:
    """Measured motions.

    Args:
        suite: the suite with their prompts.
        samples, rows: each motion and its measures, in the same order.
        embedded: embeddings of motions and texts.
        resamples, repeats, seed: settings of the intervals.
    """

    suite: Suite
    samples: Sequence[Sample]
    rows: Sequence[SampleResult]
    embedded: Embedded
    resamples: int = 2000
    repeats: int = 20
    seed: int = 0

    @property
    def takes(self) -> dict[str, str]:
        return {sample.id: sample.take for sample in self.samples}

    def means(self, names: Sequence[str], rows: Sequence[SampleResult] | None = None) -> dict[str, Estimate]:
        """Estimates over `rows`, by default all."""
        return estimates(self.rows if rows is None else rows, self.takes, names, self.resamples, self.seed)


@dataclass
class Scores:
    """The scores in the results of a suite."""

    measures: list[Measure]
    groups: list[ResultGroup]
    notes: list[str] = field(default_factory=list)


def category_scores(batch: Batch) -> Scores:
    """Text alignment, smoothness and plausibility by category and level."""
    measures = suite_measures()
    names = [measure.name for measure in measures]
    groups = [ResultGroup(EVERYTHING, "all", len(batch.rows), batch.means(names))]
    categories = {p.id: p.category for p in batch.suite.prompts}
    groups += _grouped(batch, "category", categories, batch.suite.categories, names)
    levels = {p.id: p.level for p in batch.suite.prompts if p.level}
    groups += _grouped(batch, "level", levels, batch.suite.levels, names)
    notes = [
        "Intervals: percentile bootstrap over prompts, or over recordings where prompts are clips of them; of "
        f"R-precision the interval of {batch.repeats} redraws of its batches, which says nothing of other prompts.",
        "Text alignment is what the evaluator sees; it knows the movements that it was trained on.",
        CALIBRATION_NOTE,
    ]
    texts = len({sample.prompt.text for sample in batch.samples})
    if texts < FEWEST_TEXTS:
        notes.append(f"Text alignment is left out: it needs motions of {FEWEST_TEXTS} different texts, got {texts}.")
    return _with_retrieval(Scores(measures, groups, notes), batch)


def histograms(rows: Sequence[SampleResult], calibration: Calibration) -> dict[str, dict[str, list[float]]]:
    """Distributions of real motion, for the measures that the samples have."""
    known = {name for row in rows for name in row.values}
    return {
        name: calibration.histogram(name) for name in CALIBRATED if name in known and name in calibration.quantiles
    }


def _grouped(
    batch: Batch, kind: str, of: Mapping[str, str], order: Sequence[str], names: Sequence[str]
) -> list[ResultGroup]:
    """A group for each name in `order`, with the samples whose prompt has that name."""
    members: dict[str, list[SampleResult]] = defaultdict(list)
    for sample, row in zip(batch.samples, batch.rows, strict=True):
        members[of.get(sample.prompt.id, "")].append(row)
    return [
        ResultGroup(name, kind, len(members[name]), batch.means(names, members[name]))
        for name in order
        if members[name]
    ]


def _with_retrieval(scores: Scores, batch: Batch, group: int = 0) -> Scores:
    """`scores` with R-precision added to one of its groups, or a note that there are too few prompts for it.

    A repeat uses one motion per prompt: a second one would be a wrong answer to its own text.
    """
    samples = list(_samples_of_prompts(batch).values())
    if len(samples) < BATCH:
        note = f"R-precision is left out: it needs motions of {BATCH} prompts, got {len(samples)}."
        scores.notes += [] if note in scores.notes else [note]
        return scores

    def measure(seed: int) -> dict[int, float]:
        rows = torch.tensor([members[(seed - batch.seed) % len(members)] for members in samples])
        return r_precision(batch.embedded.texts[rows], batch.embedded.motions[rows], BATCH, seed)

    found = repeated(measure, batch.repeats, batch.seed)
    old = scores.groups[group]
    values = {f"r_precision_top{k}": estimate for k, estimate in found.items()}
    scores.groups[group] = ResultGroup(old.name, old.kind, old.count, {**values, **old.values})
    if PRECISION[0] not in scores.measures:
        first_other = next(i for i, measure in enumerate(scores.measures) if measure.axis != TEXT)
        scores.measures[first_other:first_other] = PRECISION
    return scores


def _samples_of_prompts(batch: Batch) -> dict[str, list[int]]:
    """Places of the motions of each prompt."""
    rows: dict[str, list[int]] = defaultdict(list)
    for index, sample in enumerate(batch.samples):
        rows[sample.prompt.id].append(index)
    return rows
