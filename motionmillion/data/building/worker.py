"""What a worker does with a unit: read its motions, make rows, write files; again from where it was killed.

    build = UnitBuilder("download", "my_set", "motionmillion", options, run)
    build(unit)                                        # files motions-KEY-00000.arrow, ...; nothing if they are there

Every file says which unit it belongs to, how many members of the unit have been dealt with once it is written, what
was wrong with them, and whether it is the last one. So nothing else is kept about progress, and a unit whose archive
has changed, such as one that has been downloaded further, is read anew.
"""

import contextlib
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from motionmillion.data.building.rows import fault_of, rows_of
from motionmillion.data.layouts import layout_class
from motionmillion.data.layouts.archives import Unit
from motionmillion.data.layouts.base import NOTES, BuildOptions
from motionmillion.data.layouts.index import Index
from motionmillion.data.shards.motion_writer import Fault
from motionmillion.data.shards.motions import FILES, Row, read_note, write_motions
from motionmillion.data.shards.pool import report
from motionmillion.io.files import is_disk_full

WORK, INDEX = ".work", "index.sqlite"
_FRAMES = 1_000_000
"""Frames of a file at the most, so that its lists stay below Arrow's limit."""


class UnitParts:
    """The files of a unit: those that are whole, of the same run, source and order, are kept; the others removed."""

    def __init__(self, output: Path, unit: Unit, run: str) -> None:
        self.output, self.unit, self.run = output, unit, run
        self.notes: list[dict[str, Any]] = []
        paths = sorted(output.glob(FILES.shard_name(unit.key, "*")))
        while paths and (note := self._note(paths[0])) is not None:
            self.notes.append(note)
            paths.pop(0)
        for path in paths:
            path.unlink(missing_ok=True)

    def _note(self, path: Path) -> dict[str, Any] | None:
        wanted = {"run": self.run, "unit": self.unit.key, "stamp": self.unit.stamp, "part": len(self.notes)}
        try:
            note = read_note(path)
        except ValueError:
            return None
        same = path.name == self.name(len(self.notes)) and all(note.get(key) == wanted[key] for key in wanted)
        return note if same and not (self.notes and self.notes[-1]["end"]) else None

    def name(self, part: int) -> str:
        """Name of a file."""
        return FILES.shard_name(self.unit.key, f"{part:05d}")

    @property
    def names(self) -> list[str]:
        """Names of the files that are there."""
        return [self.name(part) for part in range(len(self.notes))]

    @property
    def position(self) -> int:
        """How many members have been dealt with."""
        return self.notes[-1]["position"] if self.notes else 0

    @property
    def whole(self) -> bool:
        """Whether the unit is done."""
        return bool(self.notes) and self.notes[-1]["end"]

    def write(self, rows: list[Row], faults: list[Fault], position: int, end: bool) -> None:
        """Write the next file."""
        note = {"run": self.run, "unit": self.unit.key, "stamp": self.unit.stamp, "part": len(self.notes)}
        note |= {"position": position, "end": end, "faults": [list(fault) for fault in faults]}
        write_motions(rows, self.output / self.name(len(self.notes)), note)
        self.notes.append({**note, "clips": len(rows)})


class UnitBuilder:
    """Builds units of a source; one for each worker.

    Args:
        source: folder with the data set as it was downloaded.
        output: folder to write.
        layout: name of the layout.
        run: fingerprint of the run, which every file carries.
    """

    def __init__(self, source: str, output: str, layout: str, options: BuildOptions, run: str) -> None:
        kind = layout_class(layout)
        self.layout, self.options, self.run = kind(Path(source), options), options, run
        self.output = Path(output)
        work = self.output / WORK
        self.index = Index(work / INDEX) if kind.indexed else None
        self.scratch = work / f"scratch-{os.getpid()}"

    def __call__(self, unit: Unit) -> int:
        """Write what is missing of a unit; returns the number of its clips.

        Raises:
            ValueError: for the first fault, if the options are strict, and for a full disk.
        """
        parts = UnitParts(self.output, unit, self.run)
        if parts.whole:
            report(unit.size)
            return sum(note["clips"] for note in parts.notes)
        self.scratch.mkdir(parents=True, exist_ok=True)
        try:
            self._build(unit, parts)
        except OSError as error:
            if is_disk_full(error):
                raise ValueError(
                    f"disk must have room, got none left in {str(self.output)!r}; free some and run the same command "
                    "again, files that are whole are kept"
                ) from None
            raise
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)
        return sum(note["clips"] for note in parts.notes)

    def _build(self, unit: Unit, parts: UnitParts) -> None:
        rows: list[Row] = []
        faults: list[Fault] = []
        position, frames = parts.position, 0
        for member in self.layout.members(unit, self.scratch, position):
            position += 1
            for made in self._made(member):
                if isinstance(made, Row):
                    rows.append(made)
                    frames += made.motion.num_frames
                    continue
                if self.options.strict and made.kind not in NOTES:
                    raise ValueError(
                        f"source must be free of faults with --strict, got {made.kind}: {made.name}: {made.reason}"
                    )
                faults.append(made)
            if len(rows) >= self.options.shard_size or frames >= _FRAMES:
                parts.write(rows, faults, position, end=False)
                rows, faults, frames = [], [], 0
        parts.write(rows, faults, position, end=True)

    def _made(self, member: Any) -> Iterator[Row | Fault]:
        """Rows and faults of a member."""
        if isinstance(member, Fault):
            yield member
            return
        drafts = self._drafts(member)
        for draft in drafts:
            if isinstance(draft, Fault):
                yield draft
                continue
            try:
                yield from rows_of(self.layout.labelled(draft), self.options, member_file(member))
            except ValueError as error:
                yield fault_of(error, draft.name)

    def _drafts(self, member: Any) -> Iterator[Any]:
        name, path = member_file(member), str(getattr(member, "path", ""))
        try:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always", UserWarning)
                found = list(self.layout.drafts(member, self.index))
            for warning in dict.fromkeys(str(one.message) for one in said if issubclass(one.category, UserWarning)):
                yield Fault("read with a warning", name, warning.replace(path, name) if path else warning)
            yield from found
        except (ValueError, IndexError, OSError) as error:
            if is_disk_full(error):
                raise
            fault = fault_of(error, name)
            yield fault._replace(reason=fault.reason.replace(path, name) if path else fault.reason)


def member_file(member: Any) -> str:
    """What the column `file` says of a member or a record."""
    return member.name if hasattr(member, "path") else member.file


def make_builder(*arguments: Any) -> Callable[[Unit], int]:
    """A builder, for `motionmillion.data.shards.pool`."""
    with contextlib.suppress(RuntimeError):
        torch.set_num_threads(1)
    return UnitBuilder(*arguments)
