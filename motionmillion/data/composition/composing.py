"""New training clips made from given ones: sequences, overlays, reversals, moments, and generated descriptions.

    options = ComposeOptions(sequences=0.25, overlays=0.1, reversals=True, describe=6)
    clips, refused = compose_clips(clips, options, seed=0)

Partners are drawn by description, so that the many clips of a long take do not dominate. Compositions that fail are
skipped and counted by reason. The captions of the new clips have the source "composed", the sentences that
`motionmillion.data.describing` adds to the given ones "described".
"""

import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from motionmillion.configuration import check_number, check_share, check_whole, unknown_key_error
from motionmillion.data.clips import MotionClip
from motionmillion.data.sets.groups import COMPOSED
from motionmillion.motion import Motion
from motionmillion.progress import say, tracked

DESCRIBED = "described"
"""Source of the captions generated from the motion."""

_TRIES = 25
"""Attempts per requested clip: most partners are too long together, or have no caption of the arms alone."""


@dataclasses.dataclass(frozen=True)
class ComposeOptions:
    """What to compose from clips.

    Args:
        sequences, overlays: number of sequences, and of overlays (lower body of one clip, upper body of another), as a
            fraction of the number of given clips.
        reversals: whether to reverse each clip for which that is another action; a number limits how many, as a
            fraction of the given clips.
        moments: number of windows around single events of long clips, as a fraction of the given clips; rare kinds of
            events come first.
        settle: fraction of the moments, travel excepted, after which the body comes to rest: it keeps still for one to
            four seconds as in another clip, if one has the same pose. After the others comes what followed.
        paces: number of walks played at a slow or fast pace, as a fraction of the given clips.
        describe: number of generated descriptions to add to each given clip; 0 for none.
        wordings: maximum number of captions per sequence and overlay.
        max_seconds: maximum total length of a sequence, seconds.
    """

    sequences: float = 0.0
    overlays: float = 0.0
    reversals: bool | float = False
    moments: float = 0.0
    settle: float = 0.0
    paces: float = 0.0
    describe: int = 0
    wordings: int = 4
    max_seconds: float = 12.0

    def __post_init__(self) -> None:
        for name in ("sequences", "overlays", "moments", "paces"):
            check_number(f"compose.{name}", getattr(self, name))
        check_share("compose.settle", self.settle)
        if not isinstance(self.reversals, bool | int | float) or not 0 <= self.reversals <= 1:
            raise ValueError(f"compose.reversals must be true, false or a share in [0, 1], got {self.reversals!r}")
        check_whole("compose.describe", self.describe, 0)
        check_whole("compose.wordings", self.wordings, 1)
        if not check_number("compose.max_seconds", self.max_seconds) > 0:
            raise ValueError(f"compose.max_seconds must be positive, got {self.max_seconds!r}")

    @classmethod
    def from_section(cls, section: Any) -> "ComposeOptions | None":
        """The options in a recipe's mapping; None if there is none.

        Raises:
            ValueError: for anything but a mapping, unknown keys and values out of range.
        """
        if section is None:
            return None
        known = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(section, Mapping):
            raise ValueError(f"compose must be a mapping of options, got {section!r}; known are {', '.join(known)}")
        if set(section) - known:
            raise unknown_key_error(f"compose (known: {', '.join(sorted(known))})", set(section) - known, known)
        return cls(**section)


def compose_clips(
    clips: Sequence[MotionClip], options: ComposeOptions, seed: int
) -> tuple[list[MotionClip], Counter[str]]:
    """Compose new clips; returns the given ones, with descriptions if requested, followed by the new ones.

    Args:
        clips: clips with captions; those without are kept but not used.
        seed: seed of all random draws.

    Returns:
        The clips, and the number of failed compositions by kind and reason.
    """
    generator = torch.Generator().manual_seed(seed)
    maker = _Maker([clip for clip in clips if clip.captions], options, generator)
    made = {
        "sequences": maker.sequences(round(options.sequences * len(clips))),
        "overlays": maker.overlays(round(options.overlays * len(clips))),
        "reversals": maker.reversals(math.ceil(options.reversals * len(clips))),
        "moments": maker.moments(round(options.moments * len(clips))),
        "paces": maker.paces(round(options.paces * len(clips))),
    }
    described = [maker.described(clip) for clip in clips] if options.describe else list(clips)
    counts = ", ".join(f"{len(new)} {kind}" for kind, new in made.items())
    reasons = "; ".join(f"{reason}: {count}" for reason, count in maker.refused.most_common()) or "nothing"
    sentences = sum(len(new.captions) - len(old.captions) for new, old in zip(described, clips, strict=True))
    say(f"composed {counts} and {sentences} sentences out of {len(clips)} clips; refused: {reasons}")
    return [*described, *(clip for new in made.values() for clip in new)], maker.refused


