"""Time and memory of calls, the way all benchmarks here take them.

    seconds = take_turns([baseline, ours], repeats=5, device=torch.device("cpu"))

Calls take turns, so that other load on the machine meets all of them.
"""

import contextlib
import ctypes
import functools
import gc
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch


def take_turns(calls: Sequence[Callable[[], Any]], repeats: int, device: torch.device) -> list[list[float]]:
    """Seconds of each call in each of `repeats` turns, call by call."""
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
    """Peak memory of a call above what was there before, in MB; None where the platform cannot say.

    Args:
        warm: make the call once before; without it what the first call keeps counts too.
    """
    if warm:
        call()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return (torch.cuda.max_memory_allocated(device) - before) / 1e6
    if sys.platform.startswith("linux"):  # what the allocator kept for reuse would hide what a call takes
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not sys.platform.startswith("linux") or not os.access(clear, os.W_OK):
        return None
    clear.write_text("5")  # resets the peak of this process
    before = _kilobytes(status, "VmRSS")
    call()
    return max(_kilobytes(status, "VmHWM") - before, 0) / 1e3


@functools.cache
def _large(device: torch.device) -> torch.Tensor:
    return torch.ones(2**26, device=device)  # 256 MiB, beyond any cache


def read_bandwidth(device: torch.device) -> float:
    """Bytes a second that the machine reads from memory, in 1e9: the best of a few sums over 256 MiB."""
    large = _large(device)
    times = take_turns([large.sum], 4, device)[0]
    return large.numel() * large.element_size() / min(times) / 1e9


def _kilobytes(status: Path, key: str) -> int:
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(key))


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def describe_machine(device: str) -> str:
    """What a table says about where it was made: processor or GPU, threads, versions."""
    name = torch.cuda.get_device_name() if device.startswith("cuda") else f"CPU {platform.machine()}"
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, Python {platform.python_version()}"
