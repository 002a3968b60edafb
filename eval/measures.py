"""Measures of single motions without their texts: a function and a line in `MOTION_MEASURES` each.

    values = raw_measures(samples, PosePrior.bundled())               # {"jitter_degree": [N], ...}
    labels = [measure.label for measure in suite_measures()]          # in the order of tables

A new measure is a function of `Motions` that returns a number for each, and a line in `MOTION_MEASURES`, or in code of
your own `register(MotionMeasure(...))`. Results, tables, intervals, reports and comparisons take it from there. A
measure marked as a `fault` counts in plausibility; then the calibration must know it, so run
`recipes/evaluator/calibrate.py`.

Shapes: N motions, T frames.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from motionmillion.eval.body.capsules import capsule_penetrations
from motionmillion.eval.body.pose_prior import PosePrior, pose_prior_distances
from motionmillion.eval.physics import physics_measures
from motionmillion.eval.prompts import Prompt
from motionmillion.eval.results import Better, Measure
from motionmillion.eval.statistics.calibration import BANDED, SPEED
from motionmillion.motion import Motion
from motionmillion.progress import tracked

TEXT, SMOOTH, PLAUSIBLE, MOVEMENT = "text alignment", "smoothness", "plausibility", "movement"


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


class Motions:
    """What measures read of samples; inputs that several of them share are computed once.

    Args:
        samples: N of them.
        pose_prior: rates the likelihood of poses.
    """

    def __init__(self, samples: Sequence[Sample], pose_prior: PosePrior) -> None:
        self.samples, self.pose_prior = samples, pose_prior
        self.motions = [sample.motion for sample in samples]
        self.positions = [sample.positions for sample in samples]

    @cached_property
    def physics(self) -> dict[str, np.ndarray]:
        """`physics_measures` of all motions, `[N]` by name."""
        rates, names = [motion.fps for motion in self.motions], [sample.id for sample in self.samples]
        return {name: v.numpy() for name, v in physics_measures(self.positions, "y", rates, names).items()}


@dataclass(frozen=True)
class MotionMeasure:
    """A measure of single motions.

    Args:
        measure: its name, label, better direction, axis and digits.
        values: computes it for all motions, `[N]`.
        fault: whether it counts in plausibility, as a fault that real motion has little of.
    """

    measure: Measure
    values: Callable[[Motions], np.ndarray]
    fault: bool = False


def _capsule_penetration(motions: Motions) -> np.ndarray:
    return capsule_penetrations(motions.positions).numpy()


def _pose_prior_distance(motions: Motions) -> np.ndarray:
    return pose_prior_distances(motions.motions, motions.pose_prior).numpy()


def _seconds(motions: Motions) -> np.ndarray:
    return np.array([motion.seconds for motion in motions.motions])


def _of_physics(name: str, label: str, better: Better, axis: str, digits: int, fault: bool = False) -> MotionMeasure:
    """One of `physics_measures`."""
    return MotionMeasure(Measure(name, label, better, axis, digits), lambda motions: motions.physics[name], fault)


MOTION_MEASURES: list[MotionMeasure] = [
    _of_physics("jitter_degree", "jitter degree (m/frame^2 at 20 fps)", "lower", SMOOTH, 4),
    _of_physics("jerk", "jerk (m/frame^3 at 20 fps)", "lower", SMOOTH, 4),
    _of_physics("dynamic_degree", "dynamic degree (m/frame at 20 fps)", "neither", MOVEMENT, 4),
    _of_physics("ground_penetration", "ground penetration (m)", "lower", PLAUSIBLE, 4, fault=True),
    _of_physics("foot_sliding", "foot sliding (m/frame at 20 fps)", "lower", PLAUSIBLE, 4, fault=True),
    _of_physics("foot_floating", "foot floating (fraction of frames)", "lower", PLAUSIBLE, 3, fault=True),
    _of_physics("foot_contact", "foot contact (fraction of feet)", "neither", MOVEMENT, 3),
    MotionMeasure(
        Measure("capsule_penetration", "capsule penetration (% of pairs)", "lower", PLAUSIBLE, 3),
        _capsule_penetration,
        fault=True,
    ),
    MotionMeasure(
        Measure("pose_prior_distance", "pose prior distance (degrees)", "lower", PLAUSIBLE, 2),
        _pose_prior_distance,
        fault=True,
    ),
    MotionMeasure(Measure("seconds", "length (s)", "neither", MOVEMENT, 2), _seconds),
]
FAULTS = tuple(own.measure.name for own in MOTION_MEASURES if own.fault)
CALIBRATED = (*BANDED, *FAULTS, SPEED)
"""Measures that a `Calibration` for the suites must contain."""

_SUMMARIES = (
    Measure("text_alignment_percent", "text alignment (%; chance 50)", "higher", TEXT, 1),
    Measure("retrieval_top1", "own text nearest in the suite", "higher", TEXT),
    Measure("retrieval_top3", "own text among the nearest three", "higher", TEXT),
    Measure("judge_match", "judged to match the text", "higher", TEXT),
    Measure("smoothness_percent", "smoothness (%)", "higher", SMOOTH, 1),
    Measure("plausibility_percent", "plausibility (%)", "higher", PLAUSIBLE, 1),
)
"""What `motionmillion.eval.scoring` and a judge add: they stand first on their axis."""


def register(measure: MotionMeasure) -> None:
    """Add a measure to those of every suite, in this process.

    Raises:
        ValueError: if its name is taken, and for a fault, which the bundled calibration does not know.
    """
    name = measure.measure.name
    taken = [known.name for known in suite_measures()]
    if name in taken:
        raise ValueError(f"name must be that of no other measure, got {name!r} beside {taken}")
    if measure.fault:
        raise ValueError(f"fault must be false, got true for {name!r}; for a fault add a line and calibrate again")
    MOTION_MEASURES.append(measure)


def suite_measures() -> list[Measure]:
    """All measures of single motions, by axis: those of the texts first, in each axis summaries first."""
    measures = [*_SUMMARIES, *(own.measure for own in MOTION_MEASURES)]
    axes = list(dict.fromkeys([TEXT, SMOOTH, PLAUSIBLE, MOVEMENT, *(measure.axis for measure in measures)]))
    return sorted(measures, key=lambda measure: axes.index(measure.axis))


def raw_measures(samples: Sequence[Sample], pose_prior: PosePrior) -> dict[str, np.ndarray]:
    """The measures of samples: `[N]` by name, not calibrated."""
    motions = Motions(samples, pose_prior)
    return {own.measure.name: own.values(motions) for own in tracked(MOTION_MEASURES, "measuring", "measures")}
