"""Values of the section `training` that cannot be: named before anything is loaded, in one line."""

import dataclasses
import typing

import pytest

from motionmillion.cli.messages import is_known
from motionmillion.eval.reconstruction import evaluate_tokenizer
from motionmillion.training.argument_checks import ABOVE_0, BELOW_1, LEAST, check_values
from motionmillion.training.arguments import MotionTrainingArguments, training_arguments
from motionmillion.training.figures import FIGURES, figures_of
from motionmillion.training.lm.train import train_lm
from motionmillion.training.recipe import Recipe, load_recipe


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"per_device_train_batch_size": 2.5}, "must be a whole number, got 2.5"),
        ({"gradient_accumulation_steps": 0}, "must be at least 1, got 0"),
        ({"max_steps": 2.5}, "must be a whole number, got 2.5"),
        ({"max_steps": True}, "must be a whole number, got True"),
        ({"learning_rate": -1}, "must be at least 0, got -1"),
        ({"learning_rate": float("nan")}, "must be at least 0, got nan"),
        ({"adam_beta1": 2}, "must be below 1, got 2"),
        ({"eval_steps": 0}, "must be above 0, got 0"),
        ({"save_total_limit": "abc"}, "must be a whole number or null, got 'abc'"),
        ({"save_total_limit": -1}, "must be at least 1, got -1"),
        ({"dataloader_num_workers": -1}, "must be at least 0, got -1"),
        ({"ema_decay": "abc"}, "must be a number, got 'abc'"),
        ({"bf16": "maybe"}, "must be true or false, got 'maybe'"),
        ({"lr_scheduler_type": "foo"}, "must be one of .*'cosine'.*, got 'foo'"),
        ({"optim": "foo"}, "must be one of .*'adamw_torch'.*, got 'foo'"),
        ({"eval_strategy": False}, "must be a text, got False"),
        ({"save_staging": 5}, "must be a text or null, got 5"),
        ({"report_to": ["foo"]}, "must be among .*'tensorboard'.*, got 'foo'"),
        ({"keep_every": 30, "save_steps": 20}, "must be a multiple of save_steps, 20, got 30"),
        ({"metric_for_best_model": "foo"}, r"must be one of \['loss', 'accuracy'\], got 'foo'"),
    ],
)
def test_mistakes_are_named(tmp_path, change, message):
    name = next(iter(change))
    with pytest.raises(ValueError, match=f"^training.{name} {message}"):
        training_arguments(Recipe(str(tmp_path), training=change))


def test_trackers_that_are_not_installed_are_named(tmp_path):
    with pytest.raises(ImportError, match="codecarbon must be installed for training.report_to"):
        training_arguments(Recipe(str(tmp_path), training={"report_to": ["codecarbon"]}))


def test_what_is_checked_are_arguments_and_defaults_pass(tmp_path):
    fields = {field.name for field in dataclasses.fields(MotionTrainingArguments) if field.init}
    assert {*LEAST, *ABOVE_0, *BELOW_1} <= fields
    hints = typing.get_type_hints(MotionTrainingArguments)
    made = MotionTrainingArguments(output_dir=str(tmp_path))
    check_values({name: getattr(made, name) for name in fields}, hints)  # as transformers has completed them


@pytest.mark.parametrize("line", ["output: null", "output: 5", "output: x\nseed: abc", "output: x\nseed: -1"])
def test_output_and_seed(tmp_path, line):
    (tmp_path / "r.yaml").write_text(line + "\n")
    with pytest.raises(ValueError, match=r"^(output must be a folder|seed must be a whole number)"):
        load_recipe(tmp_path / "r.yaml")


def test_the_better_of_two_figures_is_known(tmp_path):
    for part, figures in FIGURES.items():
        for name, greater in figures.items():
            recipe = Recipe(str(tmp_path), training={"metric_for_best_model": name})
            assert training_arguments(recipe, part).greater_is_better is greater
    first = training_arguments(Recipe(str(tmp_path)), "tokenizer")
    assert first.metric_for_best_model == "mpjpe_rotations_mm" and not first.greater_is_better
    worst = Recipe(str(tmp_path), training={"metric_for_best_model": "mpjpe_mm", "greater_is_better": True})
    assert training_arguments(worst, "tokenizer").greater_is_better  # if that is said


def test_only_language_models_generate_in_evaluations(tmp_path):
    with pytest.raises(ValueError, match="training.generate_every must be left out but for language models, got 1"):
        training_arguments(Recipe(str(tmp_path), training={"generate_every": 1}), "dit")


def test_the_figures_are_those_of_the_evaluation(tiny_tokenizer, tmp_path):
    from motionmillion.data.synthetic import synthetic_clips

    features = [
        tiny_tokenizer.representation.encode(clip.motion.canonicalize()) for clip in synthetic_clips(2, seed=0)
    ]
    assert set(evaluate_tokenizer(tiny_tokenizer, features)) == set(FIGURES["tokenizer"])
    held_out = Recipe(str(tmp_path), data={"held_out_captions": 0.1})
    assert set(figures_of("lm", held_out)) == {"loss", "accuracy", "wording_loss", "wording_accuracy"}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"hidden_size": "abc"}, "'hidden_size' expected int, got str"),
        ({"attn_implementation": "foo"}, 'attn_implementation="foo"` is not supported'),
    ],
)
def test_mistakes_that_other_packages_find_are_told_as_ours(write_lm, tmp_path, model, message):
    with pytest.raises(Exception, match=message) as caught:
        train_lm(load_recipe(write_lm(tmp_path, model=model)))
    assert is_known(caught.value)
