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
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from motionmillion.data.splits import SPLITS, split_of_subject
from motionmillion.io.files import existing_file
from motionmillion.progress import say
from motionmillion.provenance import fingerprint

_RECORDS = 256
_FILE = ("file", "name", "path", "motion")
_CAPTION = ("caption", "text", "captions", "texts", "description")
_NUMBERED = ("caption_", "text_", "description_")
_LABELS = ("split", "subject", "category", "take", "source", "licence")
_OTHER = ("origins", "start", "end", "video", "models", "refused", "fault")
_SPLIT_WORDS = {"training": "train", "validation": "val", "valid": "val", "dev": "val", "testing": "test"}
_BROKEN = "\ufffd"
"""In the place of bytes that are not UTF-8."""
_SHORT = 0.1
"""Seconds by which a motion may be shorter than the span that a row describes."""


@dataclass(frozen=True)
class RecordUnit(Unit):
    """A unit of clips that are known already, what is wrong with the lists, and what a table says of clips by name."""

    records: tuple[ClipRecord, ...] = ()
    faults: tuple[Fault, ...] = ()
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


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
        self._labels: Mapping[str, Mapping[str, str]] = {}
        if options.lists:
            raise ValueError(f"lists must be left out for the layout {self.name}, got {options.lists!r}")

    def units(self) -> list[Unit]:
        listing = list_folder(self.source, skip_bad=True)
        records: Sequence[ClipRecord] = listing.records
        faults = [_fault_of(line) for line in listing.faults]
        labels: dict[str, dict[str, str]] = {}
        if self.options.captions:
            hashed = listing.rule.startswith(("by subject, ", "by take, "))
            records, found = with_table(records, Path(self.options.captions), hashed, labels)
            faults += found
        else:
            lonely = texts_without_motion(self.source, {record.file for record in records})
            faults += [Fault("caption without motion", name) for name in lonely]
        units: list[Unit] = []
        for start in range(0, len(records), _RECORDS):
            part = tuple(records[start : start + _RECORDS])
            paths = {record.file: self.source / record.file for record in part}
            states = {name: path.stat() for name, path in paths.items() if path.exists()}
            told = {record.name: labels[record.name] for record in part if record.name in labels}
            stamp = [[record.facts() for record in part], [[s.st_size, s.st_mtime_ns] for s in states.values()]]
            stamp += [told] if told else []
            size = sum(state.st_size for state in states.values())
            name = f"clips {start:08d}, {part[0].name} to {part[-1].name}"
            own = tuple(faults) if start == 0 else ()
            units.append(RecordUnit(name, fingerprint(stamp), size, False, tuple(paths), part, own, told))
        return units

    def members(self, unit: Unit, scratch: Path, skip: int) -> Iterator[ClipRecord | Fault]:
        events = [*unit.faults, *unit.records] if isinstance(unit, RecordUnit) else []
        self._labels = unit.labels if isinstance(unit, RecordUnit) else {}
        for event in events[skip:]:
            yield event
            report(unit.size / max(len(events), 1))

    def drafts(self, member: ClipRecord, index: Index | None) -> Iterator[Draft | Fault]:
        clip = self._read(member)
        if member.seconds and clip.motion.seconds < member.seconds[1] - member.seconds[0] - _SHORT:
            yield Fault("bad captions", member.name, f"the motion ends before {member.seconds[1]:g} s; left out")
            return
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
        """Fields of a draft that a table or a layout knows better."""
        return dict(self._labels.get(record.name, {}))


def _fault_of(line: str) -> Fault:
    kind = "not UTF-8" if "UTF-8" in line else "bad captions" if "captions" in line else "bad list"
    return Fault(kind, "", line)


def with_table(
    records: Sequence[ClipRecord],
    table: Path,
    hashed: bool = False,
    labels: dict[str, dict[str, str]] | None = None,
) -> tuple[list[ClipRecord], list[Fault]]:
    """Records with the captions and labels of a table, and what is wrong with it.

    Args:
        hashed: whether splits were made by hashes, so that clips of one subject of the table get one split.
        labels: filled with what records cannot hold, by their names: take, source and licence.
    """
    by_name: dict[str, list[ClipRecord]] = {}
    for record in records:
        path = PurePosixPath(record.file)
        for name in {record.name, record.file, path.name, path.stem, path.with_suffix("").as_posix()}:
            by_name.setdefault(name, []).append(record)
    faults: list[Fault] = []
    told: dict[str, list[dict[str, Any]]] = {}
    for row in read_table(table):
        if isinstance(row, Fault):
            faults.append(row)
            continue
        name = str(next((row[key] for key in _FILE if row.get(key)), "")).replace("\\", "/").removeprefix("./")
        found = by_name.get(name, [])
        if not found:
            faults.append(Fault("caption without motion", name))
        elif len(found) > 1:
            faults.append(Fault("ambiguous name", name, f"{found[0].file} and {found[1].file}; name the folder, too"))
        else:
            told.setdefault(found[0].name, []).append(row)
    made = []
    for record in records:
        rows = told.get(record.name)
        if rows is None:
            made.append(record)
            continue
        clips = list(_told(record, rows, faults, hashed))
        made += clips
        more = {key: str(row[key]) for row in rows for key in ("take", "source", "licence") if row.get(key)}
        if labels is not None and more:
            labels.update({clip.name: more for clip in clips})
    return made, faults


