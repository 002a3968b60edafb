"""Dissolves and fades, which detectors of cuts miss: frames that are mixtures of the frames before and after.

    spans = find_dissolves(pictures)          # small pictures [T, H, W, 3] -> [(first, one after the last), ...]

Within a dissolve each frame is (1 - a) times the frame before it plus a times the frame after it, with a rising from 0
to 1. So windows of several lengths are searched for the following: first and last picture differ, also in structure
(a change of light alone keeps the structure); the pictures at a quarter, a half and three quarters are mixtures of
both, with little left over; and the shares rise as in a dissolve. A cut has shares of 0 and 1 only, and what moves
leaves something over.

Shapes: T frames, P values of a picture, N windows, Q inner pictures.
"""

from dataclasses import dataclass

import numpy as np

_SHARES = {0.25: (0.05, 0.45), 0.5: (0.3, 0.7), 0.75: (0.55, 0.95)}
"""Shares of the last picture at a quarter, a half and three quarters of a window."""
_CHUNK = 2000


@dataclass(frozen=True)
class DissolveLimits:
    """Limits of what counts as a dissolve.

    Args:
        lengths: windows, frames; a dissolve is found by windows up to nearly twice as long.
        difference: least mean difference of first and last picture, grey values of 255.
        structure: greatest correlation of first and last picture.
        rest: greatest part of an inner picture that is no mixture, relative to that difference.
        still: fraction of the picture that is looked at: what fits worst, such as people that move, is left out.
    """

    lengths: tuple[int, ...] = (8, 12, 18, 27, 40, 60)
    difference: float = 8.0
    structure: float = 0.95
    rest: float = 0.25
    still: float = 0.75


def find_dissolves(pictures: np.ndarray, limits: DissolveLimits | None = None) -> list[tuple[int, int]]:
    """First frame, and the one after the last, of each dissolve.

    Args:
        pictures: `[T, H, W, 3]`, small ones of about 32 by 18.
    """
    limits = limits or DissolveLimits()
    flat = pictures.reshape(len(pictures), -1)
    inside = np.zeros(len(flat) + 1, np.int64)  # +1 where a window begins, -1 behind its end
    for length in limits.lengths:
        for begin in range(0, len(flat) - length, _CHUNK):
            part = flat[begin : begin + _CHUNK + length].astype(np.float32)
            for start in begin + np.flatnonzero(_mixtures(part, length, limits)):
                inside[start] += 1
                inside[start + length + 1] -= 1
    covered = np.cumsum(inside)[:-1] > 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], covered, [False]])))
    return [_trimmed(flat, int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _mixtures(flat: np.ndarray, length: int, limits: DissolveLimits) -> np.ndarray:
    """Whether the window of `length` that begins at each frame of `[T, P]` is a dissolve, `[T - length]`."""
    first, last = flat[:-length], flat[length:]  # [N, P]
    found = _correlation(first, last) <= limits.structure
    change, size, used = last - first, np.zeros(len(first)), np.ones(first.shape, np.float32)
    for quarter, (low, high) in sorted(_SHARES.items(), key=lambda each: abs(each[0] - 0.5)):  # the middle first
        offset = round(quarter * length)
        rise = flat[offset : offset + len(first)] - first
        share = (rise * change * used).sum(1) / np.maximum((change * change * used).sum(1), 1e-6)
        over = np.abs(rise - share[:, None] * change)
        if quarter == 0.5:
            used = (over <= np.quantile(over, limits.still, axis=1, keepdims=True)).astype(np.float32)
            size = np.linalg.norm(change * used, axis=1)
            found &= (np.abs(change) * used).sum(1) >= limits.difference * used.sum(1)
        rest = np.linalg.norm(over * used, axis=1) / np.maximum(size, 1e-6)
        found &= (share >= low) & (share <= high) & (rest <= limits.rest)
    return found


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    sizes = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.where(sizes > 1e-6, (a * b).sum(1) / np.maximum(sizes, 1e-6), 0.0)


def _trimmed(flat: np.ndarray, start: int, stop: int) -> tuple[int, int]:
    """The frames from `start` to `stop` that are mixtures of both ends."""
    part = flat[start:stop].astype(np.float32)
    change = part[-1] - part[0]
    large = np.abs(change) >= max(float(np.median(np.abs(change))), 1.0)
    # the median over values, so that what moves makes no difference
    share = np.median((part - part[0])[:, large] / change[large], axis=1)
    middle = int(np.argmax(share >= 0.5))
    before, after = np.flatnonzero(share[:middle] <= 0.05), np.flatnonzero(share[middle:] >= 0.95)
    return start + int(before.max(initial=-1)) + 1, start + middle + int(after.min(initial=len(part) - middle))
