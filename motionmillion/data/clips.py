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
  subject, which is the name of the file's folder, or of the file itself if it is in the top folder.

Unusual: splits never cut through a subject.
"""

import functools
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import roma
import torch

from motionmillion.io import readable_suffixes
from motionmillion.io.arrays import get_array, open_arrays
from motionmillion.motion import Motion

SPLITS = ("train", "val", "test")
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


def load_clips(folder: str | Path, splits: Iterable[str] = SPLITS) -> list[MotionClip]:
    """All clips of a folder that belong to `splits`, in the order of the folder's list or file names.

    Raises:
        ValueError: if the folder does not exist, holds no motion, or a file in it cannot be read.
    """
    records = list_clips(folder, splits)
    return list(map(ClipReader(folder), records))


def list_clips(folder: str | Path, splits: Iterable[str] = SPLITS) -> list[ClipRecord]:
    """Records of the clips of a folder that belong to `splits`, in the order of `load_clips`; reads no motion.

    Raises:
        ValueError: if the folder does not exist or lists no motion, or its list is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"folder must be an existing folder of motions, got {str(folder)!r}")
    splits = tuple(splits)
    records = _list_motion_set(folder) if (folder / "clips.jsonl").exists() else _list_files(folder)
    records = [record for record in records if record.split in splits]
    if not records:
        raise ValueError(f"folder must hold motions of the splits {splits}, got none in {str(folder)!r}")
    return records


class ClipReader:
    """Reads the clips listed by `list_clips`; caches the shards of a motion set that were read last.

    Raises:
        ValueError: if a file cannot be read; the message names it.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._shard = functools.lru_cache(maxsize=4)(self._read_shard)

    def __call__(self, record: ClipRecord) -> MotionClip:
        path = self.folder / record.file
        try:
            motion = self._cut(record) if record.take else Motion.load(path)
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
        return float(json.loads((self.folder / "skeleton.json").read_text(encoding="utf-8"))["fps"])

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
    for number, line in enumerate((folder / "clips.jsonl").read_text(encoding="utf-8").splitlines(), 1):
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


def _list_files(folder: Path) -> list[ClipRecord]:
    """Records of a folder of motion files, with captions from text files and splits from lists or subjects."""
    listed = {split: folder / f"{split}.txt" for split in SPLITS}
    chosen = {
        name.strip(): split
        for split, path in listed.items()
        if path.exists()
        for name in path.read_text().splitlines()
        if name.strip()
    }
    records, suffixes = [], readable_suffixes()
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes):
        inside = path.relative_to(folder)
        subject = inside.parent.as_posix() if len(inside.parts) > 1 else inside.stem
        split = chosen.get(inside.as_posix()) or chosen.get(inside.with_suffix("").as_posix())
        split = split or ("train" if chosen else split_of_subject(subject))
        text = path.with_suffix(".txt")
        captions = tuple(s for s in map(str.strip, text.read_text().splitlines()) if s) if text.exists() else ()
        name = inside.with_suffix("").as_posix()
        records.append(ClipRecord(name, inside.as_posix(), split, captions, subject))
    return records


def split_of_subject(subject: str) -> str:
    """A stable split for a subject: about 80 % train, 10 % val, 10 % test, by a hash of the name."""
    share = int(hashlib.sha256(subject.encode()).hexdigest()[:8], 16) / 2**32
    return "train" if share < 0.8 else "val" if share < 0.9 else "test"
