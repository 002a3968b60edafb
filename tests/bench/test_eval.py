"""The benchmark of the measures: its baseline has our values, its rows say what ran, and every check fires."""

import json
import sys

import pytest

from motionmillion.bench.eval import bench_eval, bench_motions, eval_report
from motionmillion.bench.eval_baseline import physics_in_loops
from motionmillion.cli.app import main
from motionmillion.eval.physics import PHYSICS, physics_measures


@pytest.mark.parametrize("fps", [20.0, 30.0, 12.5])
def test_the_baseline_has_our_values_and_every_measure_is_at_work(fps):
    motions = bench_motions(20, 60, fps)
    motions += [motion[:frames] for motion, frames in zip(motions, (1, 2, 3, 4, 9), strict=False)]
    values = physics_measures(motions, fps=fps)
    for place, motion in enumerate(motions):
        expected = physics_in_loops(motion.numpy(), fps)
        assert tuple(expected) == PHYSICS
        for name, value in expected.items():
            assert values[name][place].item() == pytest.approx(value, abs=1e-12), (place, name)
    assert all((values[name] > 0).sum() >= 3 for name in PHYSICS)


def test_rows_say_what_ran():
    lines: list[str] = []
    rows = bench_eval(clips=6, frames=50, rows=70, width=8, repeats=2, progress=lines.append)
    assert [row.task for row in rows[:2]] == ["physics, 20 frames/s", "physics, 30 frames/s"] and len(lines) == 8
    for row in rows[:2]:
        assert row.size == "6 x 50" and row.difference is not None and row.difference < 1e-9
        assert row.baseline_seconds and row.speedup and row.baseline_seconds > 0 < row.speedup
        assert row.per_second == pytest.approx(6 / row.seconds)
    assert [row.size for row in rows[2:]] == ["70 x 8"] * 2 and rows[2].baseline_seconds is None
    table, results = eval_report(rows, 2, "cpu")
    assert "| Fréchet distance | 70 x 8 | - |" in table and "2 runs each" in table
    assert results["rows"][0]["difference"] == rows[0].difference


def test_the_command_writes_its_table(monkeypatch, capsys, tmp_path):
    flags = ["--batch-size", "4", "--frames", "40", "--repeats", "1", "--device", "cpu", "-o", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["motionmillion", "bench", "eval", *flags])
    with pytest.raises(SystemExit) as stop:
        main()
        raise SystemExit(0)
    assert not stop.value.code
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == capsys.readouterr().out
    rows = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["rows"]
    assert [row["size"] for row in rows] == ["4 x 40", "4 x 40", "4,000 x 512", "4,000 x 512"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clips": 0}, "clips must be a whole number of at least 1"),
        ({"frames": 0}, "frames must be a whole number of at least 1"),
        ({"width": 0}, "width must be a whole number of at least 1"),
        ({"repeats": 0}, "repeats must be a whole number of at least 1"),
        ({"rows": 31}, "rows must be a whole number of at least 32"),
    ],
)
def test_bad_sizes_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        bench_eval(**changes)
