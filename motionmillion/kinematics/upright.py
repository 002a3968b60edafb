"""Which axis of a clip is vertical: found from joint positions of the whole clip.

    found = find_up(positions, expected="z")              # [T, 22, 3], in the axes of the file, any unit
    positions = positions @ UP_TURNS[found.axis].T        # y up

File formats rarely state their vertical axis, and each has one by convention. `find_up` compares the axis that the
format lets expect with the others, over all frames:

1. A frame is upright about an axis if the trunk (pelvis to neck) is within 45 degrees of it, or if the legs stand
   along it and the trunk does not hang down. If most frames are upright about the expected axis, it is right.
2. If more frames are upright about another axis, the floor decides. The clip stands about the other axis if the feet
   are the lowest joints and return to one height, and if it cannot be lying about the expected one: the lowest joint
   and the pelvis do not keep their heights, or the pelvis moves sideways further than by rolling, or the feet are at
   height 0 about the other axis only. This is certain.
3. Everything else is a person who may really lie (sleeping, push-ups, swimming, crawling, getting up): uncertain, and
   the expected axis is kept.

Unusual: pure NumPy; lengths are relative to the legs, so that the unit of the file does not matter. A clip upside down
in all frames counts as one with its axis reversed, as in the coordinates of a camera, unless it stands on the hands.

Shapes: T frames.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from motionmillion.skeleton import SMPL22

UP_TURNS: dict[str, np.ndarray] = {
    "y": np.eye(3),
    "z": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]),
    "-y": np.diag([1.0, -1.0, -1.0]),
    "-z": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]),
}
"""Vertical axis -> rotation matrix from the axes of the file to y up; "-y" is the y axis pointing down."""

_NAMES = SMPL22.names
_PELVIS, _NECK = _NAMES.index("pelvis"), _NAMES.index("neck")
_HIPS = [_NAMES.index("left_hip"), _NAMES.index("right_hip")]
_ANKLES = [_NAMES.index("left_ankle"), _NAMES.index("right_ankle")]
_SOLES = [*_ANKLES, _NAMES.index("left_foot"), _NAMES.index("right_foot")]
_HANDS = [*(_NAMES.index(f"{side}_{part}") for side in ("left", "right") for part in ("wrist", "elbow"))]
_TRUNK_COSINE = 0.7071
_LEGS_COSINE = 0.85
_MOST, _FEW = 0.8, 0.1
"""Fractions of frames."""
_LEVEL = 0.3
_FLOOR_LOST = 0.6
_TRAVEL = 1.5
_ROLL_RADIUS = 0.4
_AT_ZERO = 0.15
"""Lengths relative to the legs (hip to ankle, about 0.78 m)."""


class Up(NamedTuple):
    """Vertical axis of a clip.

    Args:
        axis: "y", "z", "-y" or "-z", the axis that the clip should be read by.
        alternative: another axis about which a clip that lies would be upright; "" if there is none.
    """

    axis: str
    alternative: str = ""


def find_up(positions: npt.ArrayLike, expected: str = "y") -> Up:
    """The vertical axis of a clip; see the module's docstring.

    Args:
        positions: SMPL's body joints `[T, 22, 3]` in the axes of the file, in any unit.
        expected: the axis that the format lets expect, which is kept unless another is certain.

    Returns:
        the axis; if it is the expected one only for want of evidence, also the `alternative`.

    Raises:
        ValueError: for another shape or an unknown axis.
    """
    joints = np.asarray(positions, dtype=np.float64)
    if joints.ndim != 3 or joints.shape[1:] != (len(_NAMES), 3) or len(joints) == 0:
        raise ValueError(f"positions must have shape [T, {len(_NAMES)}, 3], got {joints.shape}")
    if expected not in UP_TURNS:
        raise ValueError(f"expected must be one of {sorted(UP_TURNS)}, got {expected!r}")
    legs = float(np.median(np.linalg.norm(joints[:, _HIPS] - joints[:, _ANKLES], axis=-1)))
    if not legs > 0:
        return Up(expected)
    joints = joints / legs
    fractions = {axis: upright_fraction(joints, axis) for axis in UP_TURNS}
    best = max(fractions, key=lambda axis: (fractions[axis], axis == expected))
    if fractions[best] < _MOST or fractions[expected] >= 1 - _MOST:
        return Up(expected)
    if _stands(joints, best) and _cannot_lie(joints, expected, best):
        return Up(best)
    return Up(expected, best if fractions[expected] < _FEW else "")


def upright_fraction(positions: np.ndarray, axis: str) -> float:
    """Fraction of the frames of `positions` `[T, 22, 3]` that are upright about `axis`."""
    up = UP_TURNS[axis][1]
    trunk = _direction(positions[:, _NECK] - positions[:, _PELVIS]) @ up  # [T]
    legs = _direction((positions[:, _HIPS] - positions[:, _ANKLES]).mean(1)) @ up
    return float(((trunk > _TRUNK_COSINE) | ((legs > _LEGS_COSINE) & (trunk > -0.2))).mean())


def _stands(joints: np.ndarray, axis: str) -> bool:
    """Whether ankles and feet are the lowest joints, and at one height in most frames."""
    heights = joints @ UP_TURNS[axis][1]  # [T, 22]
    on_feet = np.isin(heights.argmin(1), _SOLES).mean()
    return bool(on_feet >= _MOST) and _spread(heights.min(1)) < _LEVEL


def _cannot_lie(joints: np.ndarray, expected: str, best: str) -> bool:
    """Whether the clip cannot be a person who lies about the axis `expected` and would be upright about `best`."""
    up, other = UP_TURNS[expected][1], UP_TURNS[best][1]
    lowest = joints @ up
    if up @ other < 0:  # upside down: a handstand?
        return bool(np.isin(lowest.argmin(1), _HANDS).mean() < 0.5)
    floor, feet = lowest.min(1), (joints @ other).min(1)
    if min(_spread(floor), _spread(joints[:, _PELVIS] @ up)) > _FLOOR_LOST:
        return True
    # rolling moves a lying person sideways, but then the pelvis turns about the trunk
    path = joints[:, _PELVIS] - np.outer(joints[:, _PELVIS] @ other, other)
    travel = np.linalg.norm(path - path[0], axis=-1)
    across = joints[:, _HIPS[0]] - joints[:, _HIPS[1]]
    forward = np.cross(across, other)
    yaw = np.unwrap(np.arctan2(np.cross(forward[:1], forward) @ other, forward @ forward[0]))
    if travel.max() > _TRAVEL + _ROLL_RADIUS * abs(yaw[travel.argmax()]):
        return True
    return bool(abs(np.median(feet)) < _AT_ZERO and abs(np.median(floor)) > _AT_ZERO)


def _spread(values: np.ndarray) -> float:
    low, high = np.quantile(values, [0.1, 0.9])
    return float(high - low)


def _direction(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
