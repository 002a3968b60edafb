"""Writes the shards of a run as results arrive, and finds the complete shards of an earlier attempt.

    writer = ShardWriter(folder, plan_shards(records, "my_motions", 1000), skip_bad=False)   # a ResumableFolder
    for piece, results in encode_pieces(writer.start(), ...):
        writer.take(piece, results)
    writer.finish()

Only one process writes, so nothing is written twice, and the remains of an interruption can be recognised. Unusual: a
shard whose motion files have changed in size or modification time since it was written is rewritten.
"""

import contextlib
import math
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motionmillion.data.clips import ClipRecord
from motionmillion.data.shards.encoding import EncodedClip
from motionmillion.data.shards.encoding_pool import Piece, Results
from motionmillion.data.shards.resumable import ResumableFolder
from motionmillion.data.shards.tokens import COLUMNS, HEADER, OPTIONAL, read_note, write_shard
from motionmillion.progress import say
from motionmillion.provenance import fingerprint

_PIECE = 64
"""Number of clips that a worker gets at a time: a second or two of work."""


@dataclass(frozen=True)
class PlannedShard:
    """The clips of a shard; `source` is a fingerprint of them and their motion files."""

    records: tuple[ClipRecord, ...]
    source: str


class ShardWriter:
    """Gathers the results of pieces and writes shards.

    Args:
        folder: of the shards, see `motionmillion.data.shards.tokenize`.
        plan: every shard of the run.
        skip_bad: skip motions that cannot be read, instead of failing.
    """

    def __init__(
        self,
        folder: ResumableFolder,
        plan: Sequence[PlannedShard],
        skip_bad: bool = False,
    ) -> None:
        self.folder, self.plan = folder, plan
        self.skip_bad = skip_bad
        self.notes: dict[int, dict[str, Any]] = {}  # of complete shards
        self.parts: dict[int, dict[int, Results]] = defaultdict(dict)  # results of the others, by piece

    def start(self) -> list[Piece]:
        """Find whole shards, clear away what is left of an interruption, and list the work."""
        there = sum(self.folder.path(number).exists() for number in range(len(self.plan)))
        self.notes = self.folder.start(self._whole)
        if there > len(self.notes):
            say(f"{there - len(self.notes)} shards are damaged, out of date or lack motions; they are made again")
        if self.notes:
            say(f"{len(self.notes)} of {len(self.plan)} shards are whole and kept")
        return [
            Piece(number, start // _PIECE, shard.records[start : start + _PIECE])
            for number, shard in enumerate(self.plan)
            if number not in self.notes
            for start in range(0, len(shard.records), _PIECE)
        ]

    def _whole(self, path: Path, number: int) -> dict[str, Any] | None:
        """The note of a shard that is as planned."""
        with contextlib.suppress(ValueError):
            note, shard = read_note(path), self.plan[number]
            same = note.get("run") == self.folder.run and note.get("source") == shard.source
            complete = same and note["clips"] + len(note["skipped"]) == len(shard.records)
            if complete and (self.skip_bad or not note["skipped"]):
                return note
        return None

    @property
    def clips_done(self) -> int:
        """Number of clips in complete shards, including skipped ones."""
        return sum(len(self.plan[number].records) for number in self.notes)

    def take(self, piece: Piece, results: Results) -> None:
        """Keep the results of a piece; write its shard if it was the last one."""
        for record, result in zip(piece.records, results, strict=True):
            if isinstance(result, str) and not self.skip_bad:
                raise ValueError(
                    f"motion must be readable, got {record.name!r} in {record.file!r}: {result}; repair it, or leave "
                    "out all such motions with --skip-bad"
                )
            if isinstance(result, str):
                say(f"left out {record.name!r} in {record.file!r}: {result}")
        parts = self.parts[piece.shard]
        parts[piece.number] = results
        if len(parts) == math.ceil(len(self.plan[piece.shard].records) / _PIECE):
            ordered = [result for number in sorted(parts) for result in parts[number]]
            del self.parts[piece.shard]
            self._write(piece.shard, ordered)

    def _write(self, number: int, results: Results) -> None:
        rows, skipped = [], []
        for record, result in zip(self.plan[number].records, results, strict=True):
            if isinstance(result, EncodedClip):
                row = {name: getattr(record, name) for name in (*COLUMNS, *OPTIONAL) if hasattr(record, name)}
                rows.append({**row, "frames": result.frames, "codes": result.codes})
            else:
                skipped.append({"name": record.name, "file": record.file, "reason": result})
        note = {"run": self.folder.run, "source": self.plan[number].source, "skipped": skipped}
        note |= {"clips": len(rows), "codes": sum(len(row["codes"]) for row in rows)}
        write_shard(rows, self.folder.path(number), note)
        self.notes[number] = note

    def finish(self) -> None:
        """Mark the run complete and print a summary."""
        notes = [self.notes[number] for number in range(len(self.plan))]
        clips, codes = (sum(note[name] for note in notes) for name in ("clips", "codes"))
        skipped = [entry for note in notes for entry in note["skipped"]]
        if not clips:
            raise ValueError(f"source must hold at least one readable motion, got {len(skipped)} that are not")
        self.folder.finish(clips=clips, codes=codes, skipped=skipped)
        left = f", {len(skipped)} motions left out, see {HEADER}" if skipped else ""
        say(f"{clips:,} clips, {codes:,} codes in {len(notes)} shards{left}")


def plan_shards(records: Sequence[ClipRecord], source: str | Path, shard_size: int) -> list[PlannedShard]:
    """Consecutive runs of `shard_size` records, each with the state of its files."""
    stamps: dict[str, str] = {}
    for name in {"skeleton.json", *(record.file for record in records)}:
        with contextlib.suppress(OSError):
            state = os.stat(Path(source) / name)
            stamps[name] = f"{state.st_size} {state.st_mtime_ns}"
    plan = []
    for start in range(0, len(records), shard_size):
        part = tuple(records[start : start + shard_size])
        lines = [stamps.get("skeleton.json"), *([record.facts(), stamps.get(record.file)] for record in part)]
        plan.append(PlannedShard(part, fingerprint(lines)))
    return plan
