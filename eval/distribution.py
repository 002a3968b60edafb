"""How close are generated motions to real ones and to their texts? Measures of embeddings, with intervals.

    frechet_distance(generated, real)                              # FID, [N, E] and [M, E]
    r_precision(text, motion, seed=0)                              # {1: 0.51, 2: 0.70, 3: 0.80}
    repeated(lambda seed: r_precision(text, motion, seed=seed))    # {1: Estimate(0.51, 0.508, 0.512, 20), ...}
    bootstrap(lambda rows: matching_distance(text[rows], motion[rows]), takes)

Embeddings come from an evaluator, and distances are in that evaluator's own unit, so values are comparable only
between embeddings of one evaluator. Everything is computed in double precision on the device of the embeddings. The
two kinds of intervals come from `motionmillion.eval.statistics.intervals`, which explains what they cover.

Unusual: non-finite rows are errors, ties count against R-precision (otherwise equal embeddings would look perfect),
and the Fréchet distance is computed without a matrix square root, so it is also valid with fewer rows than dimensions.
Embeddings may be tensors, NumPy arrays or nested lists.

Sources: Heusel et al. 2017 (arXiv 1706.08500) for the Fréchet distance; Guo et al. 2022, "Generating Diverse and
Natural 3D Human Motions from Text" (CVPR), for the others and the protocol of batches, pairs and repeats.

Shapes: N, M rows (motions), E embedding size, P prompts, S motions per prompt.
"""

import math
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from motionmillion.configuration import check_whole
from motionmillion.eval.inputs import Numbers, to_tensor
from motionmillion.eval.statistics.intervals import bootstrap, repeated

__all__ = [
    "TOP",
    "bootstrap",
    "diversity",
    "frechet_distance",
    "matching_distance",
    "multimodality",
    "r_precision",
    "repeated",
]

TOP = (1, 2, 3)
"""Ranks of `r_precision`."""
_DISTANCES_AT_ONCE = 2**22  # 32 MB


def frechet_distance(a: Numbers, b: Numbers) -> float:
    """Squared Fréchet distance between Gaussians fitted to two sets of embeddings (FID), never negative.

    |mean a - mean b|^2 + tr(Sa + Sb - 2 (Sa^1/2 Sb Sa^1/2)^1/2) with covariances over N - 1. With centred factors
    Sa = A'A and Sb = B'B the trace is the minimum of |A - WB|^2 over orthogonal W, found from the SVD of AB'.
    This needs no matrix square root, is exact for singular covariances and avoids cancellation. Few rows bias the
    distance upwards; compare values of equally many rows, preferably more than dimensions.

    Args:
        a: `[N, E]`, at least two rows.
        b: `[M, E]`, at least two rows.

    Raises:
        ValueError: for fewer rows, wrong shapes, different sizes, or non-finite rows.
    """
    a, b = _embeddings("a", a, 2, "a covariance"), _embeddings("b", b, 2, "a covariance")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"a and b must have one size, got {a.shape[1]} and {b.shape[1]}; use one evaluator for both")
    factors = [_factor(a), _factor(b)]
    rows = max(len(factor) for factor in factors)
    left, right = (torch.nn.functional.pad(factor, (0, 0, 0, rows - len(factor))) for factor in factors)
    u, _, vh = torch.linalg.svd(left @ right.T)
    return float((a.mean(0) - b.mean(0)).square().sum() + (left - u @ vh @ right).square().sum())


