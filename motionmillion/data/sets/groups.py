"""Groups of clips for balanced sampling: categories, or titles of takes.

    groups = [group_of(clip, "description") for clip in clips]
    weights = category_weights(groups, balance=0.5)

Clips that were composed from others belong to no group.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch

from motionmillion.data.clips import MotionClip

BALANCED_BY = ("category", "description")
COMPOSED = "composed"
"""Source of the captions of composed clips."""


def group_of(clip: MotionClip, by: str = "category") -> str | None:
    """The group of a clip for balanced sampling; None for composed clips.

    Args:
        by: "category", or "description" for the title of the take.
    """
    if COMPOSED in clip.sources:
        return None
    return clip.description if check_balance_by(by) == "description" else clip.category


def check_balance_by(by: Any, name: str = "balance_by") -> str:
    """Check and return a grouping option.

    Raises:
        ValueError: if clips cannot be grouped by it.
    """
    if by not in BALANCED_BY:
        raise ValueError(f"{name} must be one of {', '.join(BALANCED_BY)}, got {by!r}")
    return by


def category_weights(categories: Sequence[str | None], balance: float) -> torch.Tensor | None:
    """Sampling weight of each clip: its category's size to the power of -`balance`; None if all are equal.

    A clip without a category (None) gets the mean weight of the others.
    """
    if not 0 <= balance <= 1:
        raise ValueError(f"balance must be in [0, 1], got {balance!r}")
    if balance == 0:
        return None
    sizes = Counter(category for category in categories if category is not None)
    known = [size**-balance for size in sizes.values() for _ in range(size)]
    mean = sum(known) / len(known) if known else 1.0
    weights = [mean if category is None else sizes[category] ** -balance for category in categories]
    return torch.tensor(weights, dtype=torch.float64)
