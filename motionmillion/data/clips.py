"""Clips: motions with captions, split and subject, from a folder.

    clips = load_clips("my_motions")

    records = list_clips("my_motions")             # everything but the motions, quickly
    reader = ClipReader("my_motions")
    clip = reader(records[0])

Two kinds of folder are supported:
- a motion set: `clips.jsonl` (one clip per line: `clip`, `take`, `shard`, `start`, `end`, `split`, `subject`,
  `category`, `captions` with their `source`), `motion-*.npz` shards (`take`, `start`, `poses` rotation vectors
  `[N, 22, 3]`, `trans` `[N, 3]`) and `skeleton.json` (fps); y up, metres;
- any folder of motion files that `motionmillion.io` reads: the captions of `x.npz` are in `x.txt`, one per line; the
  split comes from `train.txt`, `val.txt`, `test.txt` (one file name per line) if they exist, else from a hash of the
  subject, which is the name of the file's folder, or of the file itself if it is in the top folder; see
  `motionmillion.data.folder_files`. A caption of HumanML3D with times becomes a clip of its own, `x_0.5-2`.

Unusual: splits without lists never cut through a subject if there are at least three.
"""

import functools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import roma
import torch

from motionmillion.data.folder_files import MotionFile, find_files
from motionmillion.data.splits import SPLITS, split_of_subject
from motionmillion.io.arrays import get_array, open_arrays
from motionmillion.io.files import read_text
from motionmillion.motion import Motion
from motionmillion.progress import tracked

__all__ = ["OWN_SOURCES", "SPLITS", "ClipReader", "ClipRecord", "Listing", "MotionClip", "description_of"]
__all__ += ["list_clips", "list_folder", "load_clips", "sources_of", "split_of_subject"]

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

    def facts(self) -> dict[str, Any]:
        """The fields, for fingerprints; without `seconds` where there is no span, as in earlier versions."""
        return {name: value for name, value in vars(self).items() if name != "seconds" or value is not None}


@dataclass(frozen=True)
class Listing:
    """The clips of a folder.

    Args:
        left_out: one line for each kind of file that is left out, with a count.
        rule: how the splits were made, in words.
        faults: what is wrong with lists and captions, one line each.
    """

    records: list[ClipRecord]
    left_out: list[str]
    rule: str
    faults: list[str] = field(default_factory=list)


def load_clips(
    folder: str | Path,
    splits: Iterable[str] = SPLITS,
    skip_bad: bool = False,
    report: Callable[[str], None] | None = None,
) -> list[MotionClip]:
    """All clips of a folder that belong to `splits`, in the order of the folder's list or file names.

    Args:
        skip_bad: leave out clips that cannot be read, and names in lists that match none, instead of failing.
        report: called with one line for each clip that is left out.

    Raises:
        ValueError: if the folder does not exist, holds no motion, or a file in it cannot be read.
    """
    records, read, clips = list_clips(folder, splits, skip_bad), ClipReader(folder), []
    for record in tracked(records, "reading", "clips"):
        try:
            clips.append(read(record))
        except (ValueError, OSError) as error:
            if not skip_bad:
                raise
            if report is not None:
                report(f"left out {record.name!r}: {' '.join(str(error).split())}")
    if not clips:
        raise ValueError(f"folder must hold a motion that can be read, got {len(records)} that cannot in {folder}")
    return clips


def list_clips(folder: str | Path, splits: Iterable[str] = SPLITS, skip_bad: bool = False) -> list[ClipRecord]:
    """Records of the clips of a folder that belong to `splits`, in the order of `load_clips`; reads no motion.

    Args:
        skip_bad: leave out what is wrong with lists and captions, instead of failing.

    Raises:
        ValueError: if the folder does not exist or lists no motion, or its list is damaged.
    """
    splits = tuple(splits)
    records = [record for record in list_folder(folder, skip_bad).records if record.split in splits]
    if not records:
        raise ValueError(f"folder must hold motions of the splits {splits}, got none in {str(folder)!r}")
    return records


