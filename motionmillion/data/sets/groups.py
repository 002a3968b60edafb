"""Groups of clips for balanced sampling: categories, titles of takes, or actions.

    groups = [group_of(clip, "description") for clip in clips]
    weights = category_weights(groups, balance=0.5)

Clips that were composed from others belong to no group.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch

from motionmillion.data.clips import MotionClip, description_of
from motionmillion.data.composition.grammar import parse_caption

BALANCED_BY = ("category", "description", "action")
COMPOSED = "composed"
"""Source of the captions of composed clips."""


def group_of(clip: MotionClip, by: str = "category") -> str | None:
    """The group of a clip for balanced sampling; None for composed clips.

    Args:
        by: "category", "description" for the title of the take, or "action", see `action_of`.
    """
    if COMPOSED in clip.sources:
        return None
    return named_group(clip.captions, clip.sources, clip.category, by)


def named_group(captions: Sequence[str], sources: Sequence[str], category: str, by: str) -> str:
    """The group of a clip that was not composed, from its labels alone; see `group_of`."""
    if check_balance_by(by) == "category":
        return category
    return (description_of if by == "description" else action_of)(captions, sources, category)


def action_of(captions: Sequence[str], sources: Sequence[str], category: str) -> str:
    """The verb of the first caption that somebody wrote on watching the clip, such as "kick"; else the category."""
    watched = (text for text, source in zip(captions, sources, strict=False) if source == "watched")
    verbs = (phrase.verb for phrase in map(parse_caption, watched) if phrase and phrase.verb)
    return next(verbs, category.casefold())


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
