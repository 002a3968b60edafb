"""Cycles of a given speed: a loop of a walk or run, made faster or slower.

    loop = cycle(walk, speed=1.4)               # or walk.cycle(1.4), which returns loop.motion
    loop.speed                                  # 1.4

Half of the change (as a factor) comes from longer or shorter steps, half from quicker or slower ones, as people do it.
Feet stay where they touch the floor (`motionmillion.kinematics.warping`).
"""

import dataclasses
import math

import torch

from motionmillion.kinematics.loops import Loop, LoopOptions, find_loop, from_company, in_company
from motionmillion.kinematics.repair import check_skeleton
from motionmillion.kinematics.roots import floor_path
from motionmillion.kinematics.warping import warped
from motionmillion.motion import Motion

MOST_CHANGE = 1.6
"""Largest factor between the speed of a motion and that of a cycle made from it."""
_SLOWEST = 0.1
"""Metres per second below which a body does not move along."""


def cycle(motion: Motion, speed: float, options: LoopOptions | None = None) -> Loop:
    """The best loop of a motion, at a mean speed along the floor.

    Args:
        motion: a motion on SMPL22's joints.
        speed: metres per second.
        options: of the loop.

    Raises:
        ValueError: for a motion without a loop or one that stays in place, another skeleton, and a speed that differs
            from that of the loop by more than `MOST_CHANGE`.
    """
    if not (math.isfinite(speed) and speed > 0):
        raise ValueError(f"speed must be a positive number of metres per second, got {speed!r}; use loop for a rest")
    loop = find_loop(check_skeleton(motion), options)
    own = loop.speed
    if own < _SLOWEST:
        raise ValueError(
            f"motion must move along the floor to be a cycle of {speed:g} m/s, got {own:.2f} m/s in its loop; use loop"
        )
    factor = speed / own
    if not 1 / MOST_CHANGE <= factor <= MOST_CHANGE:
        raise ValueError(
            f"speed must be in {own / MOST_CHANGE:.2f} to {own * MOST_CHANGE:.2f} m/s for a motion of {own:.2f} m/s, "
            f"got {speed:g}; feet would slide, so take another motion"
        )
    # a whole number of frames, the rest by the length of the steps
    frames = max(round(loop.motion.num_frames / math.sqrt(factor)), 4)
    quicker = loop.motion.num_frames / frames
    return _quicker(_longer(loop, factor / quicker), frames)


def _longer(loop: Loop, factor: float) -> Loop:
    """The loop with steps `factor` times as long."""
    many, around = in_company(loop)
    base = floor_path(many)
    start = base[around * loop.motion.num_frames]
    many = warped(many, base, start + factor * (base - start), torch.zeros(len(base)))
    x, z = loop.displacement
    longer = dataclasses.replace(loop, displacement=(factor * x, factor * z))
    return dataclasses.replace(longer, motion=from_company(longer, many, around))


def _quicker(loop: Loop, frames: int) -> Loop:
    """The loop in so many frames."""
    fps = loop.motion.fps
    closed = loop.closed.replace(fps=fps * loop.motion.num_frames / frames).resample(fps)
    return dataclasses.replace(loop, motion=closed.slice(0, frames))
