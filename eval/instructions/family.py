"""A family of instructions: its rule, and patterns for captions of real clips that show it.

`captions` must match one of the short texts that describe the clip itself, `unless` none of them. A family with sides
is written once, with `{side}` and `{other}` in its patterns (`sided`).
"""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

from motionmillion.data.clips import MotionClip
from motionmillion.eval.instructions.limbs import OTHER
from motionmillion.eval.instructions.tracks import BodyTracks

SHORT = 14
"""Maximum number of words of a caption that summarises a clip."""

Rule = Callable[[BodyTracks], bool]


@dataclass(frozen=True)
class Family:
    """Instructions that ask for the same action.

    Args:
        name: such as "kick_left".
        rule: decides whether a motion follows them.
        captions, unless: regular expressions for the captions of real clips that show it; `captions` must match a
            short one, because long ones also mention incidental actions.
        related: families whose clips may follow it, too, so that they are not used to estimate chance.
        side: "left", "right" or empty.
    """

    name: str
    rule: Rule
    captions: str
    unless: str
    related: tuple[str, ...] = ()
    side: str = ""

    @property
    def mirrored(self) -> str:
        """Name of the family that the mirrored motion follows."""
        return self.name.removesuffix(self.side) + OTHER[self.side] if self.side else self.name

    def shown_by(self, clip: MotionClip) -> bool:
        """Whether a real clip shows this family, by its captions."""
        own = clip_texts(clip)
        if self.unless and any(re.search(self.unless, text) for text in own):
            return False
        return any(re.search(self.captions, text) for text in own if len(text.split()) <= SHORT)


def clip_texts(clip: MotionClip) -> list[str]:
    """Captions that were made from the clip itself, by rules or by watching it, in lower case."""
    pairs = zip(clip.captions, clip.sources, strict=False)
    texts = [text for text, source in pairs if source in ("watched", "kinematic")] or clip.own_captions
    return [text.lower() for text in texts]


def sided(
    name: str, rule: Callable[..., bool], captions: str, unless: str, related: tuple[str, ...] = ()
) -> list[Family]:
    """The families of the left and of the right side."""
    return [
        Family(
            f"{name}_{side}",
            functools.partial(rule, side=side),
            captions.format(side=side, other=other),
            unless.format(side=side, other=other),
            related,
            side,
        )
        for side, other in OTHER.items()
    ]
