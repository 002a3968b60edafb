"""`motionmillion bench flow`: runs `motionmillion.bench.flow` with a progress bar and writes report and results."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from motionmillion.bench.files import show_and_write
from motionmillion.bench.flow import FlowRow, bench_flow, bench_pipelines, flow_report
from motionmillion.eval.protocol import plain_name


def bench_flow_files(
    sizes: Sequence[str],
    models: Sequence[str],
    steps: Sequence[int],
    seconds: float,
    batch_size: int,
    guidance_scale: float | None,
    patch: int,
    dtype: str,
    repeats: int,
    device: str,
    output: Path | None = None,
) -> str:
    """Time random weights of `sizes` and saved pipelines; returns the table and writes it to `output`.

    Raises:
        ValueError: if there is neither a size nor a pipeline, and as the benchmark.
    """
    if not sizes and not models:
        raise ValueError("size or model must be given, got none")
    about = f"{batch_size} motion{'s' * (batch_size > 1)} of {seconds:g} s, {repeats} runs, {dtype}"
    about += (
        f"; guidance {guidance_scale:g}." if guidance_scale is not None else "; guidance off, or a pipeline's own."
    )
    command = ["motionmillion", "bench", "flow"]
    for name, values in (("size", sizes), ("model", map(plain_name, models)), ("steps", steps)):
        command += [word for value in values for word in (f"--{name}", str(value))]
    command += ["--seconds", f"{seconds:g}", "--batch-size", str(batch_size), "--patch", str(patch)]
    command += ["--dtype", dtype, "--repeats", str(repeats)]
    if guidance_scale is not None:
        command += ["--guidance-scale", f"{guidance_scale:g}"]

    def run(progress: Callable[[str], None]) -> tuple[str, dict[str, Any]]:
        rows: list[FlowRow] = []
        if sizes:
            guidance = 1.0 if guidance_scale is None else guidance_scale
            options: dict[str, Any] = dict(guidance_scale=guidance, patch=patch, dtype=dtype)
            rows += bench_flow(sizes, steps, seconds, batch_size, **options, **_shared(repeats, device, progress))
        if models:
            given = (models, steps, seconds, batch_size, guidance_scale)
            rows += bench_pipelines(*given, **_shared(repeats, device, progress))
        return flow_report(rows, device, about, shlex.join(command))

    return show_and_write(run, output)


def _shared(repeats: int, device: str, progress: Callable[[str], None]) -> dict[str, Any]:
    return dict(repeats=repeats, device=device, progress=progress)
