"""Metrics of text-to-motion: retrieval, distances to real motion, diversity.

scores = text_to_motion_scores(batch, real) # against the real motions of the same captions
"""

from collections.abc import Callable

import torch
from torch import Tensor

from motionmillion.eval.distribution import diversity, frechet_distance, matching_distance, multimodality
from motionmillion.eval.measures import TEXT, suite_measures
from motionmillion.eval.results import EVERYTHING, Estimate, Measure, ResultGroup
from motionmillion.eval.statistics.intervals import bootstrap, repeated
from motionmillion.eval.suites.scores import (
    CALIBRATION_NOTE,
    Batch,
    Scores,
    _grouped,
    _samples_of_prompts,
    _with_retrieval,
)

REAL = "real motion"

MATCHING = Measure("matching_distance", "MM-Dist", "lower", TEXT)
DISTRIBUTION = (
    Measure("frechet_distance", "FID", "lower", "distribution", 4),
    Measure("diversity", "diversity", "neither", "distribution"),
    Measure("multimodality", "multimodality", "neither", "distribution"),
)


def text_to_motion_scores(batch: Batch, real: Batch) -> Scores:
    """The usual metrics against real motions of the same captions; those of the real motions are a separate group."""
    measures = suite_measures()
    names = [measure.name for measure in measures]
    scores = Scores(measures, [])
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
    """Embeddings `[P, S, E]` of several motions per prompt; None if there is only one, or their numbers differ."""
    rows = _samples_of_prompts(batch)
    counts = {len(members) for members in rows.values()}
    if counts == {1} or len(counts) != 1:
        return None
    return batch.embedded.motions[torch.tensor(list(rows.values()))]
