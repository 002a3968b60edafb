"""Any folder of motion files, or a motion set, with captions beside the files or in a table.

Files, captions in `x.txt` and lists of splits are found as for training (`motionmillion.data.clips`). A table of
captions (`--captions`) replaces those in text files. It is a `.csv` or `.tsv` file with a header, or a `.jsonl` file,
with these columns; several rows may name one file:

| column | content |
|---|---|
| file (or name, path, motion) | relative to the folder, or a bare name, with or without suffix |
| caption (or text, captions, caption_1, ...) | a sentence, in JSONL also a list of them |
| split, subject, category, take, source, licence | optional |
| origins | optional, who wrote each of the captions: one word for all, in JSONL also a list of them |
| start, end | optional, seconds that the row describes; such a row becomes a clip of its own |

Unusual: the list of files is kept in memory, about a kilobyte a file.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from motionmillion.data.clips import ClipReader, list_folder
from motionmillion.data.folder_files import texts_without_motion
from motionmillion.data.layouts.archives import Unit
from motionmillion.data.layouts.base import BuildOptions, Draft, Facts, Layout
from motionmillion.data.layouts.index import Index
from motionmillion.data.records import ClipRecord
from motionmillion.data.shards.motion_writer import Fault
from motionmillion.data.shards.pool import report
from motionmillion.data.splits import SPLITS
from motionmillion.io.files import read_text
from motionmillion.provenance import fingerprint

_RECORDS = 256
_FILE = ("file", "name", "path", "motion")
_CAPTION = ("caption", "text", "captions", "texts", "description")
_LABELS = ("split", "subject", "category", "take", "source", "licence")


@dataclass(frozen=True)
class RecordUnit(Unit):
    """A unit of clips that are known already, and what is wrong with the lists."""

    records: tuple[ClipRecord, ...] = ()
    faults: tuple[Fault, ...] = ()


class FolderLayout(Layout):
    """See the module's docstring; other layouts of loose files derive from it."""

    name = "folder"
    facts = Facts("folder", "", "")
    indexed = False

    @classmethod
    def recognises(cls, source: Path) -> bool:
        return source.is_dir()

    def __init__(self, source: Path, options: BuildOptions) -> None:
        super().__init__(source, options)
        self._read = ClipReader(source)

    def units(self) -> list[Unit]:
        listing = list_folder(self.source, skip_bad=True)
        records: Sequence[ClipRecord] = listing.records
        faults = [_fault_of(line) for line in listing.faults]
        if self.options.captions:
            records, found = with_table(records, Path(self.options.captions))
            faults += found
        else:
            lonely = texts_without_motion(self.source, {record.file for record in records})
            faults += [Fault("caption without motion", name) for name in lonely]
        units: list[Unit] = []
        for start in range(0, len(records), _RECORDS):
            part = tuple(records[start : start + _RECORDS])
            paths = {record.file: self.source / record.file for record in part}
            states = {name: path.stat() for name, path in paths.items() if path.exists()}
            stamp = [[record.facts() for record in part], [[s.st_size, s.st_mtime_ns] for s in states.values()]]
            size = sum(state.st_size for state in states.values())
            name = f"clips {start:08d}, {part[0].name} to {part[-1].name}"
            own = tuple(faults) if start == 0 else ()
            units.append(RecordUnit(name, fingerprint(stamp), size, False, tuple(paths), part, own))
        return units

    def members(self, unit: Unit, scratch: Path, skip: int) -> Iterator[ClipRecord | Fault]:
        events = [*unit.faults, *unit.records] if isinstance(unit, RecordUnit) else []
        for event in events[skip:]:
            yield event
            report(unit.size / max(len(events), 1))

    def drafts(self, member: ClipRecord, index: Index | None) -> Iterator[Draft | Fault]:
        clip = self._read(member)
        draft = Draft(
            name=member.name,
            motion=clip.motion,
            texts=member.captions,
            origins=member.sources or ("text file",) * len(member.captions),
            id=member.name,
            split=member.split,
            subject=member.subject,
            category=member.category,
            take=member.name if member.whole else member.take or member.name.rpartition("_")[0],
            whole=member.whole,
            own=tuple(member.whole or text in member.own_captions for text in member.captions),
            ends=member.ends,
        )
        yield draft.replace(**self.labels(member))

    def labels(self, record: ClipRecord) -> dict[str, Any]:
        """Fields of a draft that a layout knows better."""
        return {}


