"""Validation that turns is reported, stops a run, and decides which model is written."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerControl, TrainerState

from motionmillion.training.arguments import MotionTrainingArguments
from motionmillion.training.lm.train import train_lm
from motionmillion.training.recipe import load_recipe
from motionmillion.training.turning import Turning, validation_of


def history(*values: float) -> list[dict]:
    log = [{"step": 10 * n, "eval_loss": value} for n, value in enumerate(values, 1)]
    return [entry for each in log for entry in ({"step": each["step"], "loss": 1.0}, each)]


def test_the_best_evaluation_is_found():
    assert validation_of([{"step": 1, "loss": 2.0}], "eval_loss", False) is None
    assert validation_of(history(3.0, 2.0, 2.5, float("nan")), "eval_loss", False) == pytest.approx(
        (20, 2.0, float("nan"), 2), nan_ok=True
    )
    assert validation_of(history(3.0, 2.0, 2.5), "eval_loss", True)[0] == 10
    assert validation_of(history(2.0, 2.0), "eval_loss", False)[0] == 10  # the first of equal ones


def test_validation_that_turns_is_reported_once_and_ends_the_run(tmp_path, capsys):
    arguments = MotionTrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    watch, state, control = Turning("eval_loss", False, patience=4), TrainerState(), TrainerControl()
    watch.on_train_begin(arguments, state, control)
    stopped = []
    for count in range(1, 7):
        state.log_history, state.global_step = history(*[3.0, 2.0, 2.1, 2.2, 2.3, 2.4][:count]), 10 * count
        watch.on_evaluate(arguments, state, control)
        stopped.append(control.should_training_stop)
    assert stopped == [False] * 5 + [True] and control.should_save
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("step 40: validation has turned: loss was best at step 20, 2, and is now 2.2")
    assert (
        said[1].startswith("step 60: stopped, because validation has not improved in 4 evaluations") and len(said) == 2
    )
    again = TrainerControl()
    watch.on_train_begin(arguments, state, again)
    assert again.should_training_stop


def test_the_best_model_is_final_unless_told_otherwise(lm_recipe, tmp_path, capsys):
    """At this learning rate the loss rises after a few steps."""
    training = {"max_steps": 12, "eval_steps": 1, "save_steps": 12, "learning_rate": 0.5, "ema_decay": 0.5}
    training |= {"early_stopping": 3, "lr_scheduler_type": "constant"}
    figures = train_lm(load_recipe(lm_recipe(training=training)))
    run = tmp_path / "run"
    newest = max(run.glob("checkpoint-*"), key=lambda folder: int(folder.name[11:]))
    state = json.loads((newest / "trainer_state.json").read_text())
    best, last = state["best_global_step"], state["global_step"]
    assert best < last < 12 and last == best + 3
    assert figures["eval_loss"] == pytest.approx(state["best_metric"])
    assert f"the model of step {best} is taken, whose loss is the best" in capsys.readouterr().err
    final = (run / "final" / "lm" / "model.safetensors").read_bytes()
    average = torch.load(run / f"checkpoint-{best}" / "ema.pt", weights_only=True)
    weights = load_file(run / "final" / "lm" / "model.safetensors")
    assert all(torch.equal(weights[name], average[f"module.{name}"]) for name in weights)
    assert train_lm(load_recipe(lm_recipe(training=training)), resume=True) == figures  # stays ended
    assert (run / "final" / "lm" / "model.safetensors").read_bytes() == final
    train_lm(load_recipe(lm_recipe(training={**training, "final": "last"})), resume=True)
    assert (run / "final" / "lm" / "model.safetensors").read_bytes() != final


def test_the_best_adapters_are_final(lm_recipe, tmp_path, tiny_pipeline_folder):
    pytest.importorskip("peft", reason='needs pip install "motionmillion[lora]"')
    data = {"start_from": str(tiny_pipeline_folder), "tokenizer": None, "text_encoder": None}
    training = {"max_steps": 9, "eval_steps": 1, "save_steps": 9, "learning_rate": 0.01, "early_stopping": 2}
    training |= {
        "greater_is_better": True,
        "metric_for_best_model": "loss",
    }
    figures = train_lm(load_recipe(lm_recipe(data=data, model={"lora": {"rank": 4}}, training=training)))
    newest = max((tmp_path / "run").glob("checkpoint-*"), key=lambda folder: int(folder.name[11:]))
    state = json.loads((newest / "trainer_state.json").read_text())
    assert state["best_global_step"] < state["global_step"] < 9
    assert figures["eval_loss"] == pytest.approx(state["best_metric"])


@pytest.mark.parametrize(
    ("most", "samples", "steps"), [(500, 8, 60), (-1, 8, 60), (500, 1000, 500), (-1, 1000, 32 * 60), (500, 1, 60)]
)
def test_few_clips_take_few_steps(tmp_path, most, samples, steps):
    options = {
        "max_steps": most,
        "max_epochs": 60,
        "per_device_train_batch_size": 16,
        "gradient_accumulation_steps": 2,
    }
    assert MotionTrainingArguments(output_dir=str(tmp_path), use_cpu=True, **options).limited(samples) == steps


@pytest.mark.parametrize(
    "change", [{"final": "first"}, {"early_stopping": -1}, {"max_epochs": -1}, {"keep_every": 0.5}]
)
def test_mistakes_are_named(tmp_path, change):
    with pytest.raises(ValueError, match=f"training.{next(iter(change))} must be"):
        MotionTrainingArguments(output_dir=str(tmp_path), **change)
