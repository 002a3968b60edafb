"""A data set as it was downloaded -> a data set on disk, with all cores, safe to interrupt.

    header = build_set("download", "my_set", workers=8)

1. Find the layout and its units: archives, or groups of loose files.
2. Read the lists of the data set into an index on disk.
3. Workers read units and write files; see `motionmillion.data.building.worker`.
4. Leave out second clips of one name, compare with the lists, and write the header.

Memory does not grow with the data, apart from eight bytes a clip in step 4 (and lists of loose files, see
`motionmillion.data.layouts.folder`). A fault of the source is named in `faults.jsonl` and counted, and never stops the
run unless the options are strict. Unusual: processes are spawned, so a script that calls this needs
`if __name__ == "__main__":`.
"""

import contextlib
import dataclasses
import fnmatch
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from motionmillion.configuration import check_whole
from motionmillion.data.building.worker import INDEX, WORK, UnitParts, make_builder
from motionmillion.data.layouts import find_layout, layout_class
from motionmillion.data.layouts.archives import Unit
from motionmillion.data.layouts.base import NOTES, BuildOptions, Layout, files_below
from motionmillion.data.layouts.folder import RecordUnit
from motionmillion.data.layouts.index import Index, IndexWriter
from motionmillion.data.shards.motion_table import check_arrow
from motionmillion.data.shards.motion_writer import Fault, finish_set
from motionmillion.data.shards.motions import FILES, FORMAT, map_motions, read_note, write_motions
from motionmillion.data.shards.pool import run_tasks, usable_cores
from motionmillion.data.shards.resumable import ResumableFolder
from motionmillion.io.files import check_writable
from motionmillion.io.outputs import check_output_folder
from motionmillion.progress import doing, progress_bar, say
from motionmillion.provenance import file_stamps, fingerprint

_MEGABYTE = 1e6
_LISTED = "listed.json"
_NOTES = ("kind", "made_by", "trusted", "text_share")
"""Options that are left out of the fingerprint of a build unless they are given."""


