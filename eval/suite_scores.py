"""Scores of each suite: its measures, groups and notes.

    scores = category_scores(batch)             # motionmillion-eval: by category and level
    scores = text_to_motion_scores(batch, real) # compared with the real motions of the same captions
    scores = mbench_scores(batch)               # nine dimensions

A `Batch` holds the measurements of `motionmillion.eval.scoring`. Judges' answers are values of single samples.

Unusual: a measure that needs more motions than there are is omitted, with a note.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from motionmillion.eval.calibration import Calibration
from motionmillion.eval.distribution import diversity, frechet_distance, matching_distance, multimodality, r_precision
from motionmillion.eval.intervals import bootstrap, repeated
from motionmillion.eval.results import EVERYTHING, Estimate, Measure, ResultGroup, SampleResult
from motionmillion.eval.scoring import CALIBRATED, MEASURES, TEXT, Embedded, Sample, estimates
from motionmillion.eval.suites.base import Suite
from motionmillion.eval.suites.mbench import MBENCH_CATEGORIES, MBENCH_DIMENSIONS

BATCH = 32
REAL = "real motion"
CALIBRATION_NOTE = (
    "Over the clips of the calibration smoothness averages 50 and plausibility 75; real motion of other people may "
    "deviate."
)

PRECISION = tuple(
    Measure(f"r_precision_top{k}", f"R-precision top {k} of {BATCH} (chance {k / BATCH:.3f})", "higher", TEXT)
    for k in (1, 2, 3)
)
MATCHING = Measure("matching_distance", "MM-Dist", "lower", TEXT)
DISTRIBUTION = (
    Measure("frechet_distance", "FID", "lower", "distribution", 4),
    Measure("diversity", "diversity", "neither", "distribution"),
    Measure("multimodality", "multimodality", "neither", "distribution"),
)
MBENCH = (
    Measure("Motion_Condition_Consistency", "Motion Condition Consistency (1 of 10)", "higher", "condition"),
    Measure("Motion_Generalizability", "Motion Generalizability (yes/no)", "higher", "generalisation"),
    Measure("Jitter_Degree", "Jitter Degree (m/frame^2)", "lower", "quality", 4),
    Measure("Ground_Penetration", "Ground Penetration (m)", "lower", "quality", 4),
    Measure("Foot_Floating", "Foot Floating (fraction of frames)", "lower", "quality"),
    Measure("Foot_Sliding", "Foot Sliding (m/frame)", "lower", "quality", 4),
    Measure("Dynamic_Degree", "Dynamic Degree (m/frame)", "higher", "quality", 4),
    Measure("Body_Penetration", "Body Penetration (SMPL mesh)", "lower", "quality"),
    Measure("Pose_Quality", "Pose Quality (NRDF x 10)", "lower", "quality"),
    Measure("capsule_penetration", "capsule penetration (ours)", "lower", "quality"),
    Measure("pose_prior_distance", "pose prior distance (ours, degrees)", "lower", "quality", 2),
)
MBENCH_STAND_INS = {"Body_Penetration": "capsule_penetration", "Pose_Quality": "pose_prior_distance"}
"""Replacements for dimensions whose files are missing, under other names because they are different measures."""
MBENCH_PHYSICS = {
    "Jitter_Degree": "jitter_degree",
    "Ground_Penetration": "ground_penetration",
    "Foot_Floating": "foot_floating",
    "Foot_Sliding": "foot_sliding",
    "Dynamic_Degree": "dynamic_degree",
}


@dataclass(frozen=True, eq=False)
class Batch:
    """Measured motions.

    Args:
        suite: their prompts.
        samples, rows: each motion and its measures, in the same order.
        embedded: embeddings of motions and texts.
        resamples, repeats, seed: for the intervals.
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
        """Estimates over `rows`, or all."""
        return estimates(self.rows if rows is None else rows, self.takes, names, self.resamples, self.seed)


@dataclass
class Scores:
    """Content of a suite's results."""

    measures: list[Measure]
    groups: list[ResultGroup]
    notes: list[str] = field(default_factory=list)


def category_scores(batch: Batch) -> Scores:
    """Text alignment, smoothness and plausibility by category and level."""
    names = [measure.name for measure in MEASURES]
    groups = [ResultGroup(EVERYTHING, "all", len(batch.rows), batch.means(names))]
    categories = {p.id: p.category for p in batch.suite.prompts}
    groups += _grouped(batch, "category", categories, batch.suite.categories, names)
    levels = {p.id: p.level for p in batch.suite.prompts if p.level}
    groups += _grouped(batch, "level", levels, batch.suite.levels, names)
    notes = [
        "Intervals: percentile bootstrap over prompts, or over recordings where prompts are clips of them; of "
        f"R-precision the interval of {batch.repeats} redraws of its batches, not over the choice of prompts.",
        "Text alignment depends on the evaluator, which is reliable only for movements like its training data.",
        CALIBRATION_NOTE,
    ]
    return _with_retrieval(Scores(list(MEASURES), groups, notes), batch)


