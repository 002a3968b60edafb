"""How fast a run trains: tokens or frames per second, time of a step, wait for data, MFU, peak memory.

    meter = Meter(accelerator)
    with meter.waiting():
        batches = ...                                # of one optimizer step
    meter.count(items)                               # tokens or frames of the step on all processes
    meter.step_done()
    figures = meter.figures("tokens", operations)    # since the last call, for the log

| figure | meaning |
|---|---|
| tokens_per_second, frames_per_second | trained on, on all processes together, without padding |
| step_time | seconds of an optimizer step, without evaluations and checkpoints |
| data_wait | seconds of these in which a step waited for its batches, on the process that waited longest |
| mfu | fraction of the GPUs' peak bfloat16 FLOPs, see `motionmillion.training.plan.cost`; GPUs of its table only |
| peak_memory_gib | highest so far on any process: of the GPU's tensors, without GPUs of the process |
"""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from motionmillion.training.plan.cost import GIB, GPUS, Gpu

_ITEMS = ("tokens", "frames")


class Meter:
    """Measures optimizer steps.

    Args:
        accelerator: of the run, for its processes and device.
    """

    def __init__(self, accelerator: Any) -> None:
        self.accelerator, self.gpu = accelerator, gpu_of(accelerator.device)
        self._began: float | None = None
        self._reset()

    def _reset(self) -> None:
        self.steps, self.seconds, self.wait = 0, 0.0, 0.0
        self.items: Tensor | float = 0.0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """A step begins with waiting for its batches."""
        self._began = time.perf_counter()
        yield
        self.wait += time.perf_counter() - self._began

    def count(self, items: Tensor) -> None:
        """Count tokens or frames of the current step."""
        self.items = self.items + items

    def step_done(self) -> None:
        """A step ends, before what follows it: evaluation, checkpoint."""
        if self._began is not None:
            self.steps += 1
            self.seconds += time.perf_counter() - self._began
        self._began = None

    def figures(self, items: str, operations: float = 0.0) -> dict[str, float]:
        """Figures since the last call; every process must call it.

        Args:
            items: name of what is counted.
            operations: floating point operations since the last call on all processes, 0 if unknown.
        """
        if not self.steps:
            return {}
        own = torch.tensor([[self.wait / self.steps, peak_memory(self.accelerator.device) / GIB]])
        wait, memory = self.accelerator.gather(own.to(self.accelerator.device)).amax(dim=0).tolist()
        found = {
            f"{items}_per_second": float(self.items) / self.seconds,
            "step_time": self.seconds / self.steps,
            "data_wait": wait,
        }
        if self.gpu is not None and operations:
            peak = self.accelerator.num_processes * self.gpu.tflops * 1e12
            found["mfu"] = operations / (self.seconds * peak)
        self._reset()
        return {**found, "peak_memory_gib": memory}


def items_of(names: list[str]) -> int:
    """Which of the counts of a step is shown: tokens or frames if there are any, else the first."""
    return next((names.index(name) for name in _ITEMS if name in names), 0)


def gpu_of(device: torch.device) -> Gpu | None:
    """The GPU of a device in the table of GPUs; None for others and for CPUs."""
    if device.type != "cuda":
        return None
    return gpu_named(torch.cuda.get_device_name(device), torch.cuda.get_device_properties(device).total_memory)


def gpu_named(name: str, memory: float) -> Gpu | None:
    """The GPU that a driver calls `name`, with so many bytes of memory, in the table of GPUs."""
    plain = name.lower().replace(" ", "").replace("-", "")
    fits = [gpu for gpu in GPUS.values() if all(part in plain for part in gpu.name.split("-") if "gb" not in part)]
    # of a100 and a100-40gb the one of that memory, of h100 and h100-pcie the more specific name
    fits.sort(key=lambda gpu: (abs(gpu.memory - memory / GIB) > 0.2 * gpu.memory, -len(gpu.name)))
    return fits[0] if fits else None


def peak_memory(device: torch.device) -> float:
    """Bytes: most that tensors have taken on a GPU, else that the process has taken; 0 where it is not known."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return float(unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
