"""A motion brought onto a path on the floor, with its steps; and which of several motions is nearest to one.

    moved = onto_path(walk, FloorPath.of([(0, 0), (1, 2), (2, 2)]))
    best = nearest(candidates, path)

The smoothed way of the pelvis is laid onto the curve; sway, bobbing and everything else stays relative to it. The body
turns with the direction of the way, so a person who walks backwards does so along the path, too. Without times, the
motion keeps its own pace (where it slows down, it slows down). Footprints go along, see
`motionmillion.kinematics.warping`; then feet are held where they touch the floor and lifted where they swing low.

Shapes: T frames.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from motionmillion.kinematics.floor_paths import FloorPath
from motionmillion.kinematics.repair import RepairOptions, repaired
from motionmillion.kinematics.roots import floor_path, headings, smooth_path
from motionmillion.kinematics.warping import warped
from motionmillion.motion import Motion

_FEET = RepairOptions(feet=True, floor=False, jitter=False, swing=True)
_SWAY = 0.3
"""Sigma of the smoothing that takes the sway of steps out of a way, seconds."""
_SLOW = 0.2
"""Metres per second below which a way has no direction of its own."""
_SHARE = 0.3
"""Share of the path's length that a motion must cover itself for its pace to be kept."""


def onto_path(motion: Motion, path: FloorPath) -> Motion:
    """The motion with its way on the path.

    Args:
        motion: a motion on SMPL22's joints.

    Raises:
        ValueError: for another skeleton.
    """
    way, direction = _way(motion)
    places, angles = _targets(motion, way, path)
    turn = smooth_path(torch.from_numpy(angles - direction)[:, None], motion.fps, 0.1)[:, 0]
    onto = torch.from_numpy(np.stack([places[:, 0], np.zeros(len(places)), places[:, 1]], axis=1))
    return repaired(warped(motion, torch.from_numpy(way), onto, turn), _FEET)


def covered(motion: Motion) -> float:
    """Metres along the floor, without the sway of single steps."""
    return float(np.linalg.norm(np.diff(_way(motion)[0], axis=0), axis=-1).sum())


def nearest(motions: Sequence[Motion], path: FloorPath) -> int:
    """Index of the motion whose way is nearest to the path when it begins there in the same direction."""
    return int(np.argmin([_distance(motion, path) for motion in motions]))


def _distance(motion: Motion, path: FloorPath) -> float:
    """Mean distance of the way from the path over time, metres."""
    way, direction = _way(motion)
    places, angles = _targets(motion, way, path)
    turn = angles[0] - direction[0]
    own = (way - way[0])[:, [0, 2]]
    cos, sin = np.cos(turn), np.sin(turn)
    x, z = cos * own[:, 0] + sin * own[:, 1], cos * own[:, 1] - sin * own[:, 0]
    return float(np.hypot(x + places[0, 0] - places[:, 0], z + places[0, 1] - places[:, 1]).mean())


def _way(motion: Motion) -> tuple[np.ndarray, np.ndarray]:
    """The smoothed way of the pelvis on the floor `[T, 3]`, and its direction `[T]`, radians."""
    way = smooth_path(floor_path(motion).detach().cpu().double(), motion.fps, _SWAY).numpy()
    if len(way) < 2:
        return way, headings(motion.rotations[:, 0].double()).numpy()
    speed = np.gradient(way, axis=0) * motion.fps
    moving = np.linalg.norm(speed, axis=-1) > _SLOW
    if not moving.any():
        return way, np.repeat(_first_heading(motion), len(way))
    frames = np.arange(len(way))
    angles = np.unwrap(np.arctan2(speed[moving, 0], speed[moving, 2]))
    return way, np.interp(frames, frames[moving], angles)


def _first_heading(motion: Motion) -> float:
    first: Tensor = headings(motion.rotations[:1, 0].double())
    return float(first[0])


def _targets(motion: Motion, way: np.ndarray, path: FloorPath) -> tuple[np.ndarray, np.ndarray]:
    """Where the way should be in each frame `[T, 2]`, and the direction of the path there `[T]`."""
    along = np.concatenate([[0.0], np.linalg.norm(np.diff(way, axis=0), axis=-1).cumsum()])
    if path.times is None and along[-1] > _SHARE * path.length:
        return path.at(along / along[-1] * path.length)
    return path.at(path.distances(np.arange(len(way)) / motion.fps))