def build_set(
    source: str | Path,
    output: str | Path,
    layout: str | None = None,
    options: BuildOptions | None = None,
    workers: int | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Build a data set; call it again after an interruption to go on.

    Args:
        source: folder as it was downloaded.
        output: folder for the data set, see `motionmillion.data.shards.motions`.
        layout: name of the layout; None finds it.
        workers: processes; None for one per available core.
        overwrite: start over if `output` holds another run.

    Returns:
        the header of the data set.

    Raises:
        ImportError: without pyarrow.
        ValueError: for a source without motions, an output folder of another run, a full disk, and with strict options
            for the first fault.
        ChildProcessError: if a worker dies. Files that are whole are kept in any case.
    """
    if workers is not None:
        check_whole("workers", workers, 1)
    begun = begin_build(source, output, layout, options, overwrite)
    # 3. motions
    workers = usable_cores() if workers is None else workers
    try:
        _build_units(begun.units, begun.arguments, min(workers, len(begun.units)))
    except KeyboardInterrupt:
        say("stopped; files that are whole are kept, and the same command goes on from there")
        raise
    # 4. names, lists, header
    header = _finish(begun.folder, begun.layout, begun.units, begun.listed, workers)
    _summary(header)
    return header


class Begun(NamedTuple):
    """A build whose motions are still to be read.

    Args:
        units: what workers read.
        arguments: of `motionmillion.data.building.worker.make_builder`, whose builder makes a unit.
        listed: faults of the lists.
    """

    folder: ResumableFolder
    layout: Layout
    units: list[Unit]
    arguments: tuple[Any, ...]
    listed: list[Fault]


def begin_build(
    source: str | Path,
    output: str | Path,
    layout: str | None = None,
    options: BuildOptions | None = None,
    overwrite: bool = False,
) -> Begun:
    """The first steps of `build_set`, for other ways to run the workers; a last `build_set` then writes the header.

    Raises:
        ImportError: without pyarrow.
        ValueError: see `build_set`.
    """
    check_arrow()
    source, output, options = Path(source), Path(output), options or BuildOptions()
    if not source.is_dir():
        raise ValueError(f"source must be an existing folder, got {str(source)!r}")
    check_output_folder(output, [source])
    check_writable(output / "dataset.json")
    # 1. layout and units
    kind = find_layout(source) if layout is None else layout_class(layout)
    with doing("looking for files"):
        found = kind(source, options)
        units = [chosen for unit in found.units() if (chosen := _chosen(unit, options.only)) is not None]
    if not units:
        raise ValueError(
            f"source must hold motions in the layout {kind.name}, got none in {str(source)!r}; see --layout and --only"
        )
    made_by = _made_by(found, units)
    folder = ResumableFolder(output, FILES, made_by, sources={}, files=[], clips=0, shards=0)
    folder.check(overwrite)
    say(f"{source} is read in the layout {kind.name}")
    folder.files.write_header(folder.header, output)
    for rest in FILES.leftovers(output):
        rest.unlink(missing_ok=True)
    # 2. lists
    listed = _read_lists(found, output, units) if kind.indexed else []
    return Begun(folder, found, units, (str(source), str(output), kind.name, options, folder.run), listed)


def _made_by(layout: Layout, units: list[Unit]) -> dict[str, Any]:
    """What the files depend on, besides the units: options, and the state of lists and tables."""
    own = {name: value for name, value in dataclasses.asdict(layout.options).items() if name not in ("only", "strict")}
    own = {name: value for name, value in own.items() if value or name not in _NOTES}
    motions = {name for unit in units for name in unit.files}
    below = files_below(layout.source, layout.is_list)
    lists = [path for path in below if path.relative_to(layout.source).as_posix() not in motions]
    if own["captions"] and (table := Path(own["captions"])).is_file():
        lists.append(table)
        own["captions"] = table.name
    return {"layout": layout.name, "options": own, "format": FORMAT, "lists": fingerprint(file_stamps(lists))}


def _chosen(unit: Unit, only: tuple[str, ...]) -> Unit | None:
    """The part of a unit whose files match a pattern; None if there is none."""
    files = tuple(name for name in unit.files if any(fnmatch.fnmatch(name, pattern) for pattern in only))
    if not only or len(files) == len(unit.files):
        return unit
    if not files:
        return None
    changes: dict[str, Any] = {"files": files, "stamp": fingerprint([unit.stamp, files])}
    if isinstance(unit, RecordUnit):
        changes["records"] = tuple(record for record in unit.records if record.file in files)
    return dataclasses.replace(unit, **changes)


def _read_lists(layout: Layout, output: Path, units: list[Unit]) -> list[Fault]:
    """Make the index, unless there is one; faults of the lists."""
    path, noted = output / WORK / INDEX, output / WORK / _LISTED
    if path.is_file() and noted.is_file():
        return [Fault(*entry) for entry in json.loads(noted.read_text(encoding="utf-8"))]
    try:
        with doing("reading lists and texts"), IndexWriter(path) as index:
            faults = list(layout.prepare(index))
    except sqlite3.Error as error:
        raise ValueError(
            f"index of texts must be written to {str(path)!r}, got {error}; if the disk is full, free some and run "
            "the same command again"
        ) from None
    _check_strict(layout.options, faults)
    noted.write_text(json.dumps([list(fault) for fault in faults], ensure_ascii=False), encoding="utf-8")
    return faults


def _build_units(units: list[Unit], arguments: tuple[Any, ...], workers: int) -> None:
    done = 0.0
    with progress_bar(round(sum(unit.size for unit in units) / _MEGABYTE), "building", "MB") as bar:

        def more(size: float) -> None:
            nonlocal done
            done += size / _MEGABYTE
            bar.update(round(done) - bar.n)

        with contextlib.closing(run_tasks(units, make_builder, arguments, workers, more)) as work:
            for _ in work:
                pass


def _finish(
    folder: ResumableFolder, layout: Layout, units: list[Unit], listed: list[Fault], workers: int
) -> dict[str, Any]:
    output = folder.folder
    names = [name for unit in units for name in UnitParts(output, unit, folder.run).names]
    _remove_others(output, set(names))
    with doing("comparing names"):
        doubles = _leave_out_doubles(output, names)
    if doubles and layout.options.strict:
        raise ValueError(f"source must be free of faults with --strict, got {doubles} clips of names that are taken")
    own = [Fault(*entry) for name in names for entry in read_note(output / name)["faults"]]
    written = [name for name in names if read_note(output / name)["clips"]]
    if not written:
        kinds = ", ".join(sorted({fault.kind for fault in [*listed, *own]})) or "none"
        raise ValueError(
            f"source must hold a motion that can be read, got none in {str(layout.source)!r}; faults: {kinds}"
        )
    unmatched = _unmatched(output, layout, written, {fault.name for fault in own if fault.kind == "in no list"})
    header = finish_set(
        folder,
        written,
        layout.noted(),
        (fault for group in (listed, own, unmatched) for fault in group),
        workers,
        title=layout.facts.title,
        published=layout.facts.counts,
        units={unit.name: unit.stamp for unit in units},
    )
    shutil.rmtree(output / WORK, ignore_errors=True)
    return header


def _remove_others(output: Path, names: set[str]) -> None:
    """Remove files of units that are no longer there."""
    for path in output.glob(FILES.shard_name("*", "*")):
        if path.name not in names:
            path.unlink()


def _leave_out_doubles(output: Path, names: list[str]) -> int:
    """Rewrite files without clips whose names have been there, and note them as faults; returns how many."""
    hashes = [_hashes(map_motions(output / name)["name"].to_pylist()) for name in names]
    values, counts = np.unique(np.concatenate(hashes), return_counts=True)
    twice = values[counts > 1]
    seen: set[str] = set()
    total = 0
    for name, own in zip(names, hashes, strict=True):
        suspects = np.flatnonzero(np.isin(own, twice)).tolist()
        table, keep, faults = map_motions(output / name), np.ones(len(own), bool), []
        for row in suspects:
            clip = table["name"][row].as_py()
            if clip in seen:
                keep[row] = False
                faults.append(["duplicate id", clip, table["file"][row].as_py()])
            seen.add(clip)
        if faults:
            note = read_note(output / name)
            write_motions(table.filter(keep), output / name, {**note, "faults": [*note["faults"], *faults]})
            total += len(faults)
    return total


def _hashes(names: list[str]) -> np.ndarray:
    return np.array([int(fingerprint(name)[:16], 16) for name in names], np.uint64)


def _unmatched(output: Path, layout: Layout, names: list[str], passed: set[str]) -> Iterator[Fault]:
    """What the lists of the data set name, and no motion was found for; `passed` are motions that no list names."""
    if not layout.indexed or layout.options.only:
        return
    index = Index(output / WORK / INDEX)
    for kind, fault in (("text", "caption without motion"), ("split", "list entry without motion")):
        keys = (key for name in names for key in map_motions(output / name)["id"].to_pylist())
        for key in index.unmatched(kind, keys):
            if key not in passed:
                yield Fault(fault, key)


def _check_strict(options: BuildOptions, faults: list[Fault]) -> None:
    bad = next((fault for fault in faults if fault.kind not in NOTES), None)
    if options.strict and bad is not None:
        raise ValueError(f"source must be free of faults with --strict, got {bad.kind}: {bad.name}: {bad.reason}")


def _summary(header: dict[str, Any]) -> None:
    splits = ", ".join(f"{count:,} {split}" for split, count in header["splits"].items())
    say(f"{header['clips']:,} clips ({splits}), {header['hours']:,.2f} hours, {header['texts']:,} texts")
    for kind, count in header["faults"].items():
        say(f"{count:,} {'notes' if kind in NOTES else 'faults'}: {kind}, see faults.jsonl")
