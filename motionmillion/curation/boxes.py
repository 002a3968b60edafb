"""Boxes: overlaps, doubles, and files of the MOT challenge.

Boxes are `[..., 4]` or more columns: left, top, right, bottom in pixels, then confidence where there is one.
"""

from pathlib import Path

import numpy as np

from motionmillion.io.files import read_text


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of `[N, 4+]` and `[M, 4+]`, `[N, M]`."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:4], b[None, :, 2:4])
    common = np.clip(high - low, 0, None).prod(-1)
    sizes = [np.clip(each[:, 2:4] - each[:, :2], 0, None).prod(-1) for each in (a, b)]
    return common / np.maximum(sizes[0][:, None] + sizes[1] - common, 1e-9)


def without_doubles(boxes: np.ndarray, most: float = 0.7) -> np.ndarray:
    """Boxes `[N, 5]`, the most confident first, without those that overlap with a better one by more than `most`."""
    kept: list[np.ndarray] = []
    for box in boxes[np.argsort(-boxes[:, 4], kind="stable")]:
        if not kept or overlaps(box[None], np.array(kept)).max() <= most:
            kept.append(box)
    return np.array(kept).reshape(-1, 5)


def read_mot(path: Path, frames: int) -> dict[int, np.ndarray]:
    """Boxes of each person in every frame `[frames, 5]`; NaN, and confidence 0, where a person is not seen.

    A line is `frame,person,left,top,width,height,confidence,...`, frames and persons from 1, as trackers write it.

    Raises:
        ValueError: if the file is missing or a line cannot be read.
    """
    found: dict[int, np.ndarray] = {}
    for number, line in enumerate(read_text(path, "boxes").splitlines(), 1):
        if not line.strip():
            continue
        try:
            frame, person, left, top, width, height, *more = map(float, line.split(","))
        except ValueError:
            raise ValueError(f"boxes must be numbers, got {line!r} in line {number} of {path.name!r}") from None
        if not 1 <= frame <= frames:
            raise ValueError(f"frames of boxes must be 1 to {frames}, got {frame:g} in line {number} of {path.name!r}")
        empty = np.full((frames, 5), np.nan)
        empty[:, 4] = 0
        own = found.setdefault(int(person), empty)
        own[int(frame) - 1] = (left, top, left + width, top + height, more[0] if more else 1.0)
    return found


def filled(boxes: np.ndarray) -> np.ndarray:
    """Boxes `[T, 5]` with gaps filled linearly, and at the ends with the nearest box; confidence stays 0 there."""
    made, there = boxes.copy(), np.isfinite(boxes[:, 0])
    for column in range(4):
        made[:, column] = np.interp(np.arange(len(boxes)), np.flatnonzero(there), boxes[there, column])
    return made
