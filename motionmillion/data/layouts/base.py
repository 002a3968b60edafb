"""What a public data set looks like on disk: the base class of its layout, and what a layout hands on.

A layout says how a folder is recognised, which of its files are motions, what its lists say (`prepare`, which fills an
index), and which clips are in a motion file (`drafts`). Reading archives, workers, resuming, quality and splits
without lists are the same for all, see `motionmillion.data.building`.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from motionmillion.configuration import check_number, check_share, check_whole, unknown_key_error
from motionmillion.data.clips import cut_span
from motionmillion.data.folder_files import Caption, by_span
from motionmillion.data.layouts.archives import Unit, find_units, is_archive, read_unit
from motionmillion.data.layouts.index import Index, IndexWriter
from motionmillion.data.shards.motion_writer import SOURCE_KINDS, Fault
from motionmillion.motion import Motion

NOTES = ("no captions", "in no list", "in no split")
"""Kinds of faults that are counted but are no fault of the data: `strict` does not stop at them."""


_LISTS = (".json", ".jsonl", ".csv", ".tsv", "train.txt", "val.txt", "test.txt")


@dataclass(frozen=True)
class Facts:
    """What is published about a data set.

    Args:
        title: its name.
        licence, url: terms of use and home.
        counts: numbers that its authors or users report, by what they count: motions, clips, texts, files, hours.
    """

    title: str
    licence: str
    url: str
    counts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class BuildOptions:
    """How a data set is built.

    Args:
        captions: table of captions, `.csv`, `.tsv` or `.jsonl`, or the folder of BABEL's files.
        lists: which of several lists of splits, such as "t2m_60_300".
        fps: frame rate to which faster motions are resampled; 0 keeps all.
        cut: seconds; longer motions are cut into equal windows; 0 keeps all whole.
        shortest: seconds below which motions are left out.
        licence, source: terms and name of the data, for layouts that do not know them.
        only: patterns of the archives and files to read, such as "motion_272rpr/MotionGV/*"; empty for all.
        quality: whether the numbers of `motionmillion.data.quality` and the findings of the audit are computed.
        strict: stop at the first fault.
        kind: where the motion comes from, see `motion_writer.SOURCE_KINDS`.
        made_by: what generated or estimated it, such as a model and its seed.
        trusted: blocks of features that texts may be trained on; empty for all.
        text_share: probability of conditioning on a text rather than on a reference.
    """

    captions: str | None = None
    lists: str | None = None
    fps: float = 30.0
    cut: float = 20.0
    shortest: float = 0.5
    licence: str | None = None
    source: str | None = None
    only: tuple[str, ...] = ()
    quality: bool = True
    strict: bool = False
    shard_size: int = 2048
    kind: str | None = None
    made_by: str | None = None
    trusted: tuple[str, ...] = ()
    text_share: float | None = None

    def __post_init__(self) -> None:
        for name in ("fps", "cut", "shortest"):
            check_number(name, getattr(self, name))
        check_whole("shard_size", self.shard_size, 1)
        if self.kind is not None and self.kind not in SOURCE_KINDS:
            raise ValueError(f"kind must be one of {', '.join(SOURCE_KINDS)}, got {self.kind!r}")
        if self.text_share is not None:
            check_share("text_share", self.text_share)
        if self.trusted:
            from motionmillion.features import get

            blocks = get("rot276").layout  # that of DiTs, which read this
            if set(self.trusted) - set(blocks):
                raise unknown_key_error("trusted blocks", set(self.trusted) - set(blocks), blocks)
        if 0 < self.cut < 2 * max(self.shortest, 0.5):
            raise ValueError(f"cut must be at least {2 * max(self.shortest, 0.5):g} seconds, or 0, got {self.cut!r}")


@dataclass(frozen=True)
class Draft:
    """A clip as a layout finds it; the fields are those of `motionmillion.data.shards.motions.Row`.

    Args:
        split: None lets the build decide, by a hash of the subject, or of the take.
    """

    name: str
    motion: Motion
    texts: tuple[str, ...] = ()
    origin: str = ""
    origins: tuple[str, ...] = ()
    split: str | None = None
    subject: str = ""
    category: str = ""
    take: str = ""
    source: str = ""
    licence: str = ""
    id: str = ""
    whole: bool = True
    own: bool | tuple[bool, ...] = True
    ends: bool = True
    trusted: tuple[str, ...] | None = None

    def replace(self, **changes: Any) -> "Draft":
        return replace(self, **changes)


class Layout(ABC):
    """The layout of a data set below a folder.

    Args:
        source: the folder.
        options: see `BuildOptions`.
    """

    name: ClassVar[str]
    facts: ClassVar[Facts]
    suffixes: ClassVar[tuple[str, ...]] = (".npy",)
    indexed: ClassVar[bool] = True
    """Whether `prepare` fills an index."""

    def __init__(self, source: Path, options: BuildOptions) -> None:
        self.source, self.options = source, options

    @classmethod
    @abstractmethod
    def recognises(cls, source: Path) -> bool:
        """Whether a folder has this layout."""

    def is_motion(self, name: str) -> bool:
        """Whether a file or a member of an archive is a motion, by its name."""
        return name.lower().endswith(self.suffixes)

    def has_motions(self, archive: str) -> bool:
        """Whether an archive has motions, by its name."""
        return is_archive(archive)

    def is_list(self, name: str) -> bool:
        """Whether a file is read by `prepare`, or an archive that may be; a change of one begins another build."""
        return name.lower().endswith(_LISTS) or (is_archive(name) and not self.has_motions(name))

    def units(self) -> list[Unit]:
        """What workers read."""
        return find_units(self.source, self.is_motion, self.has_motions)

    def members(self, unit: Unit, scratch: Path, skip: int) -> Iterator[Any]:
        """Members and faults of a unit, in a fixed order; see `motionmillion.data.layouts.archives.read_unit`."""
        return read_unit(unit, self.source, self.is_motion, scratch, skip)

    def prepare(self, index: IndexWriter) -> Iterator[Fault]:
        """Read the lists of the data set into an index: "text" and "split" by the clip's id."""
        yield from ()

    @abstractmethod
    def drafts(self, member: Any, index: Index | None) -> Iterator["Draft | Fault"]:
        """The clips in a member, or why it has none.

        Raises:
            ValueError: for a motion that cannot be read.
        """

    def sources(self) -> dict[str, dict[str, Any]]:
        """What the header says of each source, see `motion_writer.SOURCE_KEYS`."""
        name = self.options.source or self.facts.title
        return {name: {"licence": self.options.licence or self.facts.licence, "url": self.facts.url}}

    def noted(self) -> dict[str, dict[str, Any]]:
        """`sources`, and over it what the options say of all of them."""
        options = self.options
        given = {"kind": options.kind, "made_by": options.made_by, "text_share": options.text_share}
        given |= {"trusted_text": list(options.trusted) or None}
        given = {key: value for key, value in given.items() if value is not None}
        return {name: {**entry, **given} for name, entry in self.sources().items()}

    def labelled(self, draft: Draft) -> Draft:
        """A draft with the source and licence of the layout, where it has none of its own."""
        source = draft.source or self.options.source or self.facts.title
        licence = draft.licence or self.options.licence or self.facts.licence
        return draft.replace(source=source, licence=licence, trusted=self.options.trusted or draft.trusted)


def spans_of(draft: Draft, captions: Sequence[Caption]) -> Iterator["Draft | Fault"]:
    """The whole of a draft, unless all of its captions have spans, and a clip for each span."""
    for span, texts in by_span(captions).items():
        if span is None:
            yield draft.replace(texts=texts)
            continue
        name = f"{draft.name}_{span[0]:g}-{span[1]:g}"
        try:
            motion = cut_span(draft.motion, span)
        except ValueError as error:
            yield Fault("bad captions", name, str(error))
            continue
        yield draft.replace(name=name, motion=motion, texts=texts, whole=False, ends=False)


def decoded(data: bytes, name: str) -> "str | Fault":
    """The text of bytes in UTF-8, or the fault that it is none."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Fault("not UTF-8", name, f"byte {error.start}")


def files_below(source: Path, wanted: Callable[[str], bool]) -> Iterator[Path]:
    """Files below a folder in order, by their names relative to it; hidden ones are passed over."""
    for folder, below, names in os.walk(source):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if not name.startswith(".") and wanted(path.relative_to(source).as_posix()):
                yield path
