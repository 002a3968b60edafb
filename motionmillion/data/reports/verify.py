"""Checks of a data set on disk: `motionmillion data verify my_set`.

    report = verify_set("my_set", workers=8)
    print(report.text())                         # a line a check; report.problems are those that fail

| check | fails if |
|---|---|
| checksums | a file is missing, damaged, or not the one that the header lists |
| counts | clips are not those of the header; compared with what is published, where that is known |
| lists | texts or list entries had no motion, or archives were cut off, when the set was built |
| values | a translation is NaN or infinite, a frame rate or length is impossible, a body is far away |
| units, up axis | the pelvis of most clips is not at the height of a person's, or most clips do not stand upright |
| names | a name occurs twice |
| takes, contents, subjects | one is in several splits |

Unusual: a subject in several splits is only a note, because published lists split by clip.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from motionmillion.data.shards.motion_table import MotionTable
from motionmillion.data.shards.motions import map_motions, motion_of
from motionmillion.data.shards.pool import run_tasks, usable_cores
from motionmillion.data.splits import SPLITS
from motionmillion.kinematics.upright import upright_fraction
from motionmillion.motion import FPS_RANGE
from motionmillion.progress import progress_bar
from motionmillion.provenance import files_hash

_UPRIGHT = 64
"""Clips of a file whose axis is looked at."""
_PELVIS = (0.4, 1.6)
"""Heights of a pelvis above the lowest joint that most clips must have, metres."""
_FAR = 1000.0
_LISTED = ("archive cut off or damaged", "not downloaded", "caption without motion", "list entry without motion")
_SHOWN = 5


class FileReport(NamedTuple):
    """What is found in one file."""

    problems: list[str]
    clips: int
    heights: list[float]
    upright: list[float]


@dataclass
class VerifyReport:
    """Result of `verify_set`: a line for every check that holds, for notes, and for problems."""

    passed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def text(self) -> str:
        lines = [f"ok       {line}" for line in self.passed] + [f"note     {line}" for line in self.notes]
        return "\n".join([*lines, *(f"problem  {line}" for line in self.problems)])


def verify_set(folder: str | Path, workers: int | None = None) -> VerifyReport:
    """Read every file of a data set and check it.

    Raises:
        ValueError: for a folder that is no finished data set.
    """
    table, report = MotionTable(folder), VerifyReport()
    sums = {entry["file"]: entry["sha256"] for entry in table.header["files"]}
    found: dict[str, FileReport] = {}
    count = min(usable_cores() if workers is None else workers, max(len(sums) // 4, 1))
    with progress_bar(len(sums), "verifying", "files") as bar:
        for name, own in run_tasks(list(sums), _make_check, (str(folder), sums), count):
            found[name] = own
            bar.update()
    wrong = [line for own in found.values() for line in own.problems]
    report.problems += wrong[:_SHOWN] + ([f"{len(wrong) - _SHOWN} more of this kind"] if len(wrong) > _SHOWN else [])
    if not wrong:
        report.passed.append(f"checksums and values of {len(sums)} files, {len(table):,} clips")
    _check_bodies(found, report)
    _check_counts(table, report)
    if all(not own.problems for own in found.values()):
        _check_leaks(table, report)
    return report


def _make_check(folder: str, sums: dict[str, str]) -> Callable[[str], FileReport]:
    return lambda name: _check_file(Path(folder) / name, sums[name])


def _check_file(path: Path, expected: str) -> FileReport:
    if not path.is_file():
        return FileReport([f"{path.name} is missing; run the same motionmillion data build"], 0, [], [])
    if files_hash([path]) != expected:
        return FileReport([f"{path.name} has another SHA-256 than dataset.json lists; it is damaged"], 0, [], [])
    try:
        table = map_motions(path)
    except ValueError as error:
        return FileReport([str(error)], 0, [], [])
    problems, names = [], table["name"].to_pylist()
    frames, fps = table["frames"].to_numpy(), table["fps"].to_numpy()
    for row in range(table.num_rows):
        trans = table["trans"][row].values.to_numpy()
        poses = table["poses"][row].values
        bad = None
        if len(trans) != 3 * frames[row] or len(poses) != 66 * frames[row] or not frames[row]:
            bad = "has other lengths than its number of frames"
        elif not np.isfinite(trans).all():
            bad = f"is not finite in frame {int(np.flatnonzero(~np.isfinite(trans))[0]) // 3}"
        elif not FPS_RANGE[0] <= fps[row] <= FPS_RANGE[1]:
            bad = f"has {fps[row]:g} frames per second"
        elif np.abs(trans).max() > _FAR:
            bad = f"is {np.abs(trans).max():.3g} m away from the origin; check the unit"
        if bad:
            problems.append(f"{names[row]!r} in {path.name} {bad}")
    heights, upright = [], []
    for row in range(0, table.num_rows, max(table.num_rows // _UPRIGHT, 1)) if not problems else ():
        positions = motion_of(table, row).positions().numpy()
        heights.append(float(np.median(positions[:, 0, 1] - positions[..., 1].min(1))))
        upright.append(upright_fraction(positions, "y"))
    return FileReport(problems, table.num_rows, heights, upright)


def _check_bodies(found: dict[str, FileReport], report: VerifyReport) -> None:
    heights = [height for own in found.values() for height in own.heights]
    upright = [share for own in found.values() for share in own.upright]
    if not heights:
        return
    height, share = float(np.median(heights)), float(np.mean(np.array(upright) > 0.5))
    if not _PELVIS[0] <= height <= _PELVIS[1]:
        report.problems.append(f"pelvis is {height:.3g} m above the lowest joint in the median; check unit and axis")
    if share < 0.5:
        report.problems.append(f"only {share:.0%} of clips stand upright about y; the vertical axis may be another")
    else:
        report.passed.append(f"units and up axis: pelvis at {height:.2f} m, {share:.0%} of clips upright")


def _check_counts(table: MotionTable, report: VerifyReport) -> None:
    header = table.header
    for kind in _LISTED:
        if header["faults"].get(kind):
            report.notes.append(f"{header['faults'][kind]:,} of {kind!r} when it was built, see faults.jsonl")
    for what, count in (header.get("published") or {}).items():
        own = header["hours"] if what == "hours" else header["clips"]
        kind = "hours" if what == "hours" else "clips"
        shown = f"{own:,}" if isinstance(own, int) else f"{own:,.2f}"
        report.notes.append(f"published: {count:,} {what}; here {shown} {kind}")
    empty = [split for split in ("train", "val", "test") if not header["splits"].get(split)]
    if empty:
        report.notes.append(f"no clip is in the split {' and '.join(empty)}; see motionmillion data split")


def _check_leaks(table: MotionTable, report: VerifyReport) -> None:
    splits = np.concatenate([_codes(table.table(file)["split"]) for file in range(len(table.files))])
    order, starts, counts = _grouped(_hashes(table, "name"))
    doubled = np.flatnonzero(counts > 1)
    if len(doubled):
        first = order[starts[doubled]].min()
        report.problems.append(f"{len(doubled)} names occur twice, such as {table.name(int(first))!r}")
    copies = 0
    for column, to in (("take", report.problems), ("content", report.problems), ("subject", report.notes)):
        keys = _hashes(table, column)
        order, starts, counts = _grouped(keys)
        copies = len(table) - len(starts) if column == "content" else copies
        own = splits[order]
        mixed = np.minimum.reduceat(own, starts) != np.maximum.reduceat(own, starts)
        leaked = np.flatnonzero(mixed & (keys[order[starts]] != hash("")))
        if len(leaked):
            group = leaked[np.argmin(order[starts[leaked]])]  # the first one in the set
            rows = order[starts[group] : starts[group] + counts[group]]
            file, row = table.place(int(rows[0]))
            key = table.table(file)[column][row].as_py()
            where = " and ".join(sorted(SPLITS[code] for code in np.unique(splits[rows])))
            to.append(
                f"{len(leaked)} {column}s are in several splits, such as {key!r} in {where}; "
                "motionmillion data split, or filter --no-leaks"
            )
        else:
            report.passed.append(f"no {column} is in several splits")
    if copies:
        report.notes.append(f"{copies:,} clips are copies of others; motionmillion data filter --unique")


def _codes(column: Any) -> np.ndarray:
    """Numbers of splits `[N]`, int8."""
    return np.array([SPLITS.index(split) for split in column.to_pylist()], np.int8)


def _hashes(table: MotionTable, column: str) -> np.ndarray:
    """Hashes `[N]` of a column of strings, 8 bytes a clip."""
    parts = [list(map(hash, table.table(file)[column].to_pylist())) for file in range(len(table.files))]
    return np.concatenate([np.array(part, np.int64) for part in parts])


def _grouped(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows in the order of their keys `[N]`, and begin and size of each group of equal keys in that order."""
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(keys[order]) != 0]))
    return order, starts, np.diff(np.append(starts, len(keys)))