def list_folder(folder: str | Path, skip_bad: bool = False) -> Listing:
    """All clips of a folder, what is left out of it and how its splits are made; reads no motion.

    Raises:
        ValueError: if the folder does not exist, or its list is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"folder must be an existing folder of motions, got {str(folder)!r}")
    if (folder / "clips.jsonl").exists():
        return Listing(_list_motion_set(folder), [], "by clips.jsonl")
    found = find_files(folder, skip_bad)
    records = [record for file in found.files for record in _records_of(file)]
    return Listing(records, found.left_out, found.rule, found.faults)


class ClipReader:
    """Reads the clips listed by `list_clips`; caches the shards of a motion set that were read last.

    Raises:
        ValueError: if a file cannot be read; the message names it.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._shard = functools.lru_cache(maxsize=4)(self._read_shard)
        self._whole = functools.lru_cache(maxsize=1)(Motion.load)  # several clips may be spans of one file

    def __call__(self, record: ClipRecord) -> MotionClip:
        path = self.folder / record.file
        try:
            motion = self._cut(record) if record.take else _span(self._whole(path), record.seconds)
        except (ValueError, OSError) as error:
            if str(path) in str(error):
                raise
            raise ValueError(f"motion must be whole and valid, got {str(path)!r}: {error}") from None
        if record.captions and motion.caption != record.captions[0]:
            motion = motion.replace(caption=record.captions[0])
        return MotionClip(
            name=record.name,
            motion=motion,
            captions=record.captions,
            split=record.split,
            subject=record.subject,
            category=record.category,
            whole=record.whole,
            own_captions=record.own_captions,
            sources=record.sources,
            ends=record.ends,
        )

    @functools.cached_property
    def _fps(self) -> float:
        return float(json.loads(read_text(self.folder / "skeleton.json", "skeleton.json"))["fps"])

    def _cut(self, record: ClipRecord) -> Motion:
        rows, poses, trans = self._shard(record.file)
        if record.take not in rows:
            raise ValueError(f"take must be one of the shard's, got {record.take!r}; clips.jsonl does not fit")
        first = rows[record.take]
        span = slice(first + record.start, first + record.end)
        rotations = roma.rotvec_to_rotmat(torch.from_numpy(poses[span].astype(np.float32)))
        translation = torch.from_numpy(trans[span].astype(np.float32))
        return Motion(rotations, translation, fps=self._fps, caption="".join(record.captions[:1]))

    def _read_shard(self, name: str) -> tuple[dict[str, int], np.ndarray, np.ndarray]:
        """First row of each take, poses `[N, 22, 3]`, trans `[N, 3]`."""
        path = self.folder / name
        with open_arrays(path) as arrays:
            lost = [key for key in ("take", "start", "poses", "trans") if key not in arrays.files]
            if lost:
                raise ValueError(f"shard must hold take, start, poses and trans, got no {lost[0]} in {str(path)!r}")
            take, start, poses, trans = (get_array(arrays, key, path) for key in ("take", "start", "poses", "trans"))
        return dict(zip(take.tolist(), start.tolist(), strict=False)), poses, trans


def _list_motion_set(folder: Path) -> list[ClipRecord]:
    """Records of a motion set, from its `clips.jsonl`."""
    records = []
    for number, line in enumerate(read_text(folder / "clips.jsonl", "clips.jsonl").splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            captions = entry["captions"]
            records.append(
                ClipRecord(
                    name=entry["clip"],
                    file=entry["shard"],
                    split=entry["split"],
                    captions=tuple(caption["text"] for caption in captions),
                    subject=str(entry.get("subject", "")),
                    category=entry.get("category", ""),
                    whole=bool(entry.get("whole_take", True)),
                    own_captions=tuple(c["text"] for c in captions if c.get("source") in OWN_SOURCES),
                    sources=tuple(caption.get("source") or "" for caption in captions),
                    take=entry["take"],
                    start=entry["start"],
                    end=entry["end"],
                )
            )
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"clips.jsonl must hold one whole clip a line, got line {number} of {str(folder)!r} ({error!r})"
            ) from None
    last: dict[str, int] = {}
    for record in records:
        last[record.take] = max(record.end, last.get(record.take, 0))
    return [replace(record, ends=record.end == last[record.take]) for record in records]


def _records_of(file: MotionFile) -> list[ClipRecord]:
    """The clips of a motion file: the whole of it, unless all of its captions have spans, and each span."""
    spans = dict.fromkeys(caption.seconds for caption in file.captions)
    if not spans or None in spans:
        spans = {None: None, **spans}
    records = []
    for span in spans:
        captions = tuple(caption.text for caption in file.captions if caption.seconds == span)
        whole = ClipRecord(file.name, file.path, file.split, captions, file.subject)
        if span is None:
            records.append(whole)
        else:
            name = f"{file.name}_{span[0]:g}-{span[1]:g}"
            records.append(replace(whole, name=name, whole=False, own_captions=captions, ends=False, seconds=span))
    return records


def _span(motion: Motion, seconds: tuple[float, float] | None) -> Motion:
    """The part of a motion between two times; it may end after the motion, as in HumanML3D.

    Raises:
        ValueError: if fewer than two frames are left.
    """
    if seconds is None:
        return motion
    start, stop = (min(round(time * motion.fps), motion.num_frames) for time in seconds)
    if stop - start < 2:
        raise ValueError(
            f"seconds of a caption must lie in the motion, got {seconds[0]:g} to {seconds[1]:g} of "
            f"{motion.seconds:.2f} s"
        )
    return motion.slice(start, stop)
