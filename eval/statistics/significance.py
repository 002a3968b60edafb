"""Significance of differences: paired permutation test, exact sign test, Holm's correction, agreement of raters.

    p = sign_flip_test(differences, seed=0)      # do the means of paired values differ?
    p = sign_test(wins, losses)                  # does one side win more often?
    adjusted = holm([0.01, 0.04, 0.2])           # several tests in one table
    alpha = krippendorff_alpha(items)            # do raters agree more than by chance?

Unusual: the permutation test is our own. `scipy.stats.permutation_test` gives the same p-values where all signs are
tried, but takes 7 to 16 times as long, and draws other random signs. All tests are two-sided.

Shapes: N pairs, R random flips.
"""

import importlib
import math
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

EXACT_PAIRS = 16  # up to 65536 sign patterns; all are tried
_BLOCK = 2**22  # signs drawn at once


def sign_flip_test(differences: np.ndarray, flips: int = 10000, seed: int = 0) -> float:
    """p-value of paired differences `[N]` having mean zero: how often random signs give a mean at least as far from 0.

    Up to `EXACT_PAIRS` pairs all signs are tried, above that `flips` random ones; then p is never below
    `1 / (flips + 1)`.

    Raises:
        ValueError: for fewer than two differences, or non-finite values.
    """
    differences = np.asarray(differences, dtype=np.float64)
    if differences.ndim != 1 or len(differences) < 2:
        raise ValueError(f"differences must be at least two numbers, got shape {differences.shape}")
    if not np.isfinite(differences).all():
        raise ValueError("differences must be finite, got NaN or infinity; leave those pairs out")
    scale = np.abs(differences).max()
    if scale == 0:
        return 1.0
    differences = differences / scale
    count = len(differences)
    least = abs(differences.sum()) - 1e-9 * count  # tolerance for rounding
    if count <= EXACT_PAIRS:
        bits = (np.arange(2**count)[:, None] >> np.arange(count)) & 1  # [2**N, N]
        return float(np.mean(np.abs((2 * bits - 1) @ differences) >= least))
    generator = np.random.default_rng(seed)
    reached, rest = 0, flips
    while rest:
        signs = (
            2 * generator.integers(0, 2, (min(rest, max(_BLOCK // count, 1)), count), dtype=np.int8) - 1
        )  # [<=R, N]
        reached += int((np.abs(signs @ differences) >= least).sum())
        rest -= len(signs)
    return (1 + reached) / (flips + 1)


def sign_test(wins: int, losses: int) -> float:
    """Exact two-sided p-value of `wins` against `losses` if both were equally likely; exclude ties first."""
    if not wins + losses:
        return 1.0
    return float(_library("scipy.stats").binomtest(wins, wins + losses).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for multiple tests, in the given order (Holm, 1979)."""
    adjusted, highest = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def krippendorff_alpha(items: Sequence[Sequence[Hashable]]) -> float | None:
    """Krippendorff's alpha for nominal votes: 1 is full agreement, 0 chance level; None if undefined.

    Args:
        items: the votes on each item; items with fewer than two votes are ignored.

    Undefined: no item with two votes, or all votes the same. Source: Krippendorff, "Computing Krippendorff's
    Alpha-Reliability" (2011), part C; computed by the package krippendorff.
    """
    values = list(dict.fromkeys(vote for votes in items for vote in votes))
    # [items, values]
    counts = np.array([[list(votes).count(value) for value in values] for votes in items if len(votes) > 1])
    if not len(counts) or np.count_nonzero(counts.sum(0)) < 2:
        return None
    alpha = _library("krippendorff").alpha
    return float(alpha(value_counts=counts, level_of_measurement="nominal"))


def equal_votes(items: Sequence[Sequence[Hashable]]) -> float | None:
    """Fraction of equal votes among all pairs of votes on one item; None if no item has two votes."""
    pairs = sum(math.comb(len(votes), 2) for votes in items)
    equal = sum(math.comb(number, 2) for votes in items for number in Counter(votes).values())
    return equal / pairs if pairs else None


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        message = f'{package} must be installed for comparisons; run: pip install "motionmillion[eval]"'
        raise ImportError(message) from error