def verify_download(folder: str | Path) -> VerifyReport:
    """Compare the files of a download from the hub with the SHA-256 that `huggingface_hub` noted beside them.

    Raises:
        ValueError: if there is no such folder.
    """
    report, root = VerifyReport(), Path(folder)
    if not root.is_dir():
        raise ValueError(f"folder must be a data set or a download, got {str(folder)!r}, which is not there")
    place = root / ".cache" / "huggingface" / "download"
    notes = sorted(place.rglob("*.metadata"))
    known = {note.relative_to(place).as_posix().removesuffix(".metadata") for note in notes}
    for part in sorted(place.rglob("*.incomplete")):
        report.problems.append(
            f"a file in {part.parent.relative_to(place).as_posix()!r} is not whole; download it again"
        )
    every = (path.relative_to(root) for path in sorted(root.rglob("*")) if path.is_file())
    others = [path.as_posix() for path in every if path.parts[0] != ".cache" and path.as_posix() not in known]
    if notes and others:
        report.notes.append(f"{len(others):,} files have no checksum beside them, such as {others[0]}; not compared")
    checked = 0
    with progress_bar(len(notes), "verifying", "files") as bar:
        for note in notes:
            lines = note.read_text(encoding="utf-8").splitlines()
            name = note.relative_to(root / ".cache/huggingface/download").as_posix().removesuffix(".metadata")
            expected, path = (lines[1].strip() if len(lines) > 1 else ""), root / name
            if len(expected) == 64:  # of git-lfs; others are hashes of git
                checked += 1
                if not path.is_file():
                    report.problems.append(f"{name} is missing; download it again")
                elif files_hash([path]) != expected:
                    report.problems.append(f"{name} has another SHA-256 than on the hub; download it again")
            bar.update()
    if not checked:
        report.problems.append(
            "nothing was compared: this is no data set, and no checksums of huggingface_hub are in it"
        )
    elif not report.problems:
        report.passed.append(f"checksums of {checked} files")
    return report
