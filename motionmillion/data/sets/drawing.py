"""Which caption of a clip a visit draws, and how clips are grouped when visits are shared out.

    weights = check_caption_weights({"watched": 4, "kinematic": 2, "wording": 1})
    text = draw_caption(clip.captions, clip.own_captions, clip.whole, 0.5, clip.sources, weights)

With weights a source is drawn in proportion to them among those that the clip has, however many captions it has of
each; then one of its captions, evenly. Captions of sources that are not named are not drawn, except for clips that
have no others.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from motionmillion.configuration import check_number
from motionmillion.data.clips import MotionClip, sources_of
from motionmillion.data.progress import say

BALANCED_BY = ("category", "description")
COMPOSED = "composed"
"""Source of the captions of clips that were made out of others."""


def draw_caption(
    captions: Sequence[str],
    own: Sequence[str],
    whole: bool,
    own_share: float,
    sources: Sequence[str] = (),
    weights: Mapping[str, float] | None = None,
) -> str:
    """One of `captions` at random; for a window of a longer take, with a chance of `own_share` one of its `own`.

    Args:
        sources: of each of `captions`.
        weights: of each source as a whole; None draws all captions evenly.
    """
    if not whole and own and float(torch.rand(())) < own_share:
        captions, sources = own, sources_of(own, captions, sources) if weights else ()
    if weights and sources:
        captions = _of_one_source(captions, sources, weights)
    return captions[int(torch.randint(len(captions), ()))]


def _of_one_source(captions: Sequence[str], sources: Sequence[str], weights: Mapping[str, float]) -> Sequence[str]:
    """The captions of a source that is drawn by weight; all where none of their sources has one."""
    found = {source: weights[source] for source in dict.fromkeys(sources) if weights.get(source)}
    if not found:
        return captions
    names = list(found)
    place = float(torch.rand(())) * sum(found.values())
    while len(names) > 1 and place >= found[names[0]]:
        place -= found[names.pop(0)]
    return [text for text, source in zip(captions, sources, strict=True) if source == names[0]]


def check_caption_weights(weights: Any, name: str = "caption_weights") -> dict[str, float] | None:
    """`weights` if they are None or a mapping of sources to numbers, of which one is positive.

    Raises:
        ValueError: for anything else.
    """
    if weights is None:
        return None
    if not isinstance(weights, Mapping) or not all(isinstance(source, str) for source in weights):
        raise ValueError(f"{name} must be a mapping of sources to weights, got {weights!r}")
    for source, weight in weights.items():
        check_number(f"{name}.{source}", weight)
    if not any(weights.values()):
        raise ValueError(f"{name} must hold a positive weight, got {weights!r}; leave it out for all captions alike")
    return dict(weights)


def check_caption_sources(weights: Mapping[str, float] | None, sources: Iterable[Sequence[str]]) -> None:
    """Log which sources the data and `weights` do not share.

    Args:
        sources: of each clip's captions.

    Raises:
        ValueError: if no clip has a caption of any of the sources that `weights` names.
    """
    if weights is None:
        return
    present = {source for each in sources for source in each}
    if not present & set(weights):
        known = ", ".join(sorted(filter(None, present))) or "none"
        raise ValueError(
            f"caption_weights must name sources that the captions have, got {', '.join(sorted(weights))}; the data "
            f"has {known}"
        )
    for names, what in ((set(weights) - present, "no clip has"), (present - set(weights), "without a weight are")):
        if names:
            listed = ", ".join(sorted(name or "(unknown)" for name in names))
            say(f"caption_weights: sources {what} {listed}")


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
