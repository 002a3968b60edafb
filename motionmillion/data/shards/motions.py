"""Data sets on disk: clips with motion, texts and what is known of them, as Arrow files in one folder.

    write_motions(rows, "my_set/motions-ab12-00000.arrow", note)           # rows are `Row`s
    table = map_motions("my_set/motions-ab12-00000.arrow")                 # memory-mapped, nothing is copied
    motion = motion_of(table, 0)

`motionmillion data build` writes such folders, `motionmillion.data.shards.motion_table.MotionTable` reads them, and
`datasets.load_from_disk("my_set")` gives the same rows.

| column | type | content |
|---|---|---|
| name | string | unique in the folder |
| split, subject, category | string | as in `MotionClip`; split is train, val or test |
| take | string | the recording, also of mirrored copies: clips of one take belong to one split |
| source, licence | string | data set, and part of it, that the clip is from; terms of use |
| id, file | string | what the source calls the clip; the file or `archive!member` that it was read from |
| whole, ends | bool | as in `MotionClip` |
| fps, frames | float32, int32 | frame rate and length |
| poses | list of int16 | rotation vectors `[frames, 22, 3]` of SMPL22's joints in units of pi / 32767 radians |
| trans | list of float32 | pelvis positions `[frames, 3]`, metres, y up |
| texts, text_origins, text_own | lists | captions; who wrote each; whether it describes this very clip |
| flags | list of string | findings of `motionmillion.data.audit` |
| trusted | list of string, or null | blocks of features that a text may be trained on; null for all |
| quality | struct of float32 | see `motionmillion.data.quality` |
| content | string | hash of the poses below the pelvis, alike for copies that are moved, turned or renamed |

`dataset.json` says where the clips come from, which files there are, with their SHA-256, and what was left out.
Unusual: poses take 132 bytes a frame; the rounding moves no joint by more than 0.2 mm. Hands and body shape are not
stored: every motion is on the `SMPL22` body.
"""

import hashlib
import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import roma
import torch

from motionmillion.data.quality import QUALITY
from motionmillion.data.shards.resumable import ShardFiles
from motionmillion.data.splits import SPLITS
from motionmillion.io.files import atomic_path
from motionmillion.motion import Motion

if TYPE_CHECKING:
    import pyarrow as pa

HEADER = "dataset.json"
FORMAT = 1
FILES = ShardFiles(
    HEADER,
    "motions-{}-{}.arrow",
    FORMAT,
    "data build",
    ("sources", "files", "clips"),
    ("state.json", "dataset_info.json", "faults.jsonl"),
)
POSE_STEP = math.pi / 32767
"""Radians of a unit of `poses`."""

_KEY = b"motionmillion"
_JOINTS = 22
_TEXTS = ("name", "split", "subject", "category", "take", "source", "licence", "id", "file")
_LISTS = ("texts", "text_origins", "flags")


@dataclass(frozen=True)
class Row:
    """A clip to write; the fields are the columns, apart from the motion and what is computed from it."""

    name: str
    motion: Motion
    split: str = "train"
    subject: str = ""
    category: str = ""
    take: str = ""
    source: str = ""
    licence: str = ""
    id: str = ""
    file: str = ""
    whole: bool = True
    ends: bool = True
    texts: tuple[str, ...] = ()
    text_origins: tuple[str, ...] = ()
    text_own: tuple[bool, ...] = ()
    flags: tuple[str, ...] = ()
    trusted: tuple[str, ...] | None = None
    quality: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"split must be one of {SPLITS}, got {self.split!r} for clip {self.name!r}")
        if not len(self.texts) == len(self.text_origins) == len(self.text_own):
            raise ValueError(
                f"texts must have one origin each, got {len(self.texts)} texts, {len(self.text_origins)} origins and "
                f"{len(self.text_own)} marks for clip {self.name!r}"
            )


def schema(note: dict[str, Any] | None = None) -> "pa.Schema":
    """The columns of a file; `note` goes into its metadata."""
    import pyarrow as pa

    words = pa.list_(pa.string())
    types = dict.fromkeys(_TEXTS, pa.string()) | dict.fromkeys(("whole", "ends"), pa.bool_())
    types |= dict(fps=pa.float32(), frames=pa.int32(), poses=pa.list_(pa.int16()), trans=pa.list_(pa.float32()))
    types |= dict.fromkeys(_LISTS, words) | dict(text_own=pa.list_(pa.bool_()), trusted=words)
    types |= dict(quality=pa.struct([(name, pa.float32()) for name in QUALITY]), content=pa.string())
    metadata = None if note is None else {_KEY: zlib.compress(json.dumps(note).encode())}
    return pa.schema(list(types.items()), metadata=metadata)


