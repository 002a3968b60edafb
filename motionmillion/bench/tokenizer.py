"""Speed and memory of the tokenizer against the published forward pass, in the same run.

    motionmillion bench tokenizer --batch-size 64 --codebook 65536

The baseline is the published network with the same weights as ours (no wavelet, one strided stage), see
`motionmillion.bench.baseline`. Runs of the two alternate, so that other load on the machine affects both; the ratio is
the median of the ratios of adjacent runs. Memory is the peak during a call, above the memory in use before it.

Shapes: B batch, T frames.
"""

import contextlib
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motionmillion.bench.baseline import PublishedForward, published_tokenizer
from motionmillion.bench.measure import extra_memory, take_turns
from motionmillion.io.files import write_text
from motionmillion.progress import progress_bar
from motionmillion.provenance import describe_machine
from motionmillion.tokenizer import MotionTokenizer
from motionmillion.tokenizer.quantizers.fsq import FSQ_LEVELS

TASKS = ("encode", "decode", "training forward", "training step")


@dataclass
class BenchRow:
    """One task at one size: frames per second and extra peak memory, baseline against ours."""

    task: str
    codebook: int  # true size K
    batch_size: int
    frames: int
    precision: str  # of ours; the baseline runs in float32
    baseline_frames_per_second: float
    frames_per_second: float
    speedup: float  # median of adjacent runs
    baseline_extra_mb: float | None  # None if the platform cannot measure it
    extra_mb: float | None


def bench_tokenizer(
    codebooks: Sequence[int] = (65536,),
    batch_sizes: Sequence[int] = (64,),
    frames: int = 96,
    width: int = 512,
    repeats: int = 5,
    precisions: Sequence[str] = ("float32", "bfloat16"),
    device: str = "cpu",
    progress: Callable[[str], None] = lambda line: None,
) -> list[BenchRow]:
    """Time every task at every size; see the module's docstring.

    Args:
        codebooks: nominal FSQ sizes.
        precisions: of our tokenizer, "float32" or "bfloat16" (autocast); the baseline runs in float32, as published.
        progress: called with a line before each measurement.

    Raises:
        ValueError: for sizes that are not positive or not published, and unknown precisions.
    """
    for name, values in (("batch_size", batch_sizes), ("frames", [frames]), ("repeats", [repeats])):
        if any(value < 1 for value in values):
            raise ValueError(f"{name} must be at least 1, got {list(values)}")
    if frames % 2:
        raise ValueError(f"frames must be even, two frames become one code, got {frames!r}")
    unsized = sorted(set(codebooks) - set(FSQ_LEVELS))
    if unsized:
        raise ValueError(f"codebook must be one of {sorted(FSQ_LEVELS)}, got {unsized[0]!r}")
    unknown = set(precisions) - {"float32", "bfloat16"}
    if unknown:
        raise ValueError(f"precision must be float32 or bfloat16, got {sorted(unknown)}")
    rows = []
    for codebook in codebooks:
        ours = published_tokenizer(codebook, width, device)
        baseline = PublishedForward(ours)
        for batch_size in batch_sizes:
            features = torch.randn(batch_size, frames, ours.representation.dim, device=device)
            for precision in precisions:
                for task in TASKS:
                    progress(f"{task}, {ours.config.codebook_size} codes, batch {batch_size}, {precision}")
                    calls = (_call(task, baseline, features, "float32"), _call(task, ours, features, precision))
                    rows.append(_measure(task, ours, features, precision, calls, repeats))
    return rows


def _call(task: str, model: MotionTokenizer | PublishedForward, features: Tensor, precision: str) -> Callable[[], Any]:
    """The call that is timed for `task`."""
    half = (
        torch.autocast(features.device.type, torch.bfloat16) if precision == "bfloat16" else contextlib.nullcontext()
    )
    model.train(task.startswith("training"))
    codes = torch.zeros(features.shape[0], features.shape[1] // 2, dtype=torch.long, device=features.device)

    def run() -> None:
        if task in ("encode", "decode"):
            with torch.no_grad(), half:
                model.encode(features) if task == "encode" else model.decode(codes)
            return
        with half:
            loss = model.loss(features) if isinstance(model, PublishedForward) else model(features).loss
        if task == "training step":
            loss.backward()
            model.zero_grad(set_to_none=True)

    return run


def _measure(
    task: str,
    ours: MotionTokenizer,
    features: Tensor,
    precision: str,
    calls: tuple[Callable[[], Any], Callable[[], Any]],
    repeats: int,
) -> BenchRow:
    ours.train(task.startswith("training"))
    extra = [extra_memory(call, features.device) for call in calls]  # warms up too
    seconds = take_turns(calls, repeats, features.device)
    size = features.shape[0] * features.shape[1]
    return BenchRow(
        task=task,
        codebook=ours.config.codebook_size,
        batch_size=features.shape[0],
        frames=features.shape[1],
        precision=precision,
        baseline_frames_per_second=size / statistics.median(seconds[0]),
        frames_per_second=size / statistics.median(seconds[1]),
        speedup=statistics.median(a / b for a, b in zip(*seconds, strict=True)),
        baseline_extra_mb=extra[0],
        extra_mb=extra[1],
    )


def bench_report(rows: Sequence[BenchRow], width: int, repeats: int, device: str) -> tuple[str, dict[str, Any]]:
    """Markdown and JSON of the rows, with a description of the machine."""
    machine = describe_machine(device)
    lines = [f"Width {width}, {repeats} runs each; {machine}. The baseline runs in float32, as published: rows in"]
    lines += ["bfloat16 include the gain from the lower precision.", ""]
    lines.append("| task | codes | batch | ours in | baseline frames/s | ours frames/s | speed | extra memory MB |")
    lines.append("|---" * 8 + "|")
    for row in rows:
        memory = "-" if row.extra_mb is None else f"{row.baseline_extra_mb:.0f} -> {row.extra_mb:.0f}"
        lines.append(
            f"| {row.task} | {row.codebook} | {row.batch_size} x {row.frames} | {row.precision} | "
            f"{row.baseline_frames_per_second:,.0f} | {row.frames_per_second:,.0f} | {row.speedup:.2f}x | {memory} |"
        )
    return "\n".join(lines), {
        "machine": machine,
        "width": width,
        "repeats": repeats,
        "rows": [asdict(r) for r in rows],
    }


def bench_tokenizer_files(
    codebooks: Sequence[int],
    batch_sizes: Sequence[int],
    frames: int,
    width: int,
    repeats: int,
    device: str,
    output: Path | None = None,
) -> str:
    """Run the benchmark with a progress bar; returns the table, writes `report.md` and `results.json` to `output`."""
    with progress_bar(len(codebooks) * len(batch_sizes) * len(TASKS) * 2, "building", "measurements") as bar:

        def show(line: str) -> None:
            bar.set_description_str(line)
            bar.update()

        rows = bench_tokenizer(codebooks, batch_sizes, frames, width, repeats, device=device, progress=show)
    table, results = bench_report(rows, width, repeats, device)
    if output is not None:
        write_text(table + "\n", output / "report.md")
        write_text(json.dumps(results, indent=2) + "\n", output / "results.json")
    return table
