"""Intervals of measures that are not means over rows: over seeds, and over the choice of recordings.

    repeated(lambda seed: r_precision(text, motion, seed=seed))    # {1: Estimate(0.51, 0.508, 0.512, 20), ...}
    bootstrap(lambda rows: matching_distance(text[rows], motion[rows]), takes)

The two intervals answer different questions. `repeated` covers the randomness inside a measure (which rows share a
batch, which pairs are drawn, or the generation itself if `measure` generates). It is the interval in papers, and it
gets narrower with more repeats, regardless of the number of motions. `bootstrap` covers the choice of recordings.
Neither covers the variation between training runs.

Unusual: the bootstrap's interval is centred on the value of all rows, without the bias that duplicate rows add.
"""

import math
import statistics
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar, overload

import numpy as np
import torch
from torch import Tensor

from motionmillion.configuration import check_whole
from motionmillion.eval.results import Estimate
from motionmillion.eval.statistics.bootstrap import LEVEL, check_resamples

Key = TypeVar("Key", bound=Hashable)


@overload
def repeated(measure: Callable[[int], float], repeats: int = 20, seed: int = 0) -> Estimate: ...
@overload
def repeated(
    measure: Callable[[int], Mapping[Key, float]], repeats: int = 20, seed: int = 0
) -> dict[Key, Estimate]: ...
def repeated(measure: Callable[[int], object], repeats: int = 20, seed: int = 0) -> object:
    """Mean of a measure over seeds and the 95 % interval of that mean, 1.96 standard deviations / sqrt(`repeats`).

    It covers only what the seed changes in `measure`; see the module's docstring. The standard deviation is that of a
    sample (over `repeats` - 1), which makes it 3 % wider at 20 repeats than the published scripts'.

    Args:
        measure: takes a seed, returns a number, or numbers by name.
        repeats: number of calls; a single one has no interval.
        seed: seed of the first repeat; the next ones are incremented.

    Returns:
        an `Estimate` of `repeats` values, or one for each name.

    Raises:
        ValueError: if `repeats` is not positive.
    """
    check_whole("repeats", repeats, 1)

    def estimate(values: list[float]) -> Estimate:
        mean = statistics.fmean(values)
        if repeats < 2:
            return Estimate(mean)
        half = 1.96 * statistics.stdev(values) / math.sqrt(repeats)
        return Estimate(mean, mean - half, mean + half, repeats)

    return _by_name([measure(seed + repeat) for repeat in range(repeats)], estimate)


@overload
def bootstrap(
    measure: Callable[[Tensor], float],
    takes: Sequence[str],
    resamples: int = 200,
    seed: int = 0,
    bounds: tuple[float, float] = ...,
) -> Estimate: ...
@overload
def bootstrap(
    measure: Callable[[Tensor], Mapping[Key, float]],
    takes: Sequence[str],
    resamples: int = 200,
    seed: int = 0,
    bounds: tuple[float, float] = ...,
) -> dict[Key, Estimate]: ...
def bootstrap(
    measure: Callable[[Tensor], object],
    takes: Sequence[str],
    resamples: int = 200,
    seed: int = 0,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> object:
    """A measure of all rows and its 95 % interval over the choice of takes, for measures that are not means over rows.

    Whole takes are drawn with replacement, as in `motionmillion.eval.statistics.bootstrap`, which is faster for means.
    Duplicate rows bias some measures (the Fréchet distance increases), so the spread of the resampled values is
    centred on the value of all rows. The bias by the number of rows remains in both.

    Args:
        measure: takes indices `[n]` (int64, in random order, n varies with the takes drawn), returns a number, or
            numbers by name. For `r_precision` pass the indices as `groups`, otherwise a duplicate row counts as wrong
            for itself.
        takes: the recording of each of the N rows.
        resamples: number of calls of `measure`.
        seed: the same seed gives the same interval.
        bounds: minimum and maximum possible value; the interval is clipped to them.

    Returns:
        an `Estimate` of N values, or one for each name; without interval for a single take.

    Raises:
        ValueError: if `resamples` is not positive or there are no rows.
    """
    check_resamples(resamples)
    if not len(takes):
        raise ValueError("takes must name the recording of at least one row, got none")
    names, inverse = np.unique(np.asarray(takes, dtype=str), return_inverse=True)
    members = [torch.from_numpy(np.flatnonzero(inverse == take)) for take in range(len(names))]
    figures = [measure(torch.arange(len(takes)))]
    generator = torch.Generator().manual_seed(seed)
    for _ in range(resamples if len(names) > 1 else 0):
        chosen = torch.randint(len(names), (len(names),), generator=generator).tolist()
        rows = torch.cat([members[take] for take in chosen])
        figures.append(measure(rows[torch.randperm(len(rows), generator=generator)]))
    return _by_name(figures, lambda values: _around_first(values, len(takes), bounds))


def _around_first(values: Sequence[float], count: int, bounds: tuple[float, float]) -> Estimate:
    """The first value, with the spread of the others around it."""
    mean, drawn = values[0], np.asarray(values[1:])
    if not len(drawn):
        return Estimate(mean, count=count)
    spread = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) - drawn.mean()
    low, high = np.clip(mean + spread, *bounds).tolist()
    return Estimate(mean, low, high, count)


def _by_name(figures: Sequence[object], estimate: Callable[[list[float]], Estimate]) -> object:
    """One estimate of numbers, or one for each key of mappings."""
    first = figures[0]
    if isinstance(first, Mapping):
        return {key: estimate([float(figure[key]) for figure in figures]) for key in first}  # type: ignore[index]
    return estimate([float(figure) for figure in figures])  # type: ignore[arg-type]
