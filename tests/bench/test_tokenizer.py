"""The benchmark: its baseline computes the same function, its rows make sense, and every check fires."""

import json

import pytest
import torch

from motionmillion.bench.baseline import PublishedForward, published_tokenizer
from motionmillion.bench.tokenizer import bench_report, bench_tokenizer, bench_tokenizer_files


def test_the_baseline_gives_our_numbers_by_the_published_way():
    ours = published_tokenizer(256, 16, "cpu").eval()
    baseline = PublishedForward(ours)
    features = torch.randn(3, 20, 272)
    codes = ours.encode(features)
    assert torch.equal(baseline.encode(features), codes)
    assert torch.allclose(baseline.decode(codes), ours.decode(codes), atol=1e-5)
    output = ours(features)
    reconstruction, perplexity = baseline(features)
    assert torch.allclose(reconstruction, output.reconstruction, atol=1e-5)
    assert float(perplexity) == pytest.approx(float(output.perplexity), rel=1e-3)
    assert baseline.loss(features).item() == pytest.approx(output.loss.item(), rel=1e-5)


@pytest.mark.slow
def test_rows_say_what_ran_and_what_it_took(tmp_path):
    table = bench_tokenizer_files([65536], [8], 32, 8, 2, "cpu", tmp_path)
    assert (tmp_path / "report.md").read_text() == table + "\n"
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [row["task"] for row in rows] == ["encode", "decode", "training forward", "training step"] * 2
    assert {row["codebook"] for row in rows} == {64000} and {row["precision"] for row in rows} == {
        "float32",
        "bfloat16",
    }
    assert all(row["frames_per_second"] > 0 and row["speedup"] > 0 for row in rows)
    encode = rows[0]
    if encode["extra_mb"] is not None:  # the one-hot matrix: 64,000 codes x 128 positions x 4 bytes
        assert encode["baseline_extra_mb"] > 30
        assert encode["extra_mb"] < encode["baseline_extra_mb"] / 2
    assert "| encode | 64000 | 8 x 32 | float32 |" in table


@pytest.mark.slow
def test_every_call_reports_progress():
    lines: list[str] = []
    rows = bench_tokenizer([256], [1], 4, 8, 1, ["float32"], progress=lines.append)
    assert len(lines) == len(rows) == 4 and "240 codes" in lines[0]
    assert "Width 8, 1 runs each" in bench_report(rows, 8, 1, "cpu")[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_sizes": [0]}, "batch_size must be at least 1"),
        ({"frames": 0}, "frames must be at least 1"),
        ({"repeats": 0}, "repeats must be at least 1"),
        ({"codebooks": [1000]}, "codebook must be one of"),
        ({"frames": 3}, "frames must be even"),
        ({"width": 0}, "width must be a whole number of at least 1"),
        ({"precisions": ["int8"]}, "precision must be float32 or bfloat16"),
    ],
)
def test_bad_sizes_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        bench_tokenizer(**{"codebooks": [256], "batch_sizes": [1], "width": 8, "repeats": 1, **changes})
