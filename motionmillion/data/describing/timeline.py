"""Signals over time: smoothing, spans of frames, turning points.

Unusual: all functions are symmetric in sign, so that a mirrored motion gives mirrored results.

Shapes: T frames.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Span = tuple[int, int]


def smooth(values: Array, frames: float) -> Array:
    """Gaussian filter over the first axis, standard deviation in frames; the ends are extended by point reflection."""
    reach = max(1, int(3 * frames + 0.5))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / frames) ** 2)
    taps /= taps.sum()
    flat = values.reshape(len(values), -1)
    before = 2 * flat[:1] - flat[np.minimum(np.arange(reach, 0, -1), len(flat) - 1)]
    after = 2 * flat[-1:] - flat[np.maximum(len(flat) - 1 - np.arange(1, reach + 1), 0)]
    padded = np.concatenate([before, flat, after])
    filtered = np.zeros_like(flat)
    for shift, tap in enumerate(taps):
        filtered += tap * padded[shift : shift + len(flat)]
    return filtered.reshape(values.shape)


def spans(mask: Mask, shortest: float = 1, gap: float = 0) -> list[Span]:
    """Spans `(start, stop)` of true frames; gaps up to `gap` frames are closed, then short spans are dropped."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    found: list[Span] = []
    for start, stop in edges.reshape(-1, 2).tolist():
        if found and start - found[-1][1] <= gap:
            found[-1] = (found[-1][0], stop)
        else:
            found.append((start, stop))
    return [(start, stop) for start, stop in found if stop - start >= shortest]


def turning_points(values: Array, prominence: float) -> list[int]:
    """Frames of the extrema between which `values` `[T]` moves by at least `prominence`, the outer ones included.

    Consecutive frames of the result bound one rise or fall; there are fewer than two if the signal never moves that
    far.
    """
    low = high = 0
    points: list[int] = []
    rising: bool | None = None
    for frame, value in enumerate(values.tolist()):
        if value > values[high]:
            high = frame
        if value < values[low]:
            low = frame
        if rising is not True and value - values[low] >= prominence:
            points.append(low)
            rising, high = True, frame
        elif rising is not False and values[high] - value >= prominence:
            points.append(high)
            rising, low = False, frame
        if rising is True:
            low = high  # a fall is counted from the highest point
        elif rising is False:
            high = low
    if rising is not None:
        points.append(high if rising else low)
    return points