def r_precision(
    text: Numbers,
    motion: Numbers,
    batch: int = 32,
    seed: int | None = None,
    groups: Sequence[Hashable] | Tensor | None = None,
) -> dict[int, float]:
    """Fraction of texts whose own motion is among the 1, 2 and 3 nearest of its batch; chance level k / `batch`.

    As published: batches in the given order without the last incomplete one, Euclidean distance from each text to
    the motions of its batch. A motion at the same distance as the right one counts as nearer.

    Args:
        text: `[N, E]`; row i belongs to row i of `motion`.
        motion: `[N, E]`.
        batch: size of the retrieval pool.
        seed: shuffles the rows first; rows that are sorted by take or category make harder batches.
        groups: a variant that is not the published one: a name for each row, such as its text. Rows with equal names
            do not count as wrong for each other, such as two motions with the text "a person walks".

    Returns:
        `{1: ..., 2: ..., 3: ...}`.

    Raises:
        ValueError: for fewer rows than a batch, wrong shapes, different lengths, or non-finite rows.
    """
    check_whole("batch", batch, 2)
    text, motion = _pairs(text, motion, batch, f"one batch of {batch}")
    if groups is not None and len(groups) != len(text):
        raise ValueError(f"groups must have one entry per row, got {len(groups)} for {len(text)} rows")
    group = _numbers(range(len(text)) if groups is None else groups).to(text.device)
    order = torch.arange(len(text), device=text.device) if seed is None else _order(len(text), seed, text.device)
    batches = order[: len(text) // batch * batch].view(-1, batch)  # [N // batch, batch]
    hits = dict.fromkeys(TOP, 0)
    for rows in batches.split(max(_DISTANCES_AT_ONCE // batch**2, 1)):
        # Not by a matrix product, whose rounding would make equal motions differ.
        distance = torch.cdist(text[rows], motion[rows], compute_mode="donot_use_mm_for_euclid_dist")
        other = group[rows][:, :, None] != group[rows][:, None]
        nearer = (other & (distance <= distance.diagonal(dim1=1, dim2=2)[..., None])).sum(-1)
        for k in TOP:
            hits[k] += int((nearer < k).sum())
    return {k: hits[k] / batches.numel() for k in TOP}


def matching_distance(text: Numbers, motion: Numbers) -> float:
    """Mean Euclidean distance between a text and its motion (MM-Dist), both `[N, E]`.

    Raises:
        ValueError: for no rows, wrong shapes, different lengths, or non-finite rows.
    """
    text, motion = _pairs(text, motion, 1, "a mean")
    return float((text - motion).norm(dim=-1).mean())


def diversity(motion: Numbers, pairs: int = 300, seed: int = 0) -> float:
    """Mean Euclidean distance of randomly paired motions; values close to that of real motion are best.

    As published: two independent draws without replacement, so a motion is occasionally paired with itself.

    Args:
        motion: `[N, E]`, at least `pairs` rows.
        pairs: number of pairs.
        seed: seed of the draw.

    Raises:
        ValueError: for fewer rows, a wrong shape, or non-finite rows.
    """
    check_whole("pairs", pairs, 1)
    motion = _embeddings("motion", motion, 1, "a pair")
    if len(motion) < pairs:
        raise ValueError(
            f"motion must have at least {pairs} rows for {pairs} pairs, got {len(motion)}; "
            f"give more, or pass pairs={len(motion)}"
        )
    first, second = _draws(len(motion), pairs, seed, motion.device)
    return float((motion[first] - motion[second]).norm(dim=-1).mean())


def multimodality(motion: Numbers, pairs: int = 10, seed: int = 0) -> float:
    """Mean Euclidean distance of randomly paired motions of the same prompt, averaged over prompts.

    Args:
        motion: `[P, S, E]`, S motions of each prompt, at least `pairs`; 30 are usual.
        pairs: number of pairs per prompt; all prompts use the same draw.
        seed: seed of the draw.

    Raises:
        ValueError: for fewer motions of a prompt, a wrong shape, or non-finite embeddings.
    """
    check_whole("pairs", pairs, 1)
    motion = to_tensor("motion", motion)
    if motion.ndim != 3 or not motion.numel():
        raise ValueError(f"motion must have shape [P, S, E], got {tuple(motion.shape)}")
    samples, size = motion.shape[1:]
    if samples < pairs:
        raise ValueError(
            f"motion must have at least {pairs} motions of a prompt for {pairs} pairs, got {samples}; "
            f"give more, or pass pairs={samples}"
        )
    motion = _embeddings("motion", motion.reshape(-1, size), 1, "a pair").view(motion.shape)
    first, second = _draws(samples, pairs, seed, motion.device)
    return float((motion[:, first] - motion[:, second]).norm(dim=-1).mean())


def _embeddings(name: str, rows: Numbers, least: int, purpose: str) -> Tensor:
    """Checked `[N, E]` in float64."""
    rows = to_tensor(name, rows)
    if rows.ndim != 2 or not rows.shape[1]:
        raise ValueError(f"{name} must have shape [N, E], got {tuple(rows.shape)}")
    if len(rows) < least:
        raise ValueError(f"{name} must have at least {least} rows for {purpose}, got {len(rows)}")
    bad = rows.isfinite().all(1).logical_not().nonzero()[:, 0].tolist()
    if bad:
        raise ValueError(
            f"{name} must be finite, got NaN or infinity in row {bad[0]} ({len(bad)} of {len(rows)} rows); "
            f"leave these motions out"
        )
    return rows.detach().double()


def _pairs(text: Numbers, motion: Numbers, least: int, purpose: str) -> tuple[Tensor, Tensor]:
    """Checked texts and motions `[N, E]` that belong together."""
    text, motion = _embeddings("text", text, least, purpose), _embeddings("motion", motion, least, purpose)
    if text.shape != motion.shape:
        raise ValueError(
            f"text and motion must have one shape [N, E], got {tuple(text.shape)} and {tuple(motion.shape)}"
        )
    return text, motion


def _numbers(names: Sequence[Hashable] | Tensor) -> Tensor:
    """An integer for each name `[N]`, equal for equal names."""
    names = names.tolist() if isinstance(names, Tensor) else names  # elements of a tensor hash by identity
    numbers: dict[Hashable, int] = {}
    return torch.tensor([numbers.setdefault(name, len(numbers)) for name in names])


def _factor(rows: Tensor) -> Tensor:
    """Factor A `[min(N, E), E]` with A'A the covariance of rows `[N, E]`."""
    return torch.linalg.qr((rows - rows.mean(0)) / math.sqrt(len(rows) - 1), mode="r").R


def _order(count: int, seed: int, device: torch.device) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed)).to(device)


def _draws(count: int, pairs: int, seed: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """First and second index `[pairs]` of each pair, below `count`; each drawn without replacement."""
    generator = torch.Generator().manual_seed(seed)
    first, second = (torch.randperm(count, generator=generator)[:pairs].to(device) for _ in range(2))
    return first, second
