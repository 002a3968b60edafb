"""Two-bone inverse kinematics: a thigh and shin, or an upper and lower arm, that end at a given place.

    turns = reach(start, middle, end, goal, ahead)
    upper, lower = turns.upper @ upper, turns.lower @ lower

The middle joint stays on the side of the limb where it is. Bones keep their lengths; a goal that is too far is reached
as nearly as it can be, and `short` says by how much it was missed.

Shapes: T frames.
"""

from typing import NamedTuple

import numpy as np

from motionmillion.kinematics.rotations import rotate, swing, unit

_LONGEST, _SHORTEST = 0.9998, 1.02
"""The share of both bones' length that a limb spans at most, and of the difference of their lengths at least."""
_AHEAD = 0.01
"""How much a limb that is straight counts on `ahead` to know where it bends, in lengths of the limb."""


class Reach(NamedTuple):
    """Rotations `[T, 3, 3]` to put on the left of those of the two bones, and the distance `[T]` that is missing."""

    upper: np.ndarray
    lower: np.ndarray
    short: np.ndarray


def reach(start: np.ndarray, middle: np.ndarray, end: np.ndarray, goal: np.ndarray, ahead: np.ndarray) -> Reach:
    """Turn two bones so that they end at `goal`.

    Args:
        start, middle, end: positions `[T, 3]` of the limb's joints.
        goal: where `end` is to be, `[T, 3]`.
        ahead: directions `[T, 3]` towards which the middle joint bends.
    """
    first, second = middle - start, end - middle
    lengths = np.linalg.norm(first, axis=-1), np.linalg.norm(second, axis=-1)
    whole = lengths[0] + lengths[1]
    now, wanted = end - start, goal - start
    distance = np.linalg.norm(wanted, axis=-1)
    span = np.clip(distance, np.abs(lengths[0] - lengths[1]) * _SHORTEST + 1e-3 * whole, whole * _LONGEST)
    # the limb as it is, turned towards the goal, tells the side on which the middle joint is
    turn = swing(now, wanted)
    line = unit(wanted)
    pole = rotate(turn, first + _AHEAD * whole[:, None] * unit(ahead))
    pole = unit(pole - line * (pole * line).sum(-1, keepdims=True))
    along = (lengths[0] ** 2 - lengths[1] ** 2 + span**2) / (2 * span)
    aside = np.sqrt(np.maximum(lengths[0] ** 2 - along**2, 0.0))
    bend = start + line * along[:, None] + pole * aside[:, None]
    tip = start + line * span[:, None]
    upper = swing(rotate(turn, first), bend - start) @ turn
    lower = swing(rotate(upper, second), tip - bend) @ upper
    return Reach(upper, lower, np.abs(distance - span))
