"""Checkpoints that are copied in the background: steps go on meanwhile, and what is left is the same."""

import json
import threading

import pytest
from accelerate import PartialState

from motionmillion.training.lm.train import train_lm
from motionmillion.training.recipe import load_recipe
from motionmillion.training.resume import checkpoints, checksums, damaged, read_mark
from motionmillion.training.staging import StagedSaves


@pytest.fixture
def staged(tmp_path):
    """A way to stage saves and a checkpoint that is staged."""
    saves = StagedSaves(tmp_path / "fast", tmp_path / "run", PartialState())
    folder = saves.folder / "checkpoint-3"
    (folder / "shards").mkdir(parents=True)
    (folder / "shards" / "a.pt").write_bytes(b"1234")
    return saves, folder


def test_the_training_does_not_wait_for_the_copy(staged, tmp_path):
    saves, folder = staged
    found, go = [], threading.Event()

    def complete(sums):
        go.wait(20)
        found.append(sums)

    saves.start(folder, tmp_path / "run" / "checkpoint-3", complete)
    assert not found  # start has returned, although the copy cannot be done yet
    go.set()
    saves.finish()
    assert found == [checksums(tmp_path / "run" / "checkpoint-3")] and list(found[0]) == ["shards/a.pt"]
    assert not folder.exists()


def test_what_fails_in_the_background_is_raised_at_the_next_save(staged, tmp_path):
    saves, folder = staged
    (tmp_path / "run").write_text("a file in the way")
    saves.start(folder, tmp_path / "run" / "checkpoint-3", lambda sums: pytest.fail("this checkpoint is not whole"))
    with pytest.raises(OSError, match="checkpoint-3"):
        saves.finish()
    saves.finish()  # it is raised once


def test_a_checkpoint_is_complete_when_the_copies_of_all_machines_are_there(staged, tmp_path):
    saves, folder = staged
    other = StagedSaves(tmp_path / "fast of the other", tmp_path / "run", PartialState())
    saves.machines = other.machines = 2
    other.machine, other.completes = 1, False
    (other.folder / "checkpoint-3").mkdir()
    (other.folder / "checkpoint-3" / "b.pt").write_bytes(b"567")
    found = []
    target = tmp_path / "run" / "checkpoint-3"
    saves.start(folder, target, found.append)
    assert not found
    other.start(other.folder / "checkpoint-3", target, pytest.fail)
    other.finish()
    saves.finish()
    assert found == [checksums(target)] and set(found[0]) == {"b.pt", "shards/a.pt"}


def test_what_a_killed_run_has_left_in_memory_is_removed(staged, tmp_path):
    _, folder = staged
    StagedSaves(tmp_path / "fast", tmp_path / "run", PartialState())
    assert not folder.exists()


def test_a_staged_run_is_resumed_like_another(lm_recipe, log_of, tmp_path):
    training = {"max_steps": 6, "save_steps": 3, "eval_steps": 3, "ema_decay": 0.5}
    runs = []
    for name in ("direct", "staged"):
        changes = [f"output={tmp_path / name}"]
        changes += [f"training.save_staging={tmp_path / 'fast'}"] if name == "staged" else []
        train_lm(load_recipe(lm_recipe(training={**training, "max_steps": 3}), changes))
        train_lm(load_recipe(lm_recipe(training=training), changes), resume=True)
        runs.append(tmp_path / name)
    assert log_of(runs[0]) == log_of(runs[1])
    for one, other in zip(*map(checkpoints, runs), strict=True):
        assert set(json.loads((one / "complete.json").read_text())["files"]) == set((read_mark(other) or {})["files"])
        assert damaged(other) is None
    finals = [(run / "final" / "lm" / "model.safetensors").read_bytes() for run in runs]
    assert finals[0] == finals[1] and not list((tmp_path / "fast").rglob("checkpoint-*"))
