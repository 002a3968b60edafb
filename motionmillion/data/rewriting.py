"""New data sets out of data sets: filtered, merged with mixing weights, split anew.

    filter_set("my_set", "good", Filter(most={"jerk": 500}, without=("frozen",)))
    merge_sets(["cmu", "amass"], "both", {"cmu": 0.3})
    split_set("my_set", "split", by="subject", val=0.1, test=0.1, seed=0)

Files are rewritten one by one, so that memory does not grow; motions are copied as they are. Each function returns the
header of the new set, which says what it was made of. A second clip of one content can be left out on the way.

Unusual: clips of merged sets get the name of their set in front where a name occurs twice.
"""

import hashlib
import math
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from motionmillion.configuration import check_number, check_share, unknown_key_error
from motionmillion.data.quality import QUALITY
from motionmillion.data.shards.motion_table import MotionTable
from motionmillion.data.shards.motion_writer import SOURCE_KEYS, Fault, finish_set
from motionmillion.data.shards.motions import FILES, schema, write_motions
from motionmillion.data.shards.resumable import ResumableFolder
from motionmillion.io.outputs import check_output_folder
from motionmillion.progress import progress_bar, say

if TYPE_CHECKING:
    import pyarrow as pa

SPLIT_BY = ("subject", "take", "content")


@dataclass(frozen=True)
class Filter:
    """Which clips are kept.

    Args:
        least, most: limits of the numbers of `motionmillion.data.quality`, and of `seconds`; clips without them pass.
        without: kinds of findings of the audit that a clip must not have.
        sources, splits: the only ones that are kept; empty for all.
        captioned: whether clips without captions are left out.
        unique: whether a second clip of one content is left out.
        leaks: whether clips of val and test are left out whose take or motion is also in train, and of test those
            that are also in val.
    """

    least: Mapping[str, float] = field(default_factory=dict)
    most: Mapping[str, float] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    captioned: bool = False
    unique: bool = False
    leaks: bool = False

    def __post_init__(self) -> None:
        known = {*QUALITY, "seconds"}
        for limits in (self.least, self.most):
            if set(limits) - known:
                raise unknown_key_error("limits", set(limits) - known, known)
            for name, limit in limits.items():
                if not math.isfinite(limit):
                    raise ValueError(f"limit of {name} must be a finite number, got {limit!r}")

    def reasons(self, table: "pa.Table") -> np.ndarray:
        """Why each clip is left out; "" for those that are kept."""
        values: dict[str, np.ndarray] = {
            name: table["quality"].combine_chunks().field(name).to_numpy(zero_copy_only=False) for name in QUALITY
        }
        values["seconds"] = table["frames"].to_numpy() / table["fps"].to_numpy()
        reasons = np.full(table.num_rows, "", dtype=object)

        def leave(bad: Any, reason: str) -> None:
            reasons[(reasons == "") & np.asarray(bad, bool)] = reason

        for name, limit in self.least.items():
            leave(values[name] < limit, f"{name} below {limit:g}")
        for name, limit in self.most.items():
            leave(values[name] > limit, f"{name} above {limit:g}")
        flags = table["flags"].to_pylist()
        for kind in self.without:
            leave([kind in own for own in flags], kind)
        for name, wanted in (("source", self.sources), ("split", self.splits)):
            if wanted:
                leave(~np.isin(table[name].to_numpy(), wanted), f"another {name}")
        if self.captioned:
            leave([not texts for texts in table["texts"].to_pylist()], "no captions")
        return reasons


def filter_set(source: str | Path, output: str | Path, chosen: Filter, overwrite: bool = False) -> dict[str, Any]:
    """A data set without the clips that a filter leaves out, which `faults.jsonl` names.

    Raises:
        ValueError: for a source that is no data set, an output that exists, and a filter that leaves nothing.
    """
    table = MotionTable(source)
    check_sources(chosen.sources, table)
    seen: set[str] = set()
    held = _held(table) if chosen.leaks else {}

    def keep(part: "pa.Table") -> tuple["pa.Table", list[Fault]]:
        reasons = chosen.reasons(part)
        for row in np.flatnonzero(reasons == "") if chosen.unique or chosen.leaks else ():
            content = part["content"][int(row)].as_py()
            if chosen.unique and content in seen:
                reasons[row] = "a copy"
            elif chosen.leaks:
                reasons[row] = _leak(held, part["split"][int(row)].as_py(), _take(part, int(row)), content)
            seen.add(content)
        names = part["name"].to_pylist()
        out = [Fault(str(reasons[row]), names[row]) for row in np.flatnonzero(reasons != "")]
        return part.filter(reasons == ""), out

    made_by = {"filter": asdict(chosen), "of": [table.header["content"]]}
    return _rewrite([table], output, made_by, lambda _, part: keep(part), overwrite)


