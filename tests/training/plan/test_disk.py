"""The bill of disk of a run, against what a run writes."""

import re

import pytest

from motionmillion.training.arguments import MotionTrainingArguments
from motionmillion.training.lm.train import train_lm
from motionmillion.training.plan.cost import GIB
from motionmillion.training.plan.disk import Saved, checkpoint_bytes, disk_lines, most_checkpoints, text_line
from motionmillion.training.plan.dry_run import Target, dry_run
from motionmillion.training.recipe import load_recipe
from motionmillion.training.sections import TextToMotionSection


def arguments(tmp_path, **changes) -> MotionTrainingArguments:
    return MotionTrainingArguments(output_dir=str(tmp_path), use_cpu=True, save_strategy="steps", **changes)


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_a_checkpoint_has_the_bytes_of_the_bill(lm_recipe, tmp_path, average):
    training = {"max_steps": 2, "save_steps": 2, "eval_steps": 2, "ema_decay": average}
    path = lm_recipe(training=training, model={"hidden_size": 128, "intermediate_size": 512})
    recipe = load_recipe(path)
    train_lm(recipe)
    found = sum(file.stat().st_size for file in (tmp_path / "run" / "checkpoint-2").rglob("*"))
    text, _ = dry_run("lm", recipe, path, Target())
    parameters = int(re.search(r"^parameters   ([\d,]+)", text, re.MULTILINE)[1].replace(",", ""))
    expected = checkpoint_bytes(Saved(parameters, parameters), average=bool(average))
    assert expected < found < 1.05 * expected + 60_000  # names, settings, random states


def test_bytes_by_hand():
    assert checkpoint_bytes(Saved(100, 100, stage=2), bf16=True) == 1400
    assert checkpoint_bytes(Saved(100, 100, stage=3)) == checkpoint_bytes(Saved(100, 100, stage=3), bf16=True) == 1200
    assert checkpoint_bytes(Saved(100, 10, stage=3), bf16=True) == 300
    assert checkpoint_bytes(Saved(100, 100), average=True) == 1600
    assert checkpoint_bytes(Saved(100, 10)) == 120  # adapters alone
    assert checkpoint_bytes(Saved(100, 10, stage=1), bf16=True) == 320


def test_checkpoints_that_are_there_at_a_time(tmp_path):
    few = dict(max_steps=1000, save_steps=100)
    assert most_checkpoints(arguments(tmp_path, **few)) == 10
    assert most_checkpoints(arguments(tmp_path, **few, save_total_limit=2)) == 4  # the best, and one being written
    assert most_checkpoints(arguments(tmp_path, **few, save_total_limit=2, keep_every=500)) == 6
    assert most_checkpoints(arguments(tmp_path, max_steps=-1)) is None
    lines = disk_lines(Saved(GIB, GIB, stage=2), arguments(tmp_path, **few, save_total_limit=1, save_staging="/fast"))
    assert lines[0].startswith(
        "disk         52.00 GiB: at most 3 checkpoints of 16.00 GiB, the trained model 4.00 GiB"
    )
    assert "in /fast of the machines together 16.00 GiB" in lines[1]


def test_text_features_by_hand(tmp_path):
    section = TextToMotionSection(text_length=100, sentence=False)
    assert "at most 400.0 KiB of features a distinct caption (100 x 2,048 in bfloat16)" in text_line(section, 2048)
    (tmp_path / "part").write_bytes(bytes(GIB // 64))
    section = TextToMotionSection(text_features=str(tmp_path))
    assert text_line(section, 2048) == f"text         0.02 GiB of features in {tmp_path}"
