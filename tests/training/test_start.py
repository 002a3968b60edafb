"""The start of a run whose weights are split: only the first process ever holds all of them."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from motionmillion.features.stats import FeatureStats
from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.training.arguments import training_arguments
from motionmillion.training.dit.start_from import copied
from motionmillion.training.recipe import load_recipe
from motionmillion.training.start import read_on_the_first

ROOT = Path(__file__).resolve().parents[2]
THERE = importlib.util.find_spec("deepspeed") is not None
ZERO3 = {"deepspeed": {"zero_optimization": {"stage": 3}}}
FSDP = {"fsdp": True, "fsdp_config": str(ROOT / "recipes/lm/fsdp.json")}


SHAPE: dict[str, Any] = dict(
    hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, text_dim=8
)


def process(index: int, split: str = "fsdp") -> SimpleNamespace:
    """What is asked of the arguments of a training on two processes."""
    return SimpleNamespace(world_size=2, process_index=index, split=split)


def test_only_the_first_process_reads_a_trained_model(tmp_path):
    config = MotionLMConfig(head="flow", codebook_size=0, latent_dim=3, **SHAPE)
    saved: Any = MotionLM(config)
    saved.set_statistics(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, 5.0, 6.0]))
    saved.save_pretrained(tmp_path)
    for arguments in (process(0), process(1, split="")):  # it, and processes that will not split the weights
        model = read_on_the_first(MotionLM, tmp_path, arguments)
        assert all(torch.equal(model.state_dict()[name], value) for name, value in saved.state_dict().items())
    other = read_on_the_first(MotionLM, tmp_path, process(1))
    assert type(other) is type(saved) and not other.training
    assert all(weight.is_meta for weight in other.parameters())
    kept = dict(saved.named_buffers())
    assert kept and all(torch.equal(buffer, kept[name]) for name, buffer in other.named_buffers())


def test_a_dit_without_weights_is_copied_with_its_statistics(tmp_path):
    saved = MotionDiT(MotionDiTConfig.from_name("nano", text_dim=8))
    size = len(saved.mean)
    saved.set_statistics(FeatureStats(torch.randn(size), torch.rand(size) + 0.5))
    saved.save_pretrained(tmp_path)
    other = read_on_the_first(MotionDiT, tmp_path, process(1, "zero3"))
    copy = copied(other, other.config)
    assert all(weight.is_meta for weight in copy.parameters())
    assert torch.equal(copy.mean, saved.mean) and torch.equal(copy.std, saved.std)
    assert not any(weight.is_meta for weight in copied(saved, saved.config).parameters())


def test_trackers_know_a_run_by_its_folder(lm_recipe):
    """So that the figures after the training, and those after a resume, belong to the same run."""
    recipe = load_recipe(lm_recipe())
    assert training_arguments(recipe).run_name == recipe.output
    recipe.training["run_name"] = "other"
    assert training_arguments(recipe).run_name == "other"


def test_a_damaged_model_is_an_error(tmp_path):
    MotionLM(MotionLMConfig(codebook_size=16, **SHAPE)).save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match="checkpoint must be whole"):
        read_on_the_first(MotionLM, tmp_path, process(0))


@pytest.mark.slow
@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize(
    "split", [pytest.param(ZERO3, marks=pytest.mark.skipif(not THERE, reason="needs deepspeed")), FSDP]
)
def test_the_second_process_never_holds_the_whole_model(split, trained, lm_recipe, tmp_path):
    pytest.importorskip("resource", reason="Windows does not tell the peak of memory")
    recipe = lm_recipe(training=split)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    command += [str(Path(__file__).with_name("start_memory.py")), str(recipe), str(tmp_path)]
    if trained:
        shape: dict[str, Any] = dict(
            hidden_size=1024, intermediate_size=4096, num_hidden_layers=10, num_attention_heads=8
        )
        MotionLM(MotionLMConfig(codebook_size=64, text_dim=16, **shape)).save_pretrained(tmp_path / "model")
        command.append(str(tmp_path / "model"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first["whole"] > 6e8  # bytes
    assert first["growth"] > first["whole"]
    assert second["growth"] < 0.8 * second["whole"]  # its half, and a part at a time of the rest
