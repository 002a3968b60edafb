"""What an optimizer step takes from its batches: one mean over them all, or nothing if something is not finite."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate.utils import FullyShardedDataParallelPlugin
from torch.distributed.fsdp import MixedPrecisionPolicy

from motionmillion.training.faults import StepGuard
from motionmillion.training.order import SeededDataset
from motionmillion.training.resume import checkpoints, remove_older
from motionmillion.training.trainer import reduce_in_float32

ROOT = Path(__file__).resolve().parents[2]


def script():
    spec = importlib.util.spec_from_file_location("unequal", Path(__file__).with_name("unequal.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


unequal = script()


def two_processes(folder: Path, kind: str, bad: int = -1) -> list[dict]:
    """The same step on two processes with two samples each."""
    folder.mkdir()
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    command += [str(Path(unequal.__file__)), str(folder), kind, "2", "1", str(bad)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1)]


def same(one: dict, other: dict) -> None:
    assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)
    assert other["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-4)
    torch.testing.assert_close(torch.tensor(other["weights"]), torch.tensor(one["weights"]), rtol=1e-4, atol=2e-6)


LOSSES = {"lm": (), "tokenizer": ("features", "local_acceleration", "bands", "velocity"), "dit": ("clean",)}
"""Losses of each kind that are logged besides their sum."""
SPLIT = [(1, 4, 0), (2, 2, 0)]


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> dict[str, dict]:
    """The step with all four samples as one batch."""
    return {kind: unequal.step(tmp_path_factory.mktemp(kind), kind, 4, 1, 0) for kind in LOSSES}


@pytest.mark.parametrize(
    ("kind", "batch", "accumulated", "packing"),
    [*((kind, *split) for kind in LOSSES for split in SPLIT), ("lm", 4, 1, 60)],
)
def test_a_gradient_does_not_depend_on_the_arrangement(together, tmp_path, kind, batch, accumulated, packing):
    found = unequal.step(tmp_path, kind, batch, accumulated, packing)
    same(together[kind], found)
    parts = {name for name in found["log"] if name.startswith("loss_")}
    assert parts == {f"loss_{name}" for name in LOSSES[kind]}
    for name in parts:
        assert found["log"][name] == pytest.approx(together[kind]["log"][name], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", LOSSES)
def test_a_gradient_does_not_depend_on_processes(together, tmp_path, kind):
    first, second = two_processes(tmp_path / "two", kind)
    same(together[kind], first)
    assert first["weights"] == second["weights"]


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_clip(tmp_path):
    message = (
        r"loss must be finite, got nan in step 1, stopped before .*; not finite: 'walk2' \(its text\); .*--resume"
    )
    with pytest.raises(ValueError, match=message):
        unequal.step(tmp_path, "lm", 2, 2, 0, bad=2)


@pytest.mark.slow
def test_all_processes_stop_together(tmp_path):
    errors = [found["error"] for found in two_processes(tmp_path / "two", "lm", bad=2)]
    assert errors[0] == errors[1] and "not finite: 'walk2' (its text)" in errors[0]


class Explode(torch.autograd.Function):
    """The identity, whose gradient is infinite."""

    @staticmethod
    def forward(context, x):
        return x.clone()

    @staticmethod
    def backward(context, gradient):
        return gradient * torch.inf


@pytest.fixture
def exploding(monkeypatch):
    """Every gradient of the language model is infinite in the steps of this list, counted by its forward passes."""
    steps, passes, forward = [], [], unequal.MotionLM.forward

    def one(self, *args, **kwargs):
        output = forward(self, *args, **kwargs)
        passes.append(0)
        if len(passes) in steps:
            output.loss = Explode.apply(output.loss)
        return output

    monkeypatch.setattr(unequal.MotionLM, "forward", one)
    return steps


def test_steps_without_a_finite_gradient_are_skipped_and_counted(tmp_path, exploding, capsys):
    exploding[:] = [1]
    found = unequal.step(tmp_path / "one", "lm", 4, 1, 0)
    exploding[:] = [2, 3]
    unchanged = unequal.step(tmp_path / "none", "lm", 4, 1, 0, max_steps=2)
    assert found["weights"] == unchanged["weights"]  # those of the beginning
    assert "step 1: the gradient is not finite, the weights stay as they are; clips of the batch: " in (
        capsys.readouterr().err
    )
    exploding[:] = [5, 6]
    with pytest.raises(ValueError, match="max_skipped_steps must be above .*, got 2, reached in step 3; .*'walk"):
        unequal.step(tmp_path / "ends", "lm", 4, 1, 0, max_steps=9, max_skipped_steps=2)


def test_every_loss_of_a_step_is_looked_at():
    from accelerate import Accelerator

    guard = StepGuard(Accelerator(cpu=True), 3, SeededDataset(unequal.Samples("lm")))
    for index, loss in enumerate((1.0, torch.inf, 2.0)):
        guard.note(torch.tensor([[index, 0]]), torch.tensor(loss))
    with pytest.raises(ValueError, match="got inf in step 8, .*clips of the batch: 'walk1'; correct"):
        guard.check_losses(7)
    assert not guard.skips(False, 7)


def test_embeddings_norms_and_biases_do_not_decay(tmp_path):
    trainer, _ = unequal.trainer_of(tmp_path / "new", "lm", 4, 1, 0)
    names = trainer.get_decay_parameter_names(trainer.model)
    everything = {name for name, _ in trainer.model.named_parameters()}
    undecayed = everything - set(names)
    assert undecayed == {name for name in everything if "norm" in name or "bias" in name or "embed_tokens" in name}
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "recipe.json").write_text("{}")  # a run of an earlier version, whose optimizer goes on
    trainer, _ = unequal.trainer_of(tmp_path / "old", "lm", 4, 1, 0)
    assert set(trainer.get_decay_parameter_names(trainer.model)) == {*names, "embed_tokens.weight"}


def test_the_best_checkpoint_and_every_nth_are_kept(tmp_path):
    for step in range(1, 13):
        (tmp_path / f"checkpoint-{step}").mkdir()
    remove_older(tmp_path, None, 3, 4)
    assert len(checkpoints(tmp_path)) == 12
    remove_older(tmp_path, 2, 3, 4)
    assert [folder.name for folder in checkpoints(tmp_path)] == [f"checkpoint-{n}" for n in (12, 11, 8, 4, 3)]


def test_gradients_are_added_up_in_float32_under_fsdp(monkeypatch):
    monkeypatch.setattr(os, "environ", os.environ.copy())  # the plugin writes into it
    half = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.bfloat16)
    plugin = FullyShardedDataParallelPlugin(fsdp_version=2, mixed_precision_policy=half)
    reduce_in_float32(SimpleNamespace(state=SimpleNamespace(fsdp_plugin=plugin)))
    assert plugin.mixed_precision_policy == MixedPrecisionPolicy(torch.bfloat16, torch.float32)
