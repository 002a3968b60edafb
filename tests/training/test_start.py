"""The start of a run whose weights are split: only the first process ever holds all of them."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
THERE = importlib.util.find_spec("deepspeed") is not None
ZERO3 = {"deepspeed": {"zero_optimization": {"stage": 3}}}
FSDP = {"fsdp": True, "fsdp_config": str(ROOT / "recipes/lm/fsdp.json")}


@pytest.mark.slow
@pytest.mark.parametrize(
    "split", [pytest.param(ZERO3, marks=pytest.mark.skipif(not THERE, reason="needs deepspeed")), FSDP]
)
def test_the_second_process_never_holds_the_whole_model(split, lm_recipe, tmp_path):
    pytest.importorskip("resource", reason="Windows does not tell the peak of memory")
    recipe = lm_recipe(training=split)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    command += [str(Path(__file__).with_name("start_memory.py")), str(recipe), str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first["whole"] > 6e8  # bytes
    assert first["growth"] > first["whole"]
    assert second["growth"] < 0.8 * second["whole"]  # its half, and a part at a time of the rest
