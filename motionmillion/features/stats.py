"""Mean and standard deviation of features over a data set.

The mean is per dimension; the standard deviation is averaged within each block of the layout (as in the published
statistics of the 272-dimensional data), so that a block keeps the proportions between its dimensions.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from motionmillion.features.base import Layout


@dataclass(frozen=True, eq=False)
class FeatureStats:
    """Mean `[D]` and standard deviation `[D]`, float32."""

    mean: Tensor
    std: Tensor


def feature_stats(clips: Iterable[Tensor], layout: Layout, minimum_std: float = 1e-6) -> FeatureStats:
    """Statistics over clips `[T, D]` of any lengths, each frame counted once; summed in float64.

    Raises:
        ValueError: if there is no frame at all.
    """
    count = 0
    total = torch.zeros(layout.dim, dtype=torch.float64)
    squares = torch.zeros(layout.dim, dtype=torch.float64)
    for clip in clips:
        values = clip.double()
        count += values.shape[0]
        total += values.sum(0)
        squares += values.square().sum(0)
    if count == 0:
        raise ValueError("clips must hold at least one frame, got none")
    mean = total / count
    # rounding can make the variance of a constant slightly negative
    std = (squares / count - mean.square()).clamp(min=0).sqrt()
    for span in layout.values():
        std[span] = std[span].mean()
    return FeatureStats(mean=mean.float(), std=std.clamp(min=minimum_std).float())
