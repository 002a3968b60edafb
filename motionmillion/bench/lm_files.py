"""`motionmillion bench lm`: runs `motionmillion.bench.lm` with a progress bar and writes report and results."""

import json
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from motionmillion.bench.files import show_and_write
from motionmillion.bench.lm import bench_decoding, bench_packing, decoding_report, packing_report

CODES_PER_SECOND = 15
"""Of the published tokenizer."""


def bench_decoding_files(
    sizes: Sequence[str],
    batch_sizes: Sequence[int],
    settings: Sequence[str],
    dtype: str,
    tokens: int,
    repeats: int,
    codebook: int,
    device: str,
    output: Path | None = None,
) -> str:
    """Run the decoding benchmark; returns the table and writes `report.md` and `results.json` to `output`."""

    def run(progress: Callable[[str], None]) -> tuple[str, dict[str, Any]]:
        rows = bench_decoding(
            sizes, batch_sizes, settings, dtype, tokens, repeats, codebook, device=device, progress=progress
        )
        return decoding_report(rows, device)

    return show_and_write(run, output)


def bench_packing_files(
    sizes: Sequence[str], samples: int, repeats: int, codebook: int, device: str, output: Path | None = None
) -> str:
    """Run the packing benchmark on the lengths of real clips; returns the table and writes it to `output`."""

    def run(progress: Callable[[str], None]) -> tuple[str, dict[str, Any]]:
        lengths = real_lengths()
        rows = [
            bench_packing(size, lengths, samples, repeats=repeats, codebook=codebook, device=device, progress=progress)
            for size in sizes
        ]
        return packing_report(rows, device)

    return show_and_write(run, output)


def real_lengths() -> list[tuple[int, int]]:
    """Text positions and codes of captioned clips of the CMU data (`recipes/bench/lengths.py`)."""
    file = resources.files("motionmillion.bench") / "lengths.json"
    lengths = json.loads(file.read_text(encoding="utf-8"))["lengths"]
    return [(text, max(round(seconds * CODES_PER_SECOND), 1)) for text, seconds in lengths]
