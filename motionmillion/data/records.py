"""Clips and what is known of them: `MotionClip` with its motion, `ClipRecord` without.

`motionmillion.data.clips` finds and reads them; it passes these names on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from motionmillion.data.splits import SPLITS
from motionmillion.motion import Motion

OWN_SOURCES = ("kinematic", "measured", "watched")
"""Sources of captions that describe the clip itself, rather than its whole take."""

_TITLE_SOURCES = ("cmu_index", "label")


@dataclass(frozen=True)
class MotionClip:
    """A motion with its captions and labels.

    Args:
        name: unique name in the data set.
        captions: texts, each describing the whole clip.
        whole: False for a window cut out of a longer take, whose `captions` may describe the whole take.
        own_captions: the texts among `captions` that describe this window itself.
        sources: source of each of `captions`, "" if unknown; may be empty if all are unknown.
        ends: whether the motion ends with this clip; True for only the last window of a take.
        dataset: data set, and part of it, that the clip is from; "" if unknown.
        trusted: blocks of features that a text may be trained on; None for all.
    """

    name: str
    motion: Motion
    captions: tuple[str, ...] = ()
    split: str = "train"
    subject: str = ""
    category: str = ""
    whole: bool = True
    own_captions: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    ends: bool = True
    dataset: str = ""
    trusted: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"split must be one of {SPLITS}, got {self.split!r} for clip {self.name!r}")
        if self.sources and len(self.sources) != len(self.captions):
            raise ValueError(
                f"sources must be one for each of the {len(self.captions)} captions, got {len(self.sources)} for clip "
                f"{self.name!r}; leave them out if they are not known"
            )

    @property
    def take(self) -> str:
        """The recording that the clip is a window of; windows of one recording are not statistically independent."""
        return self.name if self.whole else self.name.rsplit("_", 1)[0]

    @property
    def description(self) -> str:
        """Description for grouping similar clips, see `description_of`."""
        return description_of(self.captions, self.sources, self.category)

    def replace(self, **changes) -> "MotionClip":
        """The clip with `changes`; remaining captions keep their sources, unless `sources` is among the changes."""
        if "captions" in changes and "sources" not in changes and self.sources:
            changes["sources"] = sources_of(changes["captions"], self.captions, self.sources)
        return replace(self, **changes)


def description_of(captions: Sequence[str], sources: Sequence[str], category: str) -> str:
    """The title of a clip's take in lower case, or its category if there is no title."""
    titles = (text for text, source in zip(captions, sources, strict=False) if source in _TITLE_SOURCES)
    return next(titles, category).casefold()


def sources_of(texts: Iterable[str], captions: Sequence[str], sources: Sequence[str]) -> tuple[str, ...]:
    """The source of each of `texts`, looked up in `captions` and their `sources`; "" for unknown texts."""
    known = dict(zip(reversed(captions), reversed(sources), strict=False))  # for equal captions the first one counts
    return tuple(known.get(text, "") for text in texts)


@dataclass(frozen=True)
class ClipRecord:
    """Metadata of a clip in a folder and the location of its motion, without the motion.

    Args:
        file: the motion file, or the shard of a motion set, relative to the folder.
        take, start, end: range of frames in a take of a shard; a motion file has no take.
        seconds: span of a motion file that this clip is; None: all of it.
        row: row in a built data set (`motionmillion.data.shards.motions`); None elsewhere.
        others: see `MotionClip`.
    """

    name: str
    file: str
    split: str
    captions: tuple[str, ...] = ()
    subject: str = ""
    category: str = ""
    whole: bool = True
    own_captions: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    ends: bool = True
    take: str = ""
    start: int = 0
    end: int = 0
    seconds: tuple[float, float] | None = None
    row: int | None = None
    dataset: str = ""
    trusted: tuple[str, ...] | None = None

    def facts(self) -> dict[str, Any]:
        """What decides on motion and captions, for fingerprints; without span and row where there is none."""
        later, labels = ("seconds", "row"), ("dataset", "trusted")
        return {
            name: value
            for name, value in vars(self).items()
            if name not in labels and (name not in later or value is not None)
        }
