"""Clips: motions with captions, split and subject, from a folder.

    clips = load_clips("my_motions")

    records = list_clips("my_motions")             # everything but the motions, quickly
    reader = ClipReader("my_motions")
    clip = reader(records[0])

Three kinds of folder are supported:
- a data set of `motionmillion data build`, see `motionmillion.data.shards.motions`; it is memory-mapped, and its
  records are made when they are asked for;
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

import numpy as np
import roma
import torch

from motionmillion.data.folder_files import MotionFile, by_span, find_files
from motionmillion.data.records import OWN_SOURCES, ClipRecord, MotionClip, description_of, sources_of
from motionmillion.data.shards.motion_table import MotionTable, is_table
from motionmillion.data.splits import SPLITS, split_of_subject
from motionmillion.io.arrays import get_array, open_arrays
from motionmillion.io.files import read_text
from motionmillion.motion import Motion
from motionmillion.progress import tracked

__all__ = ["OWN_SOURCES", "SPLITS", "ClipReader", "ClipRecord", "Listing", "MotionClip", "cut_span", "description_of"]
__all__ += ["list_clips", "list_folder", "load_clips", "sources_of", "split_of_subject"]


@dataclass(frozen=True)
class Listing:
    """The clips of a folder.

    Args:
        left_out: one line for each kind of file that is left out, with a count.
        rule: how the splits were made, in words.
        faults: what is wrong with lists and captions, one line each.
    """

    records: Sequence[ClipRecord]
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


def list_clips(folder: str | Path, splits: Iterable[str] = SPLITS, skip_bad: bool = False) -> Sequence[ClipRecord]:
    """Records of the clips of a folder that belong to `splits`, in the order of `load_clips`; reads no motion.

    Args:
        skip_bad: leave out what is wrong with lists and captions, instead of failing.

    Raises:
        ValueError: if the folder does not exist or lists no motion, or its list is damaged.
    """
    splits = tuple(splits)
    if is_table(folder):
        records: Sequence[ClipRecord] = MotionTable(folder).records(splits)
    else:
        records = [record for record in list_folder(folder, skip_bad).records if record.split in splits]
    if not records:
        named = "" if set(SPLITS) <= set(splits) else f" of the split {' or '.join(splits)}"
        raise ValueError(f"folder must hold motions{named}, got none in {str(folder)!r}")
    return records


def list_folder(folder: str | Path, skip_bad: bool = False) -> Listing:
    """All clips of a folder, what is left out of it and how its splits are made; reads no motion.

    Raises:
        ValueError: if the folder does not exist, or its list is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"folder must be an existing folder of motions, got {str(folder)!r}")
    if is_table(folder):
        return Listing(MotionTable(folder).records(), [], "of the data set")
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
        self._table = MotionTable(folder) if is_table(folder) else None

    def __call__(self, record: ClipRecord) -> MotionClip:
        if self._table is not None and record.row is not None:
            return self._table.clip(record.row)
        path = self.folder / record.file
        try:
            motion = self._cut(record) if record.take else cut_span(self._whole(path), record.seconds)
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
            dataset=record.dataset,
            trusted=record.trusted,
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
    records = []
    for span, captions in by_span(file.captions).items():
        whole = ClipRecord(file.name, file.path, file.split, captions, file.subject)
        if span is None:
            records.append(whole)
        else:
            name = f"{file.name}_{span[0]:g}-{span[1]:g}"
            records.append(replace(whole, name=name, whole=False, own_captions=captions, ends=False, seconds=span))
    return records


def cut_span(motion: Motion, seconds: tuple[float, float] | None) -> Motion:
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
