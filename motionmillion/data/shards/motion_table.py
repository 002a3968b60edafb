"""Reading a data set on disk: every clip by its number, from memory-mapped files.

    table = MotionTable("my_set")
    table.clip(12345)                                 # a MotionClip
    rows = table.rows(("train",))                     # numbers of the clips of a split
    table.column("frames")                            # one number a clip

The index is a number for each file, so that opening a data set of two million clips takes no memory for each of them;
the operating system shares the mapped files between processes. See `motionmillion.data.shards.motions` for the format.

Unusual: files are opened when they are needed, at most `_OPEN` at a time, because a process may hold few files.
"""

import functools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np

from motionmillion.data.records import ClipRecord, MotionClip
from motionmillion.data.shards.motions import FILES, HEADER, map_motions, motion_of
from motionmillion.data.splits import SPLITS
from motionmillion.motion import Motion

if TYPE_CHECKING:
    import pyarrow as pa

_OPEN = 256
_MANY = 512
"""Rows that are turned into records at a time."""
_RECORD = ("name", "split", "subject", "category", "whole", "ends", "texts", "text_origins", "text_own")
_RECORD += ("source", "trusted")
_SHARED = ("name", "captions", "split", "subject", "category", "whole", "own_captions", "sources", "ends", "dataset")
_SHARED += ("trusted",)
"""Fields of both a record and a clip."""


def is_table(folder: str | Path) -> bool:
    """Whether a folder is a data set of `motionmillion data build`, finished or not."""
    return (Path(folder) / HEADER).is_file()


class Counts(NamedTuple):
    """Numbers of clips by split, and of those with captions."""

    clips: Counter[str]
    captioned: Counter[str]


class MotionTable:
    """A data set on disk.

    Raises:
        ImportError: without pyarrow.
        ValueError: for a folder that is no data set or unfinished, and for files that are missing or damaged when they
            are first read.
    """

    def __init__(self, folder: str | Path) -> None:
        check_arrow()
        self.folder = Path(folder)
        self.header = FILES.read_header(folder)
        if not self.header["complete"]:
            raise ValueError(
                f"folder must be a finished data set, got an interrupted one, {str(folder)!r}; run the "
                "command that writes it again, which makes what is missing"
            )
        self.files: list[str] = [entry["file"] for entry in self.header["files"]]
        counts = [entry["clips"] for entry in self.header["files"]]
        self.starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._table = functools.lru_cache(maxsize=_OPEN)(self._read)

    def __reduce__(self) -> tuple[Any, ...]:
        return MotionTable, (self.folder,)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def table(self, file: int) -> "pa.Table":
        """The rows of a file, by its number."""
        return self._table(file)

    def _read(self, file: int) -> "pa.Table":
        table = map_motions(self.folder / self.files[file])
        if table.num_rows != self.starts[file + 1] - self.starts[file]:
            raise ValueError(
                f"file must have the clips that {HEADER} says, got {table.num_rows} in {self.files[file]!r} of "
                f"{str(self.folder)!r}; run the same motionmillion data build again"
            )
        return table

    def place(self, index: int) -> tuple[int, int]:
        """File and row of a clip."""
        if not 0 <= index < len(self):
            raise IndexError(f"index must be in 0..{len(self) - 1}, got {index!r}")
        file = int(np.searchsorted(self.starts, index, side="right")) - 1
        return file, int(index - self.starts[file])

    def motion(self, index: int, start: int = 0, stop: int | None = None) -> Motion:
        """The motion of a clip, or only its frames `start` to `stop`."""
        file, row = self.place(index)
        return motion_of(self.table(file), row, start, stop)

    def record(self, index: int) -> ClipRecord:
        """A clip without its motion."""
        file, row = self.place(index)
        return next(self._records(file, [row]))

    def clip(self, index: int) -> MotionClip:
        """A clip with its motion."""
        record = self.record(index)
        return MotionClip(motion=self.motion(index), **{name: getattr(record, name) for name in _SHARED})

    def name(self, index: int) -> str:
        """Name of a clip."""
        file, row = self.place(index)
        return self.table(file)["name"][row].as_py()

    def column(self, name: str) -> np.ndarray:
        """A column as an array with one value a clip; `quality.jerk` and the like are numbers of `quality`."""
        parts = [_array(self.table(file), name) for file in range(len(self.files))]
        return np.concatenate(parts) if parts else np.zeros(0)

    def rows(self, splits: Iterable[str] = SPLITS, captioned: bool = False) -> np.ndarray:
        """Numbers of the clips of `splits`, int32; with `captioned` only of those that have captions."""
        import pyarrow as pa
        import pyarrow.compute

        pc: Any = pyarrow.compute
        wanted = pa.array(list(splits))
        found = []
        for file in range(len(self.files)):
            table = self.table(file)
            chosen = pc.is_in(table["split"], value_set=wanted)
            if captioned:
                chosen = pc.and_(chosen, pc.greater(pc.list_value_length(table["texts"]), 0))
            found.append(np.flatnonzero(chosen.to_numpy()) + self.starts[file])
        return np.concatenate(found).astype(np.int32) if found else np.zeros(0, np.int32)

    def records(self, splits: Iterable[str] = SPLITS) -> "TableRecords":
        """The records of the clips of `splits`, made when they are asked for."""
        splits = tuple(splits)
        return TableRecords(self, np.arange(len(self)) if set(splits) >= set(SPLITS) else self.rows(splits))

    def counts(self) -> Counts:
        """Numbers of clips by split."""
        every, told = Counter[str](), Counter[str]()
        for split in SPLITS:
            every[split] = len(self.rows((split,)))
            told[split] = len(self.rows((split,), captioned=True))
        return Counts(every, told)

    def _records(self, file: int, rows: Sequence[int]) -> Iterator[ClipRecord]:
        table = self.table(file).select(_RECORD).take(list(rows))
        for row, entry in zip(rows, table.to_pylist(), strict=True):
            texts, own, trusted = entry.pop("texts"), entry.pop("text_own"), entry.pop("trusted")
            yield ClipRecord(
                file=self.files[file],
                captions=tuple(texts),
                sources=tuple(entry.pop("text_origins")),
                own_captions=tuple(text for text, mine in zip(texts, own, strict=True) if mine),
                row=int(self.starts[file]) + int(row),
                dataset=entry.pop("source"),
                trusted=None if trusted is None else tuple(trusted),
                **entry,
            )


