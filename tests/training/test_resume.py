"""Checkpoints that disks have damaged, and disks that are full: what is found, said, and left whole."""

import shutil
import subprocess
import sys

import pytest

from motionmillion.training.lm.train import train_lm
from motionmillion.training.recipe import load_recipe
from motionmillion.training.resume import MARKER, checkpoints, checksums, damaged, naming_full_disk, read_mark

STEPS = {"max_steps": 9, "save_steps": 3, "eval_steps": 9, "ema_decay": 0.5, "save_total_limit": 10}


def flip(path) -> None:
    """Changes one bit in the middle of a file; its size stays."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "ema.pt"])
def test_a_flipped_bit_is_found_and_the_checkpoint_before_is_taken(lm_recipe, log_of, tmp_path, capsys, name):
    recipe = load_recipe(lm_recipe(training=STEPS))
    run = tmp_path / "run"
    train_lm(recipe)
    whole, weights = log_of(run), (run / "final" / "lm" / "model.safetensors").read_bytes()
    shutil.rmtree(run / "final")
    shutil.rmtree(run / "checkpoint-9")
    flip(run / "checkpoint-6" / name)
    assert read_mark(run / "checkpoint-6") is not None and damaged(run / "checkpoint-6") == name
    train_lm(recipe, resume=True)
    assert f"{name} of checkpoint-6 is damaged (its checksum has changed)" in capsys.readouterr().err
    assert log_of(run) == whole
    assert (run / "final" / "lm" / "model.safetensors").read_bytes() == weights


def test_without_any_intact_checkpoint_the_run_is_refused(lm_recipe, tmp_path):
    recipe = load_recipe(lm_recipe(training={**STEPS, "max_steps": 3, "eval_steps": 3}))
    train_lm(recipe)
    flip(tmp_path / "run" / "checkpoint-3" / "optimizer.pt")
    with pytest.raises(ValueError, match="checkpoints must be whole to resume, got none in"):
        train_lm(recipe, resume=True)


def test_a_run_that_was_killed_inside_its_first_save_begins_again(lm_recipe, log_of, tmp_path, capsys):
    recipe = load_recipe(lm_recipe(training={**STEPS, "max_steps": 3, "eval_steps": 3}))
    train_lm(recipe)
    run = tmp_path / "run"
    whole, weights = log_of(run), (run / "final" / "lm" / "model.safetensors").read_bytes()
    shutil.rmtree(run / "final")
    for name in (MARKER, "optimizer.pt", "trainer_state.json"):
        (run / "checkpoint-3" / name).unlink()
    train_lm(recipe, resume=True)
    said = "checkpoint-3, the first one, was not finished; the run starts from the beginning"
    assert said in capsys.readouterr().err
    assert log_of(run) == whole and read_mark(run / "checkpoint-3") is not None
    assert (run / "final" / "lm" / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize("schedule", [{"lr_scheduler_type": "linear"}, {"lr_milestones": [5], "lr_gamma": 0.1}])
def test_a_resumed_run_takes_the_learning_rate_of_its_recipe(lm_recipe, log_of, tmp_path, capsys, schedule):
    training = {**STEPS, "max_steps": 6, "eval_steps": 6, "warmup_steps": 0, "learning_rate": 1e-2, **schedule}
    train_lm(load_recipe(lm_recipe(training=training)))
    run = tmp_path / "run"
    before = [figures["learning_rate"] for figures in log_of(run).values()]
    shutil.rmtree(run / "final")
    shutil.rmtree(run / "checkpoint-6")
    train_lm(load_recipe(lm_recipe(training={**training, "learning_rate": 1e-3})), resume=True)
    after = [figures["learning_rate"] for figures in log_of(run).values()]
    assert after[:3] == before[:3] and after[3:] == pytest.approx([rate / 10 for rate in before[3:]])
    assert "the learning rate is another one from here on, 0.001" in capsys.readouterr().err


def test_processes_share_the_files(tmp_path):
    for number in range(5):
        (tmp_path / f"part{number}").write_bytes(bytes([number]) * 100)
    parts = [checksums(tmp_path, process, 2) for process in range(2)]
    assert not set(parts[0]) & set(parts[1]) and {**parts[0], **parts[1]} == checksums(tmp_path)
    assert len(set(checksums(tmp_path).values())) == 5


@pytest.fixture
def small_disk(tmp_path):
    """A disk of four megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_named_and_the_checkpoint_before_stays_whole(lm_recipe, small_disk):
    training = {**STEPS, "max_steps": 200, "save_total_limit": 100, "eval_steps": 200}
    recipe = load_recipe(lm_recipe(training=training), [f"output={small_disk / 'run'}"])
    with pytest.raises(
        OSError, match=r"got no space left for .*checkpoint-\d+'; checkpoint-\d+ is whole, and --resume"
    ):
        train_lm(recipe)
    there = checkpoints(small_disk / "run")
    assert there and all(read_mark(folder) is not None and damaged(folder) is None for folder in there)
    shutil.rmtree(there[-1])
    assert small_disk.joinpath("run", "recipe.json").exists()


def test_other_errors_pass_unchanged(tmp_path):
    (tmp_path / "checkpoint-1").mkdir()
    with pytest.raises(RuntimeError, match="shapes do not match"), naming_full_disk(tmp_path / "checkpoint-1"):
        raise RuntimeError("shapes do not match")
    assert (tmp_path / "checkpoint-1").exists()
