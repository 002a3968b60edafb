"""Several systems on the same prompts with several seeds: means, their intervals, and paired differences.

    arms = {"text": Repeats({"jitter": jitter}, points), "gate": Repeats(...)}      # [S, N] and [S, N, E]
    found = summarise(arms, [("gate", "text")], real, takes)
    found["arms"]["gate"]["jitter"], found["differences"]["gate - text"]["frechet_distance"]

Values are means over seeds and prompts, except for the Fréchet distance, which is computed for each seed and then
averaged. Each has two 95 % intervals: over prompts (a bootstrap over whole takes, with all their seeds), and over
seeds (Student's t of the seeds' means), if there are several.

Unusual: R-precision is an exact expectation, not a random draw. The probability that a text retrieves its motion from
a randomly filled batch has a closed form, so every row has a value, and two systems can be compared in pairs.

Shapes: S seeds, N prompts, E embedding size, M real motions.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motionmillion.configuration import check_whole
from motionmillion.eval.distribution import TOP, frechet_distance
from motionmillion.eval.statistics.bootstrap import LEVEL, bootstrap_intervals
from motionmillion.eval.statistics.intervals import bootstrap

FRECHET = "frechet_distance"


@dataclass(frozen=True, eq=False)
class Repeats:
    """Measured values of a system's motions.

    Args:
        values: `[S, N]` by measure; NaN for prompts to which it does not apply.
        points: the motions' embeddings `[S, N, E]`.
    """

    values: Mapping[str, np.ndarray]
    points: Tensor


@dataclass(frozen=True)
class SeededEstimate:
    """A mean with its intervals over prompts and over seeds; None without an interval."""

    mean: float
    low: float | None = None
    high: float | None = None
    seeds_low: float | None = None
    seeds_high: float | None = None


def expected_precision(
    text: Tensor, motion: Tensor, batch: int = 32, groups: Sequence[Hashable] | None = None
) -> dict[int, np.ndarray]:
    """Probability `[N]` that a text's motion is among the 1, 2, 3 nearest of a random batch, for each text.

    Its mean is the average of `r_precision` over its shuffles.

    Args:
        text, motion: `[N, E]`; row i belongs to row i.
        batch: size of the retrieval pool.
        groups: a name for each row; motions with equal names do not count as wrong for each other.

    Raises:
        ValueError: for fewer rows than a batch, and wrong shapes.
    """
    check_whole("batch", batch, 2)
    if text.shape != motion.shape or text.ndim != 2 or len(text) < batch:
        raise ValueError(
            f"text and motion must have one shape [N, E] of at least {batch} rows, got {tuple(text.shape)} and "
            f"{tuple(motion.shape)}"
        )
    distance = torch.cdist(text.double(), motion.double(), compute_mode="donot_use_mm_for_euclid_dist")
    names = list(range(len(text)) if groups is None else groups)
    other = torch.tensor([[own != name for name in names] for own in names])
    nearer = (other & (distance <= distance.diagonal()[:, None])).sum(1).numpy()
    cdf = _distributions().hypergeom.cdf
    return {k: cdf(k - 1, len(text) - 1, nearer, batch - 1) for k in TOP}


def joined(parts: Sequence[Repeats]) -> Repeats:
    """Concatenate repeats of the same seeds on different prompts."""
    names = list(parts[0].values)
    values = {name: np.concatenate([part.values[name] for part in parts], axis=1) for name in names}
    return Repeats(values, torch.cat([part.points for part in parts], dim=1))


def summarise(
    arms: Mapping[str, Repeats],
    pairs: Sequence[tuple[str, str]],
    real: Tensor | None,
    takes: Sequence[str],
    resamples: int = 200,
) -> dict[str, dict[str, dict[str, Any]]]:
    """Estimates of every arm, and of the differences of pairs of arms: `{"arms": ..., "differences": ...}` for JSON.

    Args:
        pairs: names of two arms; the second is subtracted from the first, per prompt and seed.
        real: embeddings of real motions `[M, E]` for the Fréchet distance; None: skip it.
        takes: the recording of each of the N prompts.
        resamples: number of resamples for the Fréchet distance, which is slow; the others use 2000.
    """
    arms_found = {name: _estimates(arm.values, takes) for name, arm in arms.items()}
    apart = {pair: _difference(arms[pair[0]], arms[pair[1]]) for pair in pairs}
    found = {"arms": arms_found, "differences": {_title(*pair): _estimates(own, takes) for pair, own in apart.items()}}
    if real is not None:
        points = {name: arm.points for name, arm in arms.items()}
        for name, own in _frechet(points, pairs, real, takes, resamples).items():
            kind = "arms" if name in arms else "differences"
            found[kind][name][FRECHET] = asdict(own)
    return found


def estimate(values: np.ndarray, takes: Sequence[str]) -> SeededEstimate:
    """Mean of `[S, N]` and its intervals; prompts with NaN are ignored.

    Raises:
        ValueError: if no prompt is left.
    """
    there = np.asarray(np.isfinite(values).all(axis=0))
    if not there.any():
        raise ValueError("values must be numbers for at least one prompt, got NaN for all")
    kept = values[:, there]
    own = [take for take, known in zip(takes, there, strict=True) if known]
    bounds = bootstrap_intervals(kept.mean(0)[:, None], np.ones(kept.shape[1]), own)
    low, high = (None, None) if bounds is None else bounds[0].tolist()
    return SeededEstimate(float(kept.mean()), low, high, *_over_seeds(kept.mean(1)))


def _estimates(values: Mapping[str, np.ndarray], takes: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {name: asdict(estimate(own, takes)) for name, own in values.items() if not np.isnan(own).any(0).all()}


def half_width(means: Sequence[float] | np.ndarray) -> float | None:
    """Half of Student's interval around the mean of the seeds' means `[S]`; None for a single seed."""
    if len(means) < 2:
        return None
    width = _distributions().t.ppf((1 + LEVEL) / 2, len(means) - 1)
    return float(width * np.std(means, ddof=1) / math.sqrt(len(means)))


def _over_seeds(means: np.ndarray) -> tuple[float | None, float | None]:
    """Student's interval of the seeds' means `[S]`."""
    half, middle = half_width(means), float(means.mean())
    return (None, None) if half is None else (middle - half, middle + half)


def _title(first: str, second: str) -> str:
    return f"{first} - {second}"


def _difference(first: Repeats, second: Repeats) -> dict[str, np.ndarray]:
    """Differences of the common measures, over the common seeds."""
    seeds = min(len(first.points), len(second.points))
    both = [name for name in first.values if name in second.values]
    return {name: first.values[name][:seeds] - second.values[name][:seeds] for name in both}


def _frechet(
    points: Mapping[str, Tensor],
    pairs: Sequence[tuple[str, str]],
    real: Tensor,
    takes: Sequence[str],
    resamples: int,
) -> dict[str, SeededEstimate]:
    """Fréchet distances of motions `[S, N, E]` to the real ones, and their differences, by arm and by title."""

    def by_seed(rows: Tensor) -> dict[str, np.ndarray]:
        own = {n: np.array([frechet_distance(seed[rows], real) for seed in p]) for n, p in points.items()}
        for a, b in pairs:
            seeds = min(len(own[a]), len(own[b]))
            own[_title(a, b)] = own[a][:seeds] - own[b][:seeds]
        return own

    drawn = bootstrap(lambda rows: {n: float(v.mean()) for n, v in by_seed(rows).items()}, takes, resamples)
    found = {}
    for name, seeds in by_seed(torch.arange(len(takes))).items():
        low, high = drawn[name].low, drawn[name].high
        if name in points and low is not None:  # no distance is below 0
            low = max(low, 0.0)
        found[name] = SeededEstimate(drawn[name].mean, low, high, *_over_seeds(seeds))
    return found


def _distributions() -> Any:
    """`scipy.stats`."""
    try:
        from scipy import stats
    except ImportError as error:
        message = 'scipy must be installed for repeats of seeds; run: pip install "motionmillion[eval]"'
        raise ImportError(message) from error
    return stats
