"""Figures of speed in the log, and how they are shown."""

import time

import pytest
import torch
from accelerate import Accelerator

from motionmillion.training.arguments import check_reporters
from motionmillion.training.plan.cost import GIB, GPUS
from motionmillion.training.progress import log_line
from motionmillion.training.speed import Meter, gpu_named


def test_steps_are_measured_without_what_follows_them():
    meter = Meter(Accelerator(cpu=True))
    assert meter.figures("tokens") == {}
    for _ in range(2):
        with meter.waiting():
            time.sleep(0.01)
        meter.count(torch.tensor(30.0))
        meter.step_done()
        time.sleep(0.05)  # an evaluation
    figures = meter.figures("tokens", operations=1e9)
    assert list(figures) == ["tokens_per_second", "step_time", "data_wait", "peak_memory_gib"]
    assert figures["tokens_per_second"] * figures["step_time"] == pytest.approx(30)
    assert figures["data_wait"] <= figures["step_time"] and 0 < figures["peak_memory_gib"] < 1000
    assert meter.figures("tokens") == {}
    meter.gpu = GPUS["h100"]
    with meter.waiting():
        pass
    meter.step_done()
    seconds = meter.seconds
    assert meter.figures("frames", operations=4e14)["mfu"] == pytest.approx(4e14 / (seconds * 989.4e12))


@pytest.mark.parametrize(
    ("name", "memory", "found"),
    [
        ("NVIDIA H200", 140, "h200"),
        ("NVIDIA H100 80GB HBM3", 80, "h100"),
        ("NVIDIA H100 PCIe", 80, "h100-pcie"),
        ("NVIDIA A100-SXM4-80GB", 80, "a100"),
        ("NVIDIA A100-SXM4-40GB", 40, "a100-40gb"),
        ("NVIDIA GeForce RTX 4090", 24, "rtx4090"),
        ("AMD Instinct MI300X", 192, "mi300x"),
        ("Tesla T4", 15, None),
    ],
)
def test_gpus_are_found_by_the_name_of_their_driver(name, memory, found):
    gpu = gpu_named(name, memory * GIB * 0.99)
    assert (gpu and gpu.name) == found


def test_a_line_shows_large_numbers_whole():
    line = log_line(3, {"tokens_per_second": 123456.7, "peak_memory_gib": 1.25, "skipped_steps": 2})
    assert line == "step 3  tokens/s 123,457  peak memory GiB 1.25  skipped steps 2"


def test_a_missing_tracker_is_named():
    with pytest.raises(ImportError, match="swanlab must be installed for training.report_to: .*pip install swanlab"):
        check_reporters(["tensorboard", "swanlab"])
