"""Clips: motions with captions, split and subject, from a folder.

    clips = load_clips("../shared/data/cmu_text_motion")

Two kinds of folder are read:
- a motion set: `clips.jsonl` (one clip a line: `clip`, `take`, `shard`, `start`, `end`, `split`, `subject`,
  `category`, `captions`), `motion-*.npz` shards (`take`, `start`, `poses` rotation vectors `[N, 22, 3]`, `trans`
  `[N, 3]`) and `skeleton.json` (fps); y up, metres;
- any folder of motion files (.npz, .bvh, .npy): the captions of `x.npz` stand in `x.txt`, one a line; the split comes
  from `train.txt`, `val.txt`, `test.txt` (one file name a line) where they exist, else from a hash of the subject,
  which is the name of the file's folder, or of the file itself where it lies in the top folder.

Unusual: splits never cut through a subject.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import roma
import torch

from motionmillion.motion import Motion

SPLITS = ("train", "val", "test")
MOTION_SUFFIXES = (".npz", ".bvh", ".npy")


@dataclass(frozen=True)
class MotionClip:
    """One motion with everything that is said about it.

    Args:
        name: unique in its data set.
        captions: texts, each describing the whole clip.
        whole: False for a window cut out of a longer take, of which `captions` describe the whole.
        own_captions: the texts among `captions` that were made from this very window.
    """

    name: str
    motion: Motion
    captions: tuple[str, ...] = ()
    split: str = "train"
    subject: str = ""
    category: str = ""
    whole: bool = True
    own_captions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"split must be one of {SPLITS}, got {self.split!r} for clip {self.name!r}")

    def replace(self, **changes) -> "MotionClip":
        return replace(self, **changes)


def load_clips(folder: str | Path, splits: Iterable[str] = SPLITS) -> list[MotionClip]:
    """All clips of a folder that belong to `splits`, in the order of the disk.

    Raises:
        ValueError: if the folder does not exist, holds no motion, or a file in it cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"folder must be an existing folder of motions, got {str(folder)!r}")
    splits = tuple(splits)
    clips = _load_motion_set(folder, splits) if (folder / "clips.jsonl").exists() else _load_files(folder, splits)
    if not clips:
        raise ValueError(f"folder must hold motions of the splits {splits}, got none in {str(folder)!r}")
    return clips


def _load_motion_set(folder: Path, splits: tuple[str, ...]) -> list[MotionClip]:
    records = [json.loads(line) for line in (folder / "clips.jsonl").read_text().splitlines() if line.strip()]
    fps = float(json.loads((folder / "skeleton.json").read_text())["fps"])
    shards: dict[str, dict[str, np.ndarray]] = {}
    rows: dict[str, dict[str, int]] = {}
    clips = []
    for record in records:
        if record["split"] not in splits:
            continue
        shard = record["shard"]
        if shard not in shards:
            with np.load(folder / shard, allow_pickle=False) as file:
                shards[shard] = {key: file[key] for key in file.files}
            rows[shard] = dict(zip(shards[shard]["take"].tolist(), shards[shard]["start"].tolist(), strict=False))
        first = rows[shard][record["take"]]
        span = slice(first + record["start"], first + record["end"])
        rotations = roma.rotvec_to_rotmat(torch.from_numpy(shards[shard]["poses"][span].astype(np.float32)))
        translation = torch.from_numpy(shards[shard]["trans"][span].astype(np.float32))
        captions = record["captions"]
        clips.append(
            MotionClip(
                name=record["clip"],
                motion=Motion(rotations, translation, fps=fps, caption=captions[0]["text"] if captions else ""),
                captions=tuple(caption["text"] for caption in captions),
                split=record["split"],
                subject=str(record.get("subject", "")),
                category=record.get("category", ""),
                whole=bool(record.get("whole_take", True)),
                own_captions=tuple(c["text"] for c in captions if c.get("source") == "kinematic"),
            )
        )
    return clips


def _load_files(folder: Path, splits: tuple[str, ...]) -> list[MotionClip]:
    listed = {split: folder / f"{split}.txt" for split in SPLITS}
    chosen = {
        name.strip(): split
        for split, path in listed.items()
        if path.exists()
        for name in path.read_text().splitlines()
        if name.strip()
    }
    clips = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in MOTION_SUFFIXES):
        inside = path.relative_to(folder)
        subject = inside.parent.as_posix() if len(inside.parts) > 1 else inside.stem
        split = chosen.get(inside.as_posix()) or chosen.get(inside.with_suffix("").as_posix())
        split = split or ("train" if chosen else split_of_subject(subject))
        if split not in splits:
            continue
        text = path.with_suffix(".txt")
        captions = tuple(s for s in map(str.strip, text.read_text().splitlines()) if s) if text.exists() else ()
        motion = Motion.load(path)
        if captions:
            motion = motion.replace(caption=captions[0])
        name = inside.with_suffix("").as_posix()
        clips.append(MotionClip(name=name, motion=motion, captions=captions, split=split, subject=subject))
    return clips


def split_of_subject(subject: str) -> str:
    """A stable split for a subject: about 80 % train, 10 % val, 10 % test, by a hash of the name."""
    share = int(hashlib.sha256(subject.encode()).hexdigest()[:8], 16) / 2**32
    return "train" if share < 0.8 else "val" if share < 0.9 else "test"