def encode_rows(rows: Sequence[Row]) -> "pa.Table":
    """Rows as a table with the columns of `schema`."""
    import pyarrow as pa

    columns: dict[str, Any] = {name: [getattr(row, name) for row in rows] for name in (*_TEXTS, "whole", "ends")}
    columns |= {name: [list(getattr(row, name)) for row in rows] for name in (*_LISTS, "text_own")}
    columns["trusted"] = [None if row.trusted is None else list(row.trusted) for row in rows]
    columns["quality"] = [{name: row.quality.get(name) for name in QUALITY} for row in rows]
    frames = np.array([row.motion.num_frames for row in rows], np.int32)
    columns |= {"fps": np.array([row.motion.fps for row in rows], np.float32), "frames": frames}
    poses = [encode_poses(row.motion) for row in rows]
    trans = [row.motion.translation.detach().cpu().numpy().astype(np.float32).ravel() for row in rows]
    columns["content"] = [content_hash(own, row.motion.fps) for own, row in zip(poses, rows, strict=True)]
    poses = [own.ravel() for own in poses]
    columns["poses"] = _lists(poses, frames * _JOINTS * 3, np.int16)
    columns["trans"] = _lists(trans, frames * 3, np.float32)
    names = schema()
    return pa.table([pa.array(columns[f.name], f.type) for f in names], schema=names)


def encode_poses(motion: Motion) -> np.ndarray:
    """The column `poses` of a motion, int16 `[T, 22, 3]`."""
    vectors = roma.rotmat_to_rotvec(motion.rotations.detach().cpu()) / POSE_STEP
    return vectors.round().clamp(-32767, 32767).numpy().astype(np.int16)


def content_hash(poses: np.ndarray, fps: float) -> str:
    """16 digits of a hash of `poses` `[T, 22, 3]`, apart from those of the pelvis."""
    digest = hashlib.sha256(f"{len(poses)} {fps:.3f}".encode())
    digest.update(np.ascontiguousarray(poses[:, 1:]).tobytes())
    return digest.hexdigest()[:16]


def _lists(values: Sequence[np.ndarray], sizes: np.ndarray, dtype: Any) -> "pa.Array":
    import pyarrow as pa

    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    joined = np.concatenate(values) if values else np.zeros(0, dtype)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(joined))


def write_motions(rows: "Sequence[Row] | pa.Table", path: str | Path, note: dict[str, Any]) -> None:
    """Write rows, or a table of them, as one file with a single record batch; whole or not at all.

    Args:
        note: what `read_note` returns, such as the run that made the file.
    """
    import pyarrow as pa

    table = encode_rows(rows) if isinstance(rows, Sequence) else rows
    kept = schema({**note, "clips": table.num_rows})
    batch = pa.RecordBatch.from_arrays([_whole(table[f.name], f.type) for f in kept], schema=kept)
    with atomic_path(path) as temporary, pa.OSFile(str(temporary), "wb") as sink:
        with pa.ipc.new_stream(sink, kept) as stream:
            stream.write_batch(batch)


def _whole(column: "pa.ChunkedArray", kind: "pa.DataType") -> "pa.Array":
    import pyarrow as pa

    if not column.num_chunks:
        return pa.array([], kind)
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def map_motions(path: str | Path) -> "pa.Table":
    """A file as a memory-mapped table.

    Raises:
        ValueError: if it is missing, truncated or of another kind.
    """
    return _mapped(path)[0]


def read_note(path: str | Path) -> dict[str, Any]:
    """The `note` given to `write_motions`, and the number of `clips`; reads only the file's ends.

    Raises:
        ValueError: if the file is missing, truncated or of another kind.
    """
    table, note = _mapped(path)
    if table.num_rows != note["clips"]:
        raise _damaged(path)
    return note


def _mapped(path: str | Path) -> "tuple[pa.Table, dict[str, Any]]":
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_stream(source).read_all()
        note = json.loads(zlib.decompress((table.schema.metadata or {})[_KEY]))
        if table.schema.names != schema().names or not isinstance(note, dict) or "clips" not in note:
            raise KeyError("clips")
    except FileNotFoundError:
        raise ValueError(
            f"file must exist, got no {str(path)!r}; run the same motionmillion data build again"
        ) from None
    except (pa.ArrowException, OSError, KeyError, ValueError, zlib.error):
        raise _damaged(path) from None
    return table, note


def _damaged(path: str | Path) -> ValueError:
    return ValueError(
        f"file must be a whole file of a data set, got {str(path)!r}; run the same motionmillion data build again, it "
        "makes what is missing"
    )


def motion_of(table: "pa.Table", row: int, start: int = 0, stop: int | None = None) -> Motion:
    """The motion of a row, or its frames `start` to `stop`, of which only these are read."""
    frames = table["frames"][row].as_py()
    stop = frames if stop is None else min(stop, frames)
    poses = _values(table, "poses", row)[start * _JOINTS * 3 : stop * _JOINTS * 3]
    trans = _values(table, "trans", row)[start * 3 : stop * 3]
    vectors = torch.from_numpy(poses.astype(np.float32)).reshape(-1, _JOINTS, 3) * POSE_STEP
    texts = table["texts"][row].values
    caption = texts[0].as_py() if texts is not None and len(texts) else ""
    path = torch.from_numpy(trans.copy()).reshape(-1, 3)
    return Motion(roma.rotvec_to_rotmat(vectors), path, float(table["fps"][row].as_py()), caption=caption)


def _values(table: "pa.Table", column: str, row: int) -> np.ndarray:
    """The numbers in a list of a row, without a copy."""
    return table[column][row].values.to_numpy(zero_copy_only=True)
