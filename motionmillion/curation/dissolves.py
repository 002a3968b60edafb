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

_QUARTERS = (0.25, 0.5, 0.75)
_SHARES = np.array([[0.05, 0.45], [0.3, 0.7], [0.55, 0.95]])
_CHUNK = 2000


@dataclass(frozen=True)
class DissolveLimits:
    """Limits of what counts as a dissolve.

    Args:
        lengths: windows, frames; a dissolve is found by windows up to nearly twice as long.
        difference: least mean difference of first and last picture, grey values of 255.
        structure: greatest correlation of first and last picture.
        rest: greatest part of an inner picture that is no mixture, relative to that difference.
    """

    lengths: tuple[int, ...] = (8, 12, 18, 27, 40, 60)
    difference: float = 8.0
    structure: float = 0.95
    rest: float = 0.25


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
    change = last - first
    size = np.linalg.norm(change, axis=1)
    found = (np.abs(change).mean(1) >= limits.difference) & (_correlation(first, last) <= limits.structure)
    for quarter, (low, high) in zip(_QUARTERS, _SHARES, strict=True):
        offset = round(quarter * length)
        rise = flat[offset : offset + len(first)] - first
        share = (rise * change).sum(1) / np.maximum(size, 1e-6) ** 2
        rest = np.linalg.norm(rise - share[:, None] * change, axis=1) / np.maximum(size, 1e-6)
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
    share = (part - part[0]) @ change / max(float(change @ change), 1e-6)
    first = np.flatnonzero(share > 0.05)
    last = np.flatnonzero(share < 0.95)
    return start + int(first.min(initial=len(part))), start + int(last.max(initial=0)) + 1