def _told(record: ClipRecord, rows: list[dict[str, Any]], faults: list[Fault], hashed: bool) -> Iterator[ClipRecord]:
    spans: dict[tuple[float, float] | None, dict[str, str]] = {}
    labels = {key: str(row[key]) for row in rows for key in ("subject", "category") if row.get(key)}
    splits = list(dict.fromkeys(str(row["split"]).strip().lower() for row in rows if row.get("split")))
    splits = list(dict.fromkeys(_SPLIT_WORDS.get(split, split) for split in splits))
    known = [split for split in splits if split in SPLITS]
    if len(known) != len(splits):
        wrong = next(split for split in splits if split not in SPLITS)
        faults.append(Fault("bad split", record.name, f"{wrong!r} is none of {', '.join(SPLITS)}; not read"))
    if len(known) > 1:
        faults.append(Fault("in two lists", record.name, f"{known[0]} and {known[1]}; the first one counts"))
    if known:
        labels["split"] = known[0]
    elif hashed and "subject" in labels:
        labels["split"] = split_of_subject(labels["subject"])
    for row in rows:
        try:
            span = _span(row, record)
        except ValueError as error:
            faults.append(Fault("bad captions", record.name, f"{error}; the row is left out"))
            continue
        own = spans.setdefault(span, {})
        own.update({text: origin for text, origin in _captions(row).items() if text not in own})
    for span, texts in (spans or {None: {}}).items():
        captions, origins = tuple(texts), tuple(texts.values())
        whole = replace(record, captions=captions, own_captions=(), sources=origins, **labels)
        if span is None:
            yield whole
        else:
            name = f"{record.name}_{span[0]:g}-{span[1]:g}"
            yield replace(whole, name=name, whole=False, own_captions=captions, ends=False, seconds=span)


def _span(row: dict[str, Any], record: ClipRecord) -> tuple[float, float] | None:
    """The seconds that a row describes, None for all; raises `ValueError` for others than seconds in order."""
    given = (row.get("start") or 0, row.get("end") or 0)
    try:
        start, end = map(float, given)
    except (TypeError, ValueError):
        start, end = 0.0, -1.0
    if start == end == 0:
        return None
    if not 0 <= start < end < math.inf or record.take:
        raise ValueError(f"start and end must be seconds in order, got {given[0]!r} and {given[1]!r}")
    return start, end


def _captions(row: dict[str, Any]) -> dict[str, str]:
    """Captions of a row, each with its origin."""
    texts: list[str] = []
    for key, value in row.items():
        if _is_caption(key):
            texts += value if isinstance(value, list) else [value] if value else []
    told = row.get("origins") or "table"
    origins = told if isinstance(told, list) and len(told) == len(texts) else [told] * len(texts)
    plain = (" ".join(str(text).split()) for text in texts)
    found: dict[str, str] = {}
    for text, origin in zip(plain, origins, strict=True):
        if text:
            found.setdefault(text, str(origin))
    return found


def read_table(path: Path) -> Iterator[dict[str, Any] | Fault]:
    """Rows of a `.csv`, `.tsv` or `.jsonl` file, and those that cannot be read.

    Raises:
        ValueError: if it is missing, of another kind, or has no column for files or none for captions.
    """
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".tsv", ".jsonl", ".json"):
        raise ValueError(f"captions must be a .csv, .tsv or .jsonl file, got {str(path)!r}")
    text = existing_file(path).read_bytes().decode("utf-8-sig", errors="replace")
    rows = _json_rows(text, path) if suffix.startswith(".json") else _csv_rows(text, suffix)
    columns: set[str] = set()
    for number, row in enumerate(rows, 1):
        where = f"row {number} of {path.name}"
        if isinstance(row, str):
            yield Fault("bad captions", where, row)
        elif _BROKEN in str(row):
            yield Fault("not UTF-8", where, "left out")
        elif not isinstance(row, dict) or not any(row.get(key) for key in _FILE if key in row):
            yield Fault("bad captions", where, f"it names no file; columns for it are {', '.join(_FILE)}")
        else:
            columns |= set(row)
            yield row
    captions = {column for column in columns if _is_caption(column)}
    for meaning, known, there in (("files", _FILE, columns & set(_FILE)), ("captions", _CAPTION, captions)):
        if not there:
            raise ValueError(
                f"captions must have a column for {meaning} among {', '.join(known)}, got {sorted(columns) or 'none'} "
                f"in {str(path)!r}"
            )
    ignored = sorted(columns - captions - {*_FILE, *_LABELS, *_OTHER})
    if ignored:
        say(f"{path.name}: columns that are not read: {', '.join(ignored)}")


def _is_caption(column: str) -> bool:
    return column in _CAPTION or column.startswith(_NUMBERED)


def _csv_rows(text: str, suffix: str) -> Iterator[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if suffix == ".tsv" else ",")
    for row in reader:
        yield _lowered({key: value for key, value in row.items() if isinstance(key, str)})


def _lowered(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key.strip().lower(): value for key, value in row.items()}


def _json_rows(text: str, path: Path) -> Iterator[dict[str, Any] | str | None]:
    """Rows of JSON lines or of one JSON list; what is wrong with a line in place of its row."""
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"captions must hold JSON, got {str(path)!r} ({error})") from None
        yield from (_lowered(row) if isinstance(row, dict) else None for row in found)
        return
    for line in filter(str.strip, text.split("\n")):  # not at other ends of lines, which captions may hold
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            yield f"no JSON: {error.msg} at character {error.pos + 1}"
        else:
            yield _lowered(row) if isinstance(row, dict) else None
