"""Reconstruction errors of a tokenizer: per clip, and means with intervals overall, by data set and by category.

    report = tokenizer_report(tokenizer, {"cmu": load_clips(folder, ["test"])})
    report.overall.mean["mpjpe_mm"], report.overall.interval["mpjpe_mm"]
    report.categories["dance"].codes["usage"]

Means are weighted by frames. Intervals are 95 % percentile bootstrap intervals over takes
(`motionmillion.eval.statistics.bootstrap`); a group with a single take has none. Code usage has no interval, because a
resample always uses fewer codes.

Unusual: clips go through the tokenizer in padded batches sorted by length; the result of a clip does not depend on
its batch. `motionmillion.eval.suites.tokenizer.run` writes a report to files.

Shapes: N codes in time, K codebook size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motionmillion.data.clips import MotionClip
from motionmillion.eval.reconstruction import accelerations, compare_features, reconstruct
from motionmillion.eval.statistics.bootstrap import bootstrap_intervals, check_resamples
from motionmillion.progress import tracked
from motionmillion.tokenizer import MotionTokenizer
from motionmillion.tokenizer.quantizers.usage import code_usage

NO_CATEGORY = "none"
ACCELERATION_BINS = np.geomspace(0.01, 1000, 101)  # mm per frame squared; values outside go into the outermost


@dataclass(frozen=True)
class ClipResult:
    """One clip before and after a tokenizer; `values` are those of `compare_features`."""

    clip: str
    dataset: str
    category: str
    take: str
    frames: int
    values: dict[str, float]
    codes: Tensor | None = field(repr=False, compare=False)  # [N]; None without a codebook
    histogram: np.ndarray = field(repr=False, compare=False)  # [2, bins] accelerations of original, reconstruction

    def as_dict(self) -> dict[str, Any]:
        """Names and values, ready for JSON."""
        names = {name: getattr(self, name) for name in ("clip", "dataset", "category", "take", "frames")}
        return {**names, **self.values}


@dataclass(frozen=True)
class Group:
    """Results of a group of clips.

    Args:
        mean: frame-weighted mean of each value; `interval`: its 95 % interval, None for a single take.
        codes: `count`, `usage`, `perplexity`, `entropy_bits` of all codes; None without a codebook.
    """

    clips: int
    takes: int
    frames: int
    mean: dict[str, float]
    interval: dict[str, tuple[float, float] | None]
    codes: dict[str, float] | None

    def as_dict(self) -> dict[str, Any]:
        """The values, ready for JSON."""
        values = {name: {"mean": mean, "interval": self.interval[name]} for name, mean in self.mean.items()}
        sizes = {"clips": self.clips, "takes": self.takes, "frames": self.frames}
        return {**sizes, "values": values, "codes": self.codes}


@dataclass(frozen=True)
class TokenizerReport:
    """Results of all clips, in input order, and of groups of them."""

    clips: list[ClipResult]
    overall: Group
    datasets: dict[str, Group]
    categories: dict[str, Group]  # over all data sets, the longest first
    fps: float
    codebook_size: int  # K, 0 without a codebook

    def as_dict(self) -> dict[str, Any]:
        """The groups, ready for JSON."""
        groups = {"datasets": self.datasets, "categories": self.categories}
        parts = {kind: {name: group.as_dict() for name, group in own.items()} for kind, own in groups.items()}
        return {"fps": self.fps, "codebook_size": self.codebook_size, "overall": self.overall.as_dict(), **parts}


def tokenizer_report(
    tokenizer: MotionTokenizer,
    datasets: Mapping[str, Sequence[MotionClip]],
    batch_size: int = 16,
    resamples: int = 2000,
    seed: int = 0,
) -> TokenizerReport:
    """Measure all clips of named data sets and summarise them.

    Args:
        tokenizer: in evaluation mode.
        datasets: clips by the name of their data set.
        batch_size: clips per batch.
        resamples, seed: for the bootstrap.

    Raises:
        ValueError: if a data set holds no clip, or `batch_size` or `resamples` is not positive.
    """
    check_sizes(batch_size, resamples)
    if not datasets or not all(datasets.values()):
        sizes = {name: len(members) for name, members in datasets.items()}
        raise ValueError(f"datasets must hold at least one clip each, got {sizes!r}")
    clips = [(name, clip) for name, members in datasets.items() for clip in members]
    order = sorted(range(len(clips)), key=lambda index: clips[index][1].motion.seconds)
    results: dict[int, ClipResult] = {}
    for start in tracked(range(0, len(order), batch_size), "reconstructing", "batches"):
        members = order[start : start + batch_size]
        results.update(zip(members, _measure(tokenizer, [clips[index] for index in members]), strict=True))
    rows, size = [results[index] for index in range(len(clips))], tokenizer.config.codebook_size
    frames = {name: sum(row.frames for row in rows if row.category == name) for name in {r.category for r in rows}}
    categories = sorted(frames, key=lambda name: (-frames[name], name))
    return TokenizerReport(
        clips=rows,
        overall=_group(rows, size, resamples, seed),
        datasets={n: _group([r for r in rows if r.dataset == n], size, resamples, seed) for n in datasets},
        categories={n: _group([r for r in rows if r.category == n], size, resamples, seed) for n in categories},
        fps=tokenizer.representation.fps,
        codebook_size=size,
    )


def check_sizes(batch_size: int, resamples: int) -> None:
    """Raise `ValueError` unless both are positive."""
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size!r}")
    check_resamples(resamples)


def _measure(tokenizer: MotionTokenizer, clips: Sequence[tuple[str, MotionClip]]) -> list[ClipResult]:
    """Results of one batch of (data set, clip)."""
    representation = tokenizer.representation
    features = [representation.encode(clip.motion.canonicalize()) for _, clip in clips]
    decoded, codes = reconstruct(tokenizer, features)
    return [
        ClipResult(
            clip=clip.name,
            dataset=dataset,
            category=clip.category or NO_CATEGORY,
            take=clip.take,
            frames=target.shape[0],
            values=compare_features(representation, predicted, target),
            codes=own,
            histogram=np.stack([_histogram(representation.positions(x)) for x in (target, predicted)]),
        )
        for (dataset, clip), target, predicted, own in zip(clips, features, decoded, codes, strict=True)
    ]


def _histogram(positions: Tensor) -> np.ndarray:
    """Counts `[bins]` of the accelerations of all joints except the pelvis, where they are zero."""
    if positions.shape[0] < 3:
        return np.zeros(len(ACCELERATION_BINS) - 1, dtype=np.int64)
    lengths = 1000 * accelerations(positions)[..., 1:].double().flatten().numpy()
    inside = np.clip(lengths, ACCELERATION_BINS[0], ACCELERATION_BINS[-1])
    return np.histogram(inside, ACCELERATION_BINS)[0]


def _group(rows: Sequence[ClipResult], size: int, resamples: int, seed: int) -> Group:
    names = list(rows[0].values)
    values = np.array([[row.values[name] for name in names] for row in rows])  # [clips, measures]
    frames = np.array([row.frames for row in rows], dtype=np.float64)
    takes = [f"{row.dataset}/{row.take}" for row in rows]
    bounds = bootstrap_intervals(values, frames, takes, resamples, seed)
    means = frames @ values / frames.sum()
    intervals = [None] * len(names) if bounds is None else [(float(low), float(high)) for low, high in bounds]
    codes = [row.codes for row in rows if row.codes is not None]
    together = torch.cat(codes) if codes else None
    return Group(
        clips=len(rows),
        takes=len(set(takes)),
        frames=int(frames.sum()),
        mean=dict(zip(names, means.tolist(), strict=True)),
        interval=dict(zip(names, intervals, strict=True)),
        codes=None if together is None else {"count": len(together), **code_usage(together, size)},
    )
