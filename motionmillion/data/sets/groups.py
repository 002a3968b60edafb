"""Groups of clips whose visits are balanced: categories, or titles of takes.

group_of(clip, "description")
"""

from typing import Any

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
