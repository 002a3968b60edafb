"""Groups of clips whose visits are balanced: categories, or titles of takes.

    groups = [group_of(clip, "description") for clip in clips]
    weights = category_weights(groups, balance=0.5)

Clips that were composed out of others belong to no group.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch

from motionmillion.data.clips import MotionClip

BALANCED_BY = ("category", "description")
COMPOSED = "composed"
"""Source of the captions of clips that were made out of others."""


def group_of(clip: MotionClip, by: str = "category") -> str | None:
    """The group that a clip counts to when visits are balanced; None for clips that were composed out of others.

    Args:
        by: "category", or "description" for the title of the take.
    """
    if COMPOSED in clip.sources:
        return None
    return clip.description if check_balance_by(by) == "description" else clip.category


def check_balance_by(by: Any, name: str = "balance_by") -> str:
    """`by` if clips can be grouped by it.

    Raises:
        ValueError: if they cannot.
    """
    if by not in BALANCED_BY:
        raise ValueError(f"{name} must be one of {', '.join(BALANCED_BY)}, got {by!r}")
    return by


def category_weights(categories: Sequence[str | None], balance: float) -> torch.Tensor | None:
    """How often to visit each clip: its category's size to the power of -`balance`; None for all alike.

    A clip without a category (None) is visited as often as the others are on average.
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
