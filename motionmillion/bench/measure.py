"""Measuring time and memory of calls, as all benchmarks here do.

    seconds = take_turns([baseline, ours], repeats=5, device=torch.device("cpu"))

Calls alternate, so that other load on the machine affects all of them.
"""

import contextlib
import ctypes
import functools
import gc
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch


def take_turns(calls: Sequence[Callable[[], Any]], repeats: int, device: torch.device) -> list[list[float]]:
    """Seconds of each call in each of `repeats` alternating runs, one list per call."""
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for call, times in zip(calls, seconds, strict=True):
            _synchronise(device)
            start = time.perf_counter()
            call()
            _synchronise(device)
            times.append(time.perf_counter() - start)
    return seconds


def extra_memory(call: Callable[[], Any], device: torch.device, warm: bool = True) -> float | None:
    """Peak memory of a call above the memory in use before it, in MB; None if the platform cannot measure it.

    Args:
        warm: make the call once before; without it, memory that the first call keeps is included.
    """
    if warm:
        call()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return (torch.cuda.max_memory_allocated(device) - before) / 1e6
    if sys.platform.startswith("linux"):  # memory kept by the allocator for reuse would hide that of the call
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not sys.platform.startswith("linux") or not os.access(clear, os.W_OK):
        return None
    clear.write_text("5", encoding="ascii")  # resets the peak of this process
    before = _kilobytes(status, "VmRSS")
    call()
    return max(_kilobytes(status, "VmHWM") - before, 0) / 1e3


@functools.cache
def _large(device: torch.device) -> torch.Tensor:
    return torch.ones(2**26, device=device)  # 256 MiB, beyond any cache


def read_bandwidth(device: torch.device) -> float:
    """Memory bandwidth of the machine in GB/s: the best of a few sums over 256 MiB."""
    large = _large(device)
    times = take_turns([large.sum], 4, device)[0]
    return large.numel() * large.element_size() / min(times) / 1e9


def _kilobytes(status: Path, key: str) -> int:
    lines = status.read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
