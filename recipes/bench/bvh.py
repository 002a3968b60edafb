"""Speed and memory of reading and writing a long BVH file, compared with plain Python.

    python recipes/bench/bvh.py --frames 20000

Baseline: every row split and converted by `float`, and every number formatted by an f-string. Times are CPU seconds;
memory is that of `tracemalloc`, measured in a run of its own.
"""

import argparse
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import roma
import torch

from motionmillion.io.bvh import read_bvh, write_bvh
from motionmillion.io.bvh_file import parse_bvh
from motionmillion.motion import Motion

JOINTS = 22


def made_up(frames: int) -> Motion:
    """A smooth motion at 120 frames per second."""
    seconds = torch.arange(frames) / 120.0
    phases = 6.0 * torch.rand(JOINTS, 3, generator=torch.Generator().manual_seed(0))
    vectors = 0.3 * torch.sin(seconds[:, None, None] + phases)
    path = torch.stack([torch.sin(seconds), 0.95 + 0.02 * torch.cos(seconds), torch.cos(seconds)], dim=1)
    return Motion(roma.rotvec_to_rotmat(vectors), path, fps=120.0)


def plain_rows(path: Path) -> np.ndarray:
    """The rows of a file, number by number."""
    lines = path.read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("Frame Time:")) + 1
    return np.array([[float(word) for word in line.split()] for line in lines[first:]])


def plain_text(values: np.ndarray) -> str:
    """The rows of a file, formatted number by number."""
    return "\n".join(" ".join(f"{value:.6f}" for value in row) for row in values)


def measured(call: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds and peak MB of a call."""
    start = time.process_time()
    call()
    seconds = time.process_time() - start
    tracemalloc.start()
    call()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return seconds, peak / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20000)
    frames = parser.parse_args().frames
    motion = made_up(frames)
    with tempfile.TemporaryDirectory() as folder:
        path = write_bvh(motion, Path(folder) / "long.bvh")
        data, size = path.read_bytes(), path.stat().st_size / 1e6
        values = parse_bvh(data, str(path)).values
        calls = {
            "parse, plain Python": lambda: plain_rows(path),
            "parse": lambda: parse_bvh(path.read_bytes(), str(path)),
            "format, plain Python": lambda: plain_text(values),
            "write (whole)": lambda: write_bvh(motion, path),
            "read (whole, retargeted)": lambda: read_bvh(path),
        }
        print(
            f"{frames} frames, {size:.1f} MB\n\n| step | CPU seconds | MB | times plain parsing |\n|---|---|---|---|"
        )
        base = None
        for name, call in calls.items():
            seconds, memory = measured(call)
            base = seconds if base is None else base
            print(f"| {name} | {seconds:.2f} | {memory:.0f} | {seconds / base:.2f} |")


if __name__ == "__main__":
    main()