def text_to_motion_scores(batch: Batch, real: Batch) -> Scores:
    """The usual measures against real motions of the same captions, which form a group of their own."""
    names = [measure.name for measure in MEASURES]
    scores = Scores([*MEASURES], [])
    for name, one in ((EVERYTHING, batch), (REAL, real)):
        values = one.means(names) | _distances(one, real)
        scores.groups.append(ResultGroup(name, "all" if one is batch else "reference", len(one.rows), values))
    categories = {p.id: p.category for p in batch.suite.prompts}
    scores.groups += _grouped(batch, "category", categories, batch.suite.categories, names)
    scores.measures[1:1] = [MATCHING, *DISTRIBUTION]
    scores.notes.append(CALIBRATION_NOTE)
    scores = _with_retrieval(_with_retrieval(scores, batch), real, 1)
    scores.notes += [
        "FID and MM-Dist: bootstrap over recordings. R-precision, diversity and multimodality: mean of "
        f"{batch.repeats} repeats of their random draws and its interval. The others: bootstrap over recordings.",
        f"FID of {len(batch.rows)} against {len(real.rows)} motions is biased upwards; compare it only between "
        "equally many motions and with the same evaluator.",
    ]
    return scores


def mbench_scores(batch: Batch) -> Scores:
    """Nine dimensions, each over its own prompts; in a custom suite, all over all prompts."""
    categories = {prompt.id: prompt.category for prompt in batch.suite.prompts}
    published = set(categories.values()) <= set(MBENCH_CATEGORIES)
    values: dict[str, Estimate] = {}
    by_category: dict[str, dict[str, Estimate]] = defaultdict(dict)
    for measure in MBENCH:
        dimension = next((d for d, stand_in in MBENCH_STAND_INS.items() if stand_in == measure.name), measure.name)
        category = MBENCH_DIMENSIONS[dimension]
        rows = [r for r in batch.rows if not published or r.category == category]
        found = batch.means([measure.name], rows)
        values |= found
        if found and published:
            by_category[category] |= found
    groups = [ResultGroup(EVERYTHING, "all", len(batch.rows), values)]
    for category in batch.suite.categories:
        rows = [row for row in batch.rows if row.category == category]
        own = by_category[category] if published else batch.means([m.name for m in MBENCH], rows)
        if rows:
            groups.append(ResultGroup(category, "category", len(rows), own))
    measures = [measure for measure in MBENCH if measure.name in values]
    notes = ["Low jitter means little if the dynamic degree is low too."]
    for dimension, stand_in in MBENCH_STAND_INS.items():
        if dimension not in values:
            notes.append(f"{stand_in} replaces {dimension}, whose files were not given; it is a different measure.")
    if not published:
        notes.append("The prompts are not MBench's: every dimension is measured on all of them.")
    return Scores(measures, groups, notes)


def histograms(rows: Sequence[SampleResult], calibration: Calibration) -> dict[str, dict[str, list[float]]]:
    """Distribution of real motion for the measures of the samples."""
    known = {name for row in rows for name in row.values}
    return {
        name: calibration.histogram(name) for name in CALIBRATED if name in known and name in calibration.quantiles
    }


def _grouped(
    batch: Batch, kind: str, of: Mapping[str, str], order: Sequence[str], names: Sequence[str]
) -> list[ResultGroup]:
    """A group for each name in `order`, of the samples whose prompt has it."""
    members: dict[str, list[SampleResult]] = defaultdict(list)
    for sample, row in zip(batch.samples, batch.rows, strict=True):
        members[of.get(sample.prompt.id, "")].append(row)
    return [
        ResultGroup(name, kind, len(members[name]), batch.means(names, members[name]))
        for name in order
        if members[name]
    ]


def _with_retrieval(scores: Scores, batch: Batch, group: int = 0) -> Scores:
    """`scores` with R-precision in one of its groups, or a note that there are too few prompts for it.

    A repeat uses one motion per prompt: a second one would count as wrong for its own text.
    """
    samples = list(_samples_of_prompts(batch).values())
    if len(samples) < BATCH:
        note = f"R-precision is omitted: it needs motions of {BATCH} prompts, got {len(samples)}."
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


def _distances(batch: Batch, real: Batch) -> dict[str, Estimate]:
    """MM-Dist, FID, diversity and multimodality of a batch."""
    text, motion = batch.embedded.texts, batch.embedded.motions
    takes = [sample.take for sample in batch.samples]
    resamples = min(batch.resamples, 200)
    found = {
        "matching_distance": bootstrap(
            lambda rows: matching_distance(text[rows], motion[rows]), takes, resamples, batch.seed
        ),
        "diversity": repeated(_diversity(motion), batch.repeats, batch.seed),
    }
    if batch is not real:
        known = real.embedded.motions
        found["frechet_distance"] = bootstrap(
            lambda rows: frechet_distance(motion[rows], known), takes, resamples, batch.seed, (0.0, float("inf"))
        )
    several = _by_prompt(batch)
    if several is not None:
        pairs = min(10, several.shape[1])
        found["multimodality"] = repeated(lambda seed: multimodality(several, pairs, seed), batch.repeats, batch.seed)
    return found


def _diversity(motion: Tensor) -> Callable[[int], float]:
    return lambda seed: diversity(motion, min(300, len(motion)), seed)


def _by_prompt(batch: Batch) -> Tensor | None:
    """Embeddings `[P, S, E]` of several motions of each prompt; None if there is only one, or their numbers differ."""
    rows = _samples_of_prompts(batch)
    counts = {len(members) for members in rows.values()}
    if counts == {1} or len(counts) != 1:
        return None
    return batch.embedded.motions[torch.tensor(list(rows.values()))]


def _samples_of_prompts(batch: Batch) -> dict[str, list[int]]:
    """Indices of the motions of each prompt."""
    rows: dict[str, list[int]] = defaultdict(list)
    for index, sample in enumerate(batch.samples):
        rows[sample.prompt.id].append(index)
    return rows