def _fault_of(line: str) -> Fault:
    kind = "not UTF-8" if "UTF-8" in line else "bad captions" if "captions" in line else "bad list"
    return Fault(kind, "", line)


def with_table(records: Sequence[ClipRecord], table: Path) -> tuple[list[ClipRecord], list[Fault]]:
    """Records with the captions and labels of a table, and what is wrong with it."""
    by_name: dict[str, list[ClipRecord]] = {}
    for record in records:
        path = PurePosixPath(record.file)
        for name in {record.name, record.file, path.name, path.stem, path.with_suffix("").as_posix()}:
            by_name.setdefault(name, []).append(record)
    faults: list[Fault] = []
    told: dict[str, list[dict[str, Any]]] = {}
    for number, row in enumerate(read_table(table), 1):
        name = str(next((row[key] for key in _FILE if row.get(key)), "")).replace("\\", "/").removeprefix("./")
        found = by_name.get(name, [])
        if not found:
            faults.append(Fault("caption without motion", name or f"row {number} of {table.name}"))
        elif len(found) > 1:
            faults.append(Fault("ambiguous name", name, f"{found[0].file} and {found[1].file}; name the folder, too"))
        else:
            told.setdefault(found[0].name, []).append(row)
    made = []
    for record in records:
        made += _told(record, told.get(record.name, []), faults) if record.name in told else [record]
    return made, faults


def _told(record: ClipRecord, rows: list[dict[str, Any]], faults: list[Fault]) -> Iterator[ClipRecord]:
    spans: dict[tuple[float, float] | None, dict[str, str]] = {}
    labels = {key: str(row[key]) for row in rows for key in ("split", "subject", "category") if row.get(key)}
    if labels.get("split", "train") not in SPLITS:
        faults.append(Fault("bad split", record.name, repr(labels.pop("split"))))
    for row in rows:
        own = spans.setdefault(_span(row, record, faults), {})
        own.update({text: origin for text, origin in _captions(row).items() if text not in own})
    for span, texts in spans.items():
        captions, origins = tuple(texts), tuple(texts.values())
        whole = replace(record, captions=captions, own_captions=(), sources=origins, **labels)
        if span is None:
            yield whole
        else:
            name = f"{record.name}_{span[0]:g}-{span[1]:g}"
            yield replace(whole, name=name, whole=False, own_captions=captions, ends=False, seconds=span)


def _span(row: dict[str, Any], record: ClipRecord, faults: list[Fault]) -> tuple[float, float] | None:
    try:
        start, end = float(row.get("start") or 0), float(row.get("end") or 0)
    except ValueError:
        start, end = 0.0, -1.0
    if start == end == 0:
        return None
    if not 0 <= start < end or record.take:
        faults.append(Fault("bad captions", record.name, f"start and end must be seconds in order, got {row}"[:200]))
        return None
    return start, end


def _captions(row: dict[str, Any]) -> dict[str, str]:
    """Captions of a row, each with its origin."""
    texts: list[str] = []
    for key, value in row.items():
        if key in _CAPTION or key.startswith(("caption_", "text_", "description_")):
            texts += value if isinstance(value, list) else [value] if value else []
    told = row.get("origins") or "table"
    origins = told if isinstance(told, list) and len(told) == len(texts) else [told] * len(texts)
    plain = (" ".join(str(text).split()) for text in texts)
    found: dict[str, str] = {}
    for text, origin in zip(plain, origins, strict=True):
        if text:
            found.setdefault(text, str(origin))
    return found


def read_table(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a `.csv`, `.tsv` or `.jsonl` file.

    Raises:
        ValueError: if it is missing, not UTF-8, of another kind, or has no column for files.
    """
    text = read_text(path, "captions")
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        rows: Iterator[Any] = csv.DictReader(text.splitlines(), delimiter="\t" if suffix == ".tsv" else ",")
    elif suffix in (".jsonl", ".json"):
        rows = iter(_json_rows(text, path))
    else:
        raise ValueError(f"captions must be a .csv, .tsv or .jsonl file, got {str(path)!r}")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not set(row) & set(_FILE):
            raise ValueError(
                f"captions must have a column among {', '.join(_FILE)}, got none in row {number} of {str(path)!r}"
            )
        yield {str(key).strip().lower(): value for key, value in row.items() if key is not None}


def _json_rows(text: str, path: Path) -> list[Any]:
    try:
        if text.lstrip().startswith("["):
            return json.loads(text)
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except json.JSONDecodeError as error:
        raise ValueError(f"captions must hold JSON, got {str(path)!r} ({error})") from None
