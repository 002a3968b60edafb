"""Speed of the metrics: physics of many clips against plain loops over frames, Fréchet distance, R-precision.

    motionmillion bench eval

The baseline of physics is `motionmillion.bench.eval_baseline`, the same formulas frame by frame. Runs of the two
alternate, so that other load on the machine affects both; the ratio is the median of the ratios of adjacent runs, and
the table has the largest difference of any value. At 20 frames per second, MBench's own rate, nothing is resampled; at
30 both sides resample. The other metrics have no baseline.

The clips are synthetic motions, some of them shaken, lifted off the floor or sunk into it, so that every formula gives
a nonzero value.
"""

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motionmillion.bench.eval_baseline import physics_in_loops
from motionmillion.bench.files import show_and_write
from motionmillion.bench.measure import take_turns
from motionmillion.configuration import check_whole
from motionmillion.data.synthetic.clips import ACTIONS, MINIMUM_SECONDS, synthesize
from motionmillion.eval.distribution import frechet_distance, r_precision
from motionmillion.eval.physics import physics_measures
from motionmillion.provenance import describe_machine

RATES = (20.0, 30.0)
_HEIGHTS = (0.0, 0.0, -0.03, 0.05, 0.3)  # m, in turn


@dataclasses.dataclass(frozen=True)
class EvalRow:
    """One metric at one size; seconds are the median of the runs."""

    task: str
    size: str
    baseline_seconds: float | None  # None without a baseline
    seconds: float
    speedup: float | None  # median of adjacent runs
    per_second: float
    unit: str  # of `per_second`: clips or motions
    difference: float | None  # largest difference of any value between baseline and ours


def bench_eval(
    clips: int = 450,
    frames: int = 100,
    rows: int = 4000,
    width: int = 512,
    repeats: int = 5,
    device: str = "cpu",
    progress: Callable[[str], None] = lambda line: None,
) -> list[EvalRow]:
    """Time physics at both rates, then the metrics of embeddings; see the module's docstring.

    Args:
        clips, frames: motions and the frames of each.
        rows, width: embeddings and their size.
        repeats: runs of each side.
        progress: called with a line before each measurement.

    Raises:
        ValueError: for numbers below 1, and fewer embeddings than a batch of R-precision.
    """
    for name, value in (("clips", clips), ("frames", frames), ("width", width), ("repeats", repeats)):
        check_whole(name, value, 1)
    check_whole("rows", rows, 32)
    found = [_bench_physics(clips, frames, fps, repeats, torch.device(device), progress) for fps in RATES]
    generator = torch.Generator().manual_seed(0)
    text = torch.randn(rows, width, generator=generator).to(device)
    motion = text + torch.randn(rows, width, generator=generator).to(device)
    calls: dict[str, Callable[[], Any]] = {
        "Fréchet distance": lambda: frechet_distance(text, motion),
        "R-precision, batches of 32": lambda: r_precision(text, motion),
    }
    for task, call in calls.items():
        progress(task)
        call()
        seconds = statistics.median(take_turns([call], repeats, torch.device(device))[0])
        size = f"{rows:,} x {width}"
        found.append(EvalRow(task, size, None, seconds, None, rows / seconds, "motions", None))
    return found


def bench_motions(count: int, frames: int, fps: float) -> list[Tensor]:
    """Positions `[T, 22, 3]` of synthetic motions, every second one shaken, at several heights; deterministic."""
    generator = torch.Generator().manual_seed(0)
    seconds = max(MINIMUM_SECONDS, frames / fps)
    motions = []
    for seed in range(count):
        motion = synthesize(ACTIONS[seed % len(ACTIONS)], seed=seed, seconds=seconds, fps=fps)
        positions = motion.positions()[:frames]
        shake = 0.005 * (seed % 2) * torch.randn(positions.shape, generator=generator)
        motions.append(positions + shake + torch.tensor([0.0, _HEIGHTS[seed // 2 % len(_HEIGHTS)], 0.0]))
    return motions


def _bench_physics(
    count: int, frames: int, fps: float, repeats: int, device: torch.device, progress: Callable[[str], None]
) -> EvalRow:
    progress(f"physics, {fps:g} frames/s: making {count} motions")
    motions = bench_motions(count, frames, fps)
    arrays, placed = [motion.numpy() for motion in motions], [motion.to(device) for motion in motions]
    expected: list[dict[str, float]] = []
    values = physics_measures(placed, fps=fps)  # warms up

    def loops() -> None:
        progress(f"physics, {fps:g} frames/s: loops over frames and ours, alternating")
        expected[:] = [physics_in_loops(array, fps) for array in arrays]

    turns = take_turns([loops, lambda: physics_measures(placed, fps=fps)], repeats, device)
    before, seconds = (statistics.median(times) for times in turns)
    difference = max(
        abs(float(values[name][clip]) - value) for clip, one in enumerate(expected) for name, value in one.items()
    )
    return EvalRow(
        task=f"physics, {fps:g} frames/s",
        size=f"{count} x {frames}",
        baseline_seconds=before,
        seconds=seconds,
        speedup=statistics.median(a / b for a, b in zip(*turns, strict=True)),
        per_second=count / seconds,
        unit="clips",
        difference=difference,
    )


def eval_report(rows: Sequence[EvalRow], repeats: int, device: str) -> tuple[str, dict[str, Any]]:
    """Markdown and JSON of the rows, with a description of the machine."""
    machine = describe_machine(device)
    lines = [f"{machine}; {repeats} runs each.", ""]
    lines += ["| metric | size | loops s | ours s | speed | ours per second | largest difference |", "|---" * 7 + "|"]
    for row in rows:
        loops = "-" if row.baseline_seconds is None else f"{row.baseline_seconds:.2f}"
        speed = "-" if row.speedup is None else f"{row.speedup:.0f}x"
        difference = "-" if row.difference is None else f"{row.difference:.0e}"
        lines.append(
            f"| {row.task} | {row.size} | {loops} | {row.seconds:.3f} | {speed} | "
            f"{row.per_second:,.0f} {row.unit} | {difference} |"
        )
    results = {"machine": machine, "repeats": repeats, "rows": [dataclasses.asdict(row) for row in rows]}
    return "\n".join(lines), results


def bench_eval_files(clips: int, frames: int, repeats: int, device: str, output: Path | None = None) -> str:
    """Run the benchmark with a progress bar; returns the table, writes `report.md` and `results.json` to `output`."""

    def run(progress: Callable[[str], None]) -> tuple[str, dict[str, Any]]:
        rows = bench_eval(clips, frames, repeats=repeats, device=device, progress=progress)
        return eval_report(rows, repeats, device)

    return show_and_write(run, output)
