"""The LM benchmark: its rows say what ran, the tokens of all settings agree, and every check fires."""

import json

import pytest
import torch

from motionmillion.bench.lm import bench_decoding, bench_decoding_files, decoding_report
from motionmillion.bench.measure import read_bandwidth
from motionmillion.bench.packing import bench_packing, packing_report, real_lengths


@pytest.mark.slow
def test_every_setting_gives_the_tokens_of_the_baseline(tmp_path):
    table = bench_decoding_files(["mini"], [1, 3], ["dynamic", "static"], "float32", 12, 1, 240, "cpu", tmp_path)
    assert (tmp_path / "report.md").read_text() == table + "\n"
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [(row["batch_size"], row["setting"]) for row in rows] == [
        (batch, setting) for batch in (1, 3) for setting in ("none", "dynamic", "static")
    ]
    assert all(row["same_tokens"] == 12 for row in rows)
    assert all(row["tokens_per_second"] > 0 and row["step_ms"] > 0 for row in rows)
    assert rows[0]["speedup"] == 1 and rows[0]["parameters"] > 5e6
    weights = 4 * (6 * (4 * 256**2 + 3 * 256 * 768 + 2 * 256) + 241 * 256)
    cache = 2 * 6 * 256 * (20 + 6) * 4
    assert rows[1]["read_gb_per_second"] * rows[1]["step_ms"] * 1e6 == pytest.approx(weights + cache, rel=1e-6)


def test_int8_rows_say_how_far_they_agree():
    rows = bench_decoding(["mini"], [1], ["int8"], tokens=8, repeats=1, codebook=240)
    assert [row.setting for row in rows] == ["none", "int8"] and 0 <= rows[1].same_tokens <= 8
    assert "| mini | 1 | int8 |" in decoding_report(rows, "cpu")[0]


def test_packing_counts_real_positions():
    lengths = [(5, 20), (9, 60), (3, 8)]
    row = bench_packing("mini", lengths, samples=3, row=128, repeats=1, codebook=240, text_dim=32)
    assert row.fixed_positions == 3 * 301
    assert row.positions <= row.packed_positions < row.padded_positions < row.fixed_positions
    assert row.packed_per_second > 0 and row.mfu > 0
    table, results = packing_report([row], "cpu")
    assert f"{row.positions:,}" in table and results["rows"][0]["samples"] == 3


def test_real_lengths_are_those_of_captioned_clips():
    lengths = real_lengths()
    assert len(lengths) > 500 and all(text >= 3 and 1 <= codes <= 150 for text, codes in lengths)


def test_memory_is_read_at_a_plausible_speed():
    assert 0.5 < read_bandwidth(torch.device("cpu")) < 2000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": ["2b"]}, "name must be one of"),
        ({"batch_sizes": [0]}, "batch_size must be a whole number of at least 1"),
        ({"tokens": 1}, "tokens must be a whole number of at least 2"),
        ({"tokens": 151}, "tokens must be at most 150, the context of the models, got 151"),
        ({"repeats": 0}, "repeats must be a whole number"),
        ({"settings": ["fast"]}, "setting must be one of.*got 'fast'"),
        ({"dtype": "int4"}, "dtype must be one of"),
    ],
)
def test_bad_options_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        bench_decoding(**{"sizes": ["mini"], "codebook": 240, **changes})


def test_packing_without_lengths_is_named():
    with pytest.raises(ValueError, match="lengths must hold the sizes of at least one sample"):
        bench_packing("mini", [])