def leave_out(
    table: MotionTable,
    output: str | Path,
    judge: Callable[["pa.Table"], Sequence[str]],
    made_by: dict[str, Any],
    overwrite: bool = False,
) -> dict[str, Any]:
    """A data set without the clips that a judge leaves out, which `faults.jsonl` names.

    Args:
        judge: why each clip of a file is left out; "" for those that are kept.
        made_by: what identifies the judge.

    Raises:
        ValueError: for an output that exists, and a judge that leaves nothing.
    """

    def keep(part: "pa.Table") -> tuple["pa.Table", list[Fault]]:
        reasons, names = np.array(judge(part), dtype=object), part["name"].to_pylist()
        out = [Fault(str(reasons[row]), names[row]) for row in np.flatnonzero(reasons != "")]
        return part.filter(reasons == ""), out

    made_by = {**made_by, "of": [table.header["content"]]}
    return _rewrite([table], output, made_by, lambda _, part: keep(part), overwrite)


def merge_sets(
    sources: Sequence[str | Path],
    output: str | Path,
    weights: Mapping[str, float] | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Several data sets as one.

    Args:
        weights: how often clips of a source are visited in training, as a whole, relative to the other sources; by the
            name of the source, or of the folder for all of its sources.

    Raises:
        ValueError: for folders that are no data sets, names of weights that are no sources, and an output that exists.
    """
    places = [Path(source).resolve() for source in sources]
    if len(set(places)) < len(places):
        raise ValueError(f"sources must be different data sets, got {[str(source) for source in sources]}")
    tables = [MotionTable(source) for source in sources]
    weights = {name: check_number(f"weight of {name}", value) for name, value in (weights or {}).items()}
    known = {name for table in tables for name in (*table.header["sources"], table.folder.name)}
    if set(weights) - known:
        raise unknown_key_error("weights", set(weights) - known, known)
    names = Counter(name for table in tables for name in set(table.column("name").tolist()))
    doubled = {name for name, count in names.items() if count > 1}

    def named(table: MotionTable, part: "pa.Table") -> tuple["pa.Table", list[Fault]]:
        own = part["name"].to_pylist()
        if doubled & set(own):
            renamed = [f"{table.folder.name}/{name}" if name in doubled else name for name in own]
            part = with_column(part, "name", renamed)
        return part, []

    _tell_copies(tables)
    own = _weighted(tables, weights)
    if weights and not any(entry.get("weight", 1.0) for entry in own.values()):
        raise ValueError(f"weights must not all be 0, got {weights}; give a source a weight above 0")
    made_by = {"merge": weights, "of": [table.header["content"] for table in tables]}
    return _rewrite(tables, output, made_by, named, overwrite, own)


def split_set(
    source: str | Path,
    output: str | Path,
    by: str = "subject",
    val: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    overwrite: bool = False,
) -> dict[str, Any]:
    """A data set with new splits, by a hash of what clips have in common.

    Args:
        by: "subject", "take" or "content"; clips without a subject are split by take.
        val, test: fractions of the subjects or takes.
        seed: another one gives other splits.

    Raises:
        ValueError: for other names, fractions that leave nothing to train on, and an output that exists.
    """
    if by not in SPLIT_BY:
        raise ValueError(f"by must be one of {', '.join(SPLIT_BY)}, got {by!r}")
    if check_share("val", val) + check_share("test", test) >= 1:
        raise ValueError(f"val and test must leave something to train on, got {val!r} and {test!r}")

    def chosen(key: str) -> str:
        draw = int(hashlib.sha256(f"{seed} {key}".encode()).hexdigest()[:12], 16) / 16**12
        return "val" if draw < val else "test" if draw < val + test else "train"

    def split(_: MotionTable, part: "pa.Table") -> tuple["pa.Table", list[Fault]]:
        keys = part[by].to_pylist()
        keys = [key or _take(part, row) for row, key in enumerate(keys)]
        return with_column(part, "split", [chosen(key) for key in keys]), []

    table = MotionTable(source)
    made_by = {"split": [by, val, test, seed], "of": [table.header["content"]]}
    return _rewrite([table], output, made_by, split, overwrite)


def _tell_copies(tables: Sequence[MotionTable]) -> None:
    """A line for each data set that has clips of an earlier one: equal poses, whatever they are called."""
    contents = [np.array([int(each, 16) for each in table.column("content")], np.uint64) for table in tables]
    for number, table in enumerate(tables):
        equal = int(np.isin(contents[number], np.concatenate([*contents[:number], contents[number][:0]])).sum())
        if equal:
            before = " and ".join(str(other.folder) for other in tables[:number])
            say(
                f"{equal:,} clips of {table.folder} have the motion of a clip in {before}; motionmillion data filter "
                "--unique leaves them out"
            )


def _weighted(tables: Sequence[MotionTable], weights: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """What is known of the sources of all tables, with their weights."""
    found: dict[str, dict[str, Any]] = {}
    for table in tables:
        total = sum(entry["clips"] for entry in table.header["sources"].values())
        for name, entry in table.header["sources"].items():
            kept = {key: value for key, value in entry.items() if key in SOURCE_KEYS}
            if name in weights:
                kept["weight"] = weights[name]
            elif table.folder.name in weights:
                kept["weight"] = weights[table.folder.name] * entry["clips"] / max(total, 1)
            found[name] = kept
    return found


def _rewrite(
    tables: Sequence[MotionTable],
    output: str | Path,
    made_by: dict[str, Any],
    change: Callable[[MotionTable, "pa.Table"], tuple["pa.Table", list[Fault]]],
    overwrite: bool,
    sources: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Every file of the tables, changed, as a new data set."""
    check_output_folder(output, [table.folder for table in tables])
    folder = ResumableFolder(Path(output), FILES, made_by, sources={}, files=[], clips=0, shards=0)
    folder.check(overwrite)
    new = not folder.folder.exists()
    folder.files.write_header(folder.header, folder.folder)
    names: list[str] = []
    faults: list[Fault] = []
    with progress_bar(sum(len(table.files) for table in tables), "rewriting", "files") as bar:
        for number, (table, part) in enumerate(_parts(tables)):
            made, out = change(table, part)
            faults += out
            if made.num_rows:
                names.append(FILES.shard_name(f"{number:012d}", "00000"))
                write_motions(made, folder.folder / names[-1], {"run": folder.run, "faults": []})
            bar.update()
    if not names:
        if new:  # nothing is left that another call would have to overwrite
            shutil.rmtree(folder.folder)
        reasons = ", ".join(f"{count} {reason}" for reason, count in Counter(f.kind for f in faults).most_common(3))
        raise ValueError(f"filter must keep a clip, got none of {len(faults)} ({reasons}); relax it")
    facts = {
        key: tables[0].header[key] for key in ("title", "published") if key in tables[0].header and len(tables) == 1
    }
    return finish_set(folder, names, sources or _weighted(tables, {}), faults, **facts)


def _parts(tables: Sequence[MotionTable]) -> Iterator[tuple[MotionTable, "pa.Table"]]:
    for table in tables:
        for file in range(len(table.files)):
            yield table, table.table(file)


def with_column(part: "pa.Table", name: str, values: list[str]) -> "pa.Table":
    """A table with other strings in a column."""
    import pyarrow as pa

    place = schema().get_field_index(name)
    return part.set_column(place, schema().field(name), pa.array(values, pa.string()))


def _take(part: "pa.Table", row: int) -> str:
    return part["take"][row].as_py() or part["name"][row].as_py()


def check_sources(names: Sequence[str], table: MotionTable) -> None:
    """Raise `ValueError` for names that are no sources of a data set."""
    known = table.header["sources"]
    if set(names) - set(known):
        raise unknown_key_error("sources", set(names) - set(known), set(known))


def _held(table: MotionTable) -> dict[str, tuple[set[str], set[str]]]:
    """Takes and contents of train and of val."""
    takes, contents, splits = (table.column(name) for name in ("take", "content", "split"))
    return {
        split: (set(takes[splits == split].tolist()) - {""}, set(contents[splits == split].tolist()))
        for split in ("train", "val")
    }


def _leak(held: Mapping[str, tuple[set[str], set[str]]], split: str, take: str, content: str) -> str:
    """Why a clip of a split is known from one that goes before it; "" if it is not."""
    for other in {"val": ("train",), "test": ("train", "val")}.get(split, ()):
        takes, contents = held[other]
        if take in takes or content in contents:
            return f"its {'take' if take in takes else 'motion'} is in {other}"
    return ""
