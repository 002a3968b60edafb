"""Contacts of the feet with the floor, from their height and speed with hysteresis.

    contacts = find_contacts(motion.positions(), motion.fps)          # bool [T, 2, 2]
    contacts[:, 0, 1]                                                 # the toes of the left foot

A contact begins where a part of a foot is low and slow, and lasts as long as it stays within wider limits; it also
covers the short landing before. Contacts shorter than a blink are dropped, and gaps as short are closed.

Unusual: the floor is level, at the height that `floor_level` finds unless it is given. Feet on steps above it have no
contact, so nothing is changed there by what builds on contacts.

Shapes: T frames, F two feet (left, right), P two parts of a foot (ankle, toes).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from motionmillion.skeleton import SMPL22

FEET = np.array([[SMPL22.names.index(f"{side}_{part}") for part in ("ankle", "foot")] for side in ("left", "right")])
"""Joints of the parts of the feet, `[F, P]`."""

_LOWEST, _STILL, _STANDING, _PERCENT = 0.01, 0.3, 0.2, 10.0
"""Toes that stand: metres above the lowest joint, metres per second, share of the frames; percentile of heights."""


@dataclass(frozen=True)
class ContactLimits:
    """Heights above the floor in metres, for ankle and toes, speeds along the floor in metres per second, seconds."""

    begin_height: tuple[float, float] = (0.09, 0.05)
    keep_height: tuple[float, float] = (0.11, 0.06)
    begin_speed: float = 0.5
    keep_speed: float = 0.8
    landing: float = 0.2
    shortest: float = 0.07


def find_contacts(
    positions: Any,
    fps: float,
    floor: float | None = None,
    before: np.ndarray | None = None,
    limits: ContactLimits | None = None,
) -> np.ndarray:
    """Which parts of the feet touch the floor, bool `[T, F, P]`: left and right, ankle and toes.

    Args:
        positions: joint positions `[T, 22, 3]`, metres, y up; a tensor or an array.
        fps: frames per second.
        floor: height of the floor; None finds it.
        before: bool `[F, P]`, the contacts just before the first frame; None for none.
        limits: heights and speeds.

    Raises:
        ValueError: for a wrong shape, values that are not finite, and a frame rate that is not positive.
    """
    positions = check_positions(positions)
    if not fps > 0:
        raise ValueError(f"fps must be positive, got {fps!r}")
    limits = limits or ContactLimits()
    floor = floor_level(positions, fps) if floor is None else floor
    parts = positions[:, FEET]  # [T, F, P, 3]
    height, speed = parts[..., 1] - floor, floor_speed(parts, fps)
    begins = (height < np.array(limits.begin_height)) & (speed < limits.begin_speed)
    keeps = (height < np.array(limits.keep_height)) & (speed < limits.keep_speed)
    landing, shortest = round(limits.landing * fps), max(round(limits.shortest * fps), 1)
    contacts = np.zeros(begins.shape, bool)
    for side, part in np.ndindex(2, 2):
        own = contacts[:, side, part]
        held = before is not None and bool(before[side, part])
        for start, stop in runs(keeps[:, side, part]):
            inside = np.flatnonzero(begins[start:stop, side, part])
            if start == 0 and held:
                own[:stop] = True
            elif len(inside):
                own[max(start, start + inside[0] - landing) : stop] = True
        for start, stop in runs(~own):
            if 0 < start and stop < len(own) and stop - start < shortest:
                own[start:stop] = True
        for start, stop in runs(own):
            if stop - start < shortest and start > 0 and stop < len(own):
                own[start:stop] = False
    return contacts


def floor_level(positions: np.ndarray, fps: float) -> float:
    """Height of the floor below joints `[T, 22, 3]`: that of the lowest toes that stand.

    It is a low percentile over the frames in which toes are the lowest joint and still. Of a body that never stands,
    but lies, crawls or swims, it is only known that the floor is not above its lowest joint. A median over a tenth of
    a second comes first, so that single frames below the floor do not count.
    """
    stands = _stands(positions, fps)
    heights = np.median(windows(positions[..., 1].min(1), round(0.05 * fps)), axis=-1)
    if stands.mean() < _STANDING:
        return float(heights.min())
    toes = positions[:, FEET[:, 1], 1].min(1)
    return float(min(np.percentile(values, _PERCENT) for values in (heights[stands], toes)))


def ever_stands(positions: np.ndarray, fps: float) -> bool:
    """Whether a body with joints `[T, 22, 3]` ever stands on its feet, so that they tell where the floor is."""
    return bool(_stands(positions, fps).mean() >= _STANDING)


def _stands(positions: np.ndarray, fps: float) -> np.ndarray:
    """Frames `[T]` in which toes are the lowest joint and still."""
    toes = positions[:, FEET[:, 1]]  # [T, F, 3]
    low = positions[..., 1].min(1)
    return ((toes[..., 1] < low[:, None] + _LOWEST) & (floor_speed(toes, fps) < _STILL)).any(1)


def floor_speed(points: np.ndarray, fps: float) -> np.ndarray:
    """Speed along the floor of points `[T, ..., 3]`, metres per second `[T, ...]`, by central differences."""
    if len(points) < 2:
        return np.zeros(points.shape[:-1])
    return np.linalg.norm(np.gradient(points[..., [0, 2]], axis=0), axis=-1) * fps


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First frame, and the one after the last, of each run of true values in bool `[T]`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def windows(values: np.ndarray, radius: int) -> np.ndarray:
    """Values `[T, ...]` in windows of 2 * `radius` + 1 frames, `[T, ..., W]`; end frames are repeated."""
    padded = np.pad(values, [(radius, radius)] + [(0, 0)] * (values.ndim - 1), mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * radius + 1, axis=0)


def check_positions(positions: Any) -> np.ndarray:
    """Positions as float64 `[T, 22, 3]`; raises `ValueError` for other shapes and values that are not finite."""
    positions = np.asarray(positions, np.float64)
    if positions.ndim != 3 or not len(positions) or positions.shape[1:] != (22, 3):
        raise ValueError(f"positions must have shape [T, 22, 3], got {positions.shape}")
    if not np.isfinite(positions).all():
        raise ValueError("positions must be finite, got NaN or infinity; cut these frames")
    return positions