class _Maker:
    """Draws partners, composes clips from them, and counts failures by reason."""

    def __init__(self, clips: Sequence[MotionClip], options: ComposeOptions, generator: torch.Generator) -> None:
        self.clips, self.options, self.generator = clips, options, generator
        self.refused: Counter[str] = Counter()
        groups: dict[str, list[MotionClip]] = {}
        for clip in clips:
            groups.setdefault(clip.description, []).append(clip)
        self.groups = list(groups.values())
        self._settings: dict[str, Any] = {"generator": generator, "wordings": options.wordings}

    def _draw(self, others: Sequence[MotionClip]) -> MotionClip:
        """An element of `others`, drawn uniformly."""
        return others[int(torch.randint(len(others), (), generator=self.generator))]

    def _clip(self) -> MotionClip:
        """A random clip with a uniformly drawn description."""
        return self._draw(self.groups[int(torch.randint(len(self.groups), (), generator=self.generator))])

    def _chance(self, share: float) -> bool:
        """True with probability `share`; no number is drawn for 0."""
        return share > 0 and float(torch.rand((), generator=self.generator)) < share

    def _made(
        self, kind: str, make: Callable[[], MotionClip | str], ends: bool, source: str = COMPOSED
    ) -> MotionClip | None:
        """The clip from `make` with its source set; None if it returns a reason, which is counted."""
        try:
            result = make()
        except ValueError as error:
            result = str(error)
        if isinstance(result, str):
            self.refused[f"{kind}, {result}"] += 1
            return None
        return result.replace(sources=(source,) * len(result.captions), ends=ends)

    def _of_single_clips(self, count: int, make: Callable[[MotionClip], MotionClip | None]) -> list[MotionClip]:
        """Up to `count` clips, each made from another of the given ones, in random order."""
        made: list[MotionClip] = []
        for index in torch.randperm(len(self.clips), generator=self.generator).tolist():
            if len(made) == count:
                break
            clip = make(self.clips[index])
            made += [clip] if clip else []
        return made

    def sequences(self, count: int) -> list[MotionClip]:
        """Up to `count` sequences of two parts or, for one in four, three."""
        if not count:
            return []
        from motionmillion.data.composition import join_clips

        settings = {**self._settings, "longest": self.options.max_seconds}
        made: list[MotionClip] = []
        for _ in range(_TRIES * count):
            if len(made) == count:
                break
            wanted = 3 if float(torch.rand((), generator=self.generator)) < 0.25 else 2
            parts = [self._clip() for _ in range(wanted)]
            if sum(part.motion.seconds for part in parts) > self.options.max_seconds:
                self.refused["sequences, longer than max_seconds"] += 1
                continue
            clip = self._made("sequences", functools.partial(join_clips, parts, **settings), parts[-1].ends)
            made += [clip] if clip else []
        return made

    def overlays(self, count: int) -> list[MotionClip]:
        """Up to `count` clips with the lower body of one clip and the upper body of another."""
        if not count:
            return []
        from motionmillion.data.composition import overlay_clips

        settings = self._settings
        made: list[MotionClip] = []
        for _ in range(_TRIES * count):
            if len(made) == count:
                break
            lower, upper = self._clip(), self._clip()
            clip = self._made("overlays", functools.partial(overlay_clips, lower, upper, **settings), lower.ends)
            made += [clip] if clip else []
        return made

    def reversals(self, count: int) -> list[MotionClip]:
        """Up to `count` reversed clips, in random order; only reversed whole takes end where their motion ends."""
        if not count:
            return []
        from motionmillion.data.composition import reverse_clip

        return self._of_single_clips(
            count, lambda clip: self._made("reversals", functools.partial(reverse_clip, clip), clip.whole)
        )

    def moments(self, count: int) -> list[MotionClip]:
        """Up to `count` windows around single events: one of each kind, the rarest first, then another of each."""
        if not count:
            return []
        from motionmillion.data.composition.moments import Moment, cut_moment, find_moments
        from motionmillion.data.composition.settling import find_stills

        waiting: dict[str, list[tuple[MotionClip, Moment]]] = {}
        stills: dict[str, list[Motion]] = {}  # by split
        for clip in tracked(self.clips, "looking for moments", "clips"):
            for moment in find_moments(clip.motion, self.generator):
                waiting.setdefault(moment.action, []).append((clip, moment))
            if self.options.settle:
                stills.setdefault(clip.split, []).extend(find_stills(clip.motion))
        made: list[MotionClip] = []
        while waiting and len(made) < count:
            for action in sorted(waiting, key=lambda action: len(waiting[action])):
                left = waiting[action]
                clip, moment = left.pop(int(torch.randint(len(left), (), generator=self.generator)))
                if not left:
                    del waiting[action]
                cut = functools.partial(cut_moment, clip, moment, self.generator, max(1, self.options.describe))
                short: MotionClip | str = ""
                if moment.settles and self._chance(self.options.settle):
                    short = cut(stills[clip.split])
                    if isinstance(short, str):
                        self.refused[f"moments to settle, {short}"] += 1
                short = cut() if isinstance(short, str) else short
                if isinstance(short, str):
                    self.refused[f"moments, {short}"] += 1
                elif len(made) < count:
                    made.append(short.replace(sources=(DESCRIBED,) * len(short.captions)))
        return made

    def paces(self, count: int) -> list[MotionClip]:
        """Up to `count` walks at another pace, from different clips in random order."""
        if not count:
            return []
        from motionmillion.data.composition.pace import change_pace

        wordings = max(1, self.options.describe)

        def make(clip: MotionClip) -> MotionClip | None:
            changed = functools.partial(change_pace, clip, self.generator, wordings)
            return self._made("paces", changed, ends=False, source=DESCRIBED)

        return self._of_single_clips(count, make)

    def described(self, clip: MotionClip) -> MotionClip:
        """The clip with sentences about its motion."""
        from motionmillion.data.describing import describe_clip

        if not clip.captions:
            return clip
        new = describe_clip(clip, self.generator, self.options.describe)
        blank = ("",) * len(clip.captions)
        known = dict(zip(reversed(clip.captions), reversed(clip.sources or blank), strict=True))
        return new.replace(sources=tuple(known.get(text, DESCRIBED) for text in new.captions))
