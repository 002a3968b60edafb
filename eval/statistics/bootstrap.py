"""Confidence intervals of weighted means: percentile bootstrap over whole takes.

    intervals = bootstrap_intervals(values, frames, takes)

Clips cut from one recording are not independent, so resampling single clips would give intervals that are too narrow.

Shapes: N clips, M measures, G takes, R resamples.
"""

from collections.abc import Sequence

import numpy as np

LEVEL = 0.95
_BLOCK = 2**22  # counts drawn at once, 32 MB


def bootstrap_intervals(
    values: np.ndarray, weights: np.ndarray, takes: Sequence[str], resamples: int = 2000, seed: int = 0
) -> np.ndarray | None:
    """95 % intervals `[M, 2]` of the weighted means of `values`; None for a single take.

    Args:
        values: `[N, M]`.
        weights: `[N]`, such as frames.
        takes: the recording of each clip.
        resamples: number of resamples, each of G takes drawn with replacement.
        seed: the same seed and values give the same intervals.

    Raises:
        ValueError: if `resamples` is not positive, or the lengths differ.
    """
    check_resamples(resamples)
    if not len(values) == len(weights) == len(takes):
        raise ValueError(
            f"values, weights and takes must have one entry per clip, "
            f"got {len(values)}, {len(weights)} and {len(takes)}"
        )
    names, index = np.unique(np.asarray(takes, dtype=str), return_inverse=True)
    if len(names) < 2:
        return None
    sums, sizes = np.zeros((len(names), values.shape[1])), np.zeros(len(names))  # [G, M], [G]
    np.add.at(sums, index, values * weights[:, None])
    np.add.at(sizes, index, weights)
    generator = np.random.default_rng(seed)
    share, means, rest = np.full(len(names), 1 / len(names)), [], resamples
    while rest:
        drawn = generator.multinomial(len(names), share, size=min(rest, max(_BLOCK // len(names), 1)))  # [<=R, G]
        means.append(drawn @ sums / (drawn @ sizes)[:, None])
        rest -= len(drawn)
    return np.quantile(np.concatenate(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0).T


def check_resamples(resamples: int) -> None:
    """Raise `ValueError` unless `resamples` is a positive number."""
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples!r}; 2000 is usual")