class TableRecords(Sequence[ClipRecord]):
    """Records of a data set in the order of their numbers."""

    def __init__(self, table: MotionTable, rows: np.ndarray) -> None:
        self.table, self.indices = table, rows

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, item: int) -> ClipRecord: ...
    @overload
    def __getitem__(self, item: slice) -> "TableRecords": ...
    def __getitem__(self, item: int | slice) -> "ClipRecord | TableRecords":
        if isinstance(item, slice):
            return TableRecords(self.table, self.indices[item])
        return self.table.record(int(self.indices[item]))

    def __iter__(self) -> Iterator[ClipRecord]:
        files = np.searchsorted(self.table.starts, self.indices, side="right") - 1
        for start in range(0, len(self.indices), _MANY):
            part, own = self.indices[start : start + _MANY], files[start : start + _MANY]
            for file in dict.fromkeys(own.tolist()):
                yield from self.table._records(file, (part[own == file] - self.table.starts[file]).tolist())

    def counts(self) -> Counts:
        """Numbers of clips by split."""
        if len(self) == len(self.table):
            return self.table.counts()
        told = set(self.table.rows(captioned=True).tolist())
        every = {split: set(self.table.rows((split,)).tolist()) & set(self.indices.tolist()) for split in SPLITS}
        return Counts(
            Counter({split: len(rows) for split, rows in every.items()}),
            Counter({split: len(rows & told) for split, rows in every.items()}),
        )


def check_arrow() -> None:
    """Raise `ImportError` with the remedy if pyarrow is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        message = 'pyarrow must be installed for data sets; run: pip install "motionmillion[train]"'
        raise ImportError(message) from error


def _array(table: "pa.Table", name: str) -> np.ndarray:
    column = table[name.partition(".")[0]]
    if "." in name:
        import pyarrow.compute

        pc: Any = pyarrow.compute
        column = pc.struct_field(column, name.partition(".")[2])
    return column.to_numpy()
