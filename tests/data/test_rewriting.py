"""Data sets made of others: what is kept, what it is called, how often it is visited, and which split it is in."""

import json

import pytest

from motionmillion.data import MotionClip, synthesize
from motionmillion.data.reports.verify import verify_set
from motionmillion.data.rewriting import Filter, filter_set, merge_sets, split_set
from motionmillion.data.shards.motion_table import MotionTable
from tests.data.conftest import row_of, write_set


def test_filter(table, tmp_path):
    chosen = Filter(least={"seconds": 2.5}, most={"seconds": 4.5}, captioned=True)
    header = filter_set(table.folder, tmp_path / "out", chosen)
    kept = MotionTable(tmp_path / "out")
    wanted = [i for i in range(10) if i % 4 and 2.5 <= table.clip(i).motion.seconds <= 4.5]
    assert [clip for clip in kept.column("name")] == [f"clip {i}" for i in wanted] and header["clips"] == len(wanted)
    assert kept.motion(0).rotations.equal(table.motion(wanted[0]).rotations)
    reasons = [json.loads(line) for line in (tmp_path / "out/faults.jsonl").read_text().splitlines()]
    assert {"kind": "seconds below 2.5", "name": "clip 0", "reason": ""} in reasons
    assert sum(header["faults"].values()) == 10 - len(wanted)
    with pytest.raises(ValueError, match="filter must keep a clip, got none of 10"):
        filter_set(table.folder, tmp_path / "none", Filter(least={"seconds": 99}))
    assert not (tmp_path / "none").exists()
    with pytest.raises(ValueError, match="sources must hold known keys only, got 'nope'"):
        filter_set(table.folder, tmp_path / "none", Filter(sources=("nope",)))
    with pytest.raises(ValueError, match="with a difference in filter: least .*there, .*now"):
        filter_set(table.folder, tmp_path / "out", Filter(least={"seconds": 1}))
    with pytest.raises(ValueError, match="limit of jerk must be a finite number, got nan"):
        Filter(most={"jerk": float("nan")})
    with pytest.raises(ValueError, match="limits must hold known keys only, got 'jerks'; did you mean jerk"):
        Filter(most={"jerks": 1})


def test_copies_findings_sources_and_leaks_are_left_out(tmp_path):
    motion = synthesize("walk", 0)
    rows = [row_of(MotionClip(str(i), synthesize("walk", i)), source="ab"[i % 2]) for i in range(3)]
    rows.append(row_of(MotionClip("copy", motion)))
    rows.append(row_of(MotionClip("mirror", motion.mirror(), split="val"), take="1"))
    rows.append(row_of(MotionClip("bad", synthesize("jump", 7)), flags=("frozen",)))
    folder = write_set(tmp_path / "in", rows).folder
    header = filter_set(folder, tmp_path / "out", Filter(without=("frozen",), unique=True, leaks=True))
    assert header["faults"] == {"a copy": 1, "its take is in train": 1, "frozen": 1} and header["clips"] == 3
    assert set(filter_set(folder, tmp_path / "b", Filter(sources=("b",)))["sources"]) == {"b"}


def test_leaks_are_those_that_verify_finds(tmp_path):
    walk, jump = synthesize("walk", 0), synthesize("jump", 0)
    rows = [
        row_of(MotionClip(f"{split} {name}", motion, split=split), take=f"{split} {name}")
        for name, motion, splits in (("walk", walk, ("train", "test")), ("jump", jump, ("val", "test")))
        for split in splits
    ]
    folder = write_set(tmp_path / "in", rows).folder
    assert any("contents are in several splits" in line for line in verify_set(folder, 1).problems)
    header = filter_set(folder, tmp_path / "out", Filter(leaks=True))
    assert header["faults"] == {"its motion is in train": 1, "its motion is in val": 1}
    assert not [line for line in verify_set(tmp_path / "out", 1).problems if "several splits" in line]


def test_merge(table, tmp_path):
    rows = [row_of(MotionClip(f"clip {i}", synthesize("walk", i)), source="other") for i in range(0, 20, 5)]
    other = write_set(tmp_path / "more", rows).folder
    header = merge_sets([table.folder, other], tmp_path / "both", {"made": 0.3, "more": 0.7})
    both = MotionTable(tmp_path / "both")
    names = both.column("name").tolist()
    assert len(names) == len(set(names)) == 14 and {"more/clip 0", f"{table.folder.name}/clip 5", "clip 1"} <= set(
        names
    )
    assert header["sources"]["made"]["weight"] == 0.3 and header["sources"]["other"]["weight"] == 0.7
    with pytest.raises(ValueError, match="weights must hold known keys only, got 'othr'; did you mean other"):
        merge_sets([table.folder, other], tmp_path / "x", {"othr": 1})
    with pytest.raises(ValueError, match="output must be new or of the same run"):
        merge_sets([table.folder, other], tmp_path / "both")
    with pytest.raises(ValueError, match="weights must not all be 0"):
        merge_sets([table.folder, other], tmp_path / "x", {"made": 0, "other": 0})
    with pytest.raises(ValueError, match="sources must be different data sets"):
        merge_sets([other, other], tmp_path / "x")


def test_equal_clips_of_merged_sets_are_counted(table, tmp_path, capsys):
    rows = [row_of(MotionClip(f"other {i}", table.motion(i)), source="other") for i in (1, 4)]
    rows.append(row_of(MotionClip("new", synthesize("squat", 3)), source="other"))
    other = write_set(tmp_path / "more", rows).folder
    merge_sets([table.folder, other], tmp_path / "both")
    assert f"2 clips of {other} have the motion of a clip in {table.folder}" in capsys.readouterr().err
    assert filter_set(tmp_path / "both", tmp_path / "once", Filter(unique=True))["faults"] == {"a copy": 2}
    merge_sets([table.folder, write_set(tmp_path / "new", rows[2:]).folder], tmp_path / "apart")
    assert "have the motion" not in capsys.readouterr().err


def test_split(tmp_path):
    rows = [
        row_of(MotionClip(f"{i}-{j}", synthesize("walk", 0), subject=f"s{i}" if i else ""), take=f"t{j}")
        for i in range(30)
        for j in range(2)
    ]
    folder = write_set(tmp_path / "in", rows, per_file=20).folder
    header = split_set(folder, tmp_path / "out", val=0.2, test=0.2, seed=1)
    table = MotionTable(tmp_path / "out")
    found: dict[str, set] = {}
    for subject, split in zip(table.column("subject").tolist(), table.column("split").tolist(), strict=True):
        found.setdefault(subject, set()).add(split)
    assert all(len(splits) == 1 for subject, splits in found.items() if subject)
    assert all(header["splits"][split] for split in ("train", "val", "test"))
    for options, message in (
        (dict(by="clip"), "by must be one of"),
        (dict(val=0.5, test=0.5), "must leave something"),
    ):
        with pytest.raises(ValueError, match=message):
            split_set(folder, tmp_path / "c", **options)
