"""Distillation of a trained DiT: the student comes nearer than the teacher in as many steps, and resumes exactly."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.pipeline import MotionPipeline
from motionmillion.training.dit.distillation import few_step_options, train_few_step
from motionmillion.training.dit.start_from import find_dit, tuned_config
from motionmillion.training.dit.train import train_dit
from motionmillion.training.plan.dry_run import Target, dry_run
from motionmillion.training.recipe import Recipe, load_recipe


def recipe_of(output: Path, data: dict[str, Any], model: dict[str, Any], steps: int, **training: Any) -> Recipe:
    common = dict(max_steps=steps, per_device_train_batch_size=16, learning_rate=3e-4, warmup_steps=2, save_steps=3)
    common |= dict(eval_strategy="no", logging_steps=10, max_grad_norm=1.0)
    return Recipe(str(output), 0, data, model, {**common, **training})


@pytest.fixture(scope="module")
def teacher(tiny_encoder, tmp_path_factory) -> Path:
    """A run of a tiny teacher on synthetic motion."""
    output = tmp_path_factory.mktemp("teacher") / "run"
    shape = dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2, frequency_dim=16)
    model = dict(shape, patch=8, max_frames=40, num_reference_layers=0, text_dropout=0.1)
    model["flow"] = {"sampling": "logit_normal", "shift": 2.0, "weighting": "none"}
    data = dict(synthetic=24, text_encoder=str(tiny_encoder), sentence=True, text_length=20, variants=0)
    train_dit(recipe_of(output, data, model, 60, save_strategy="no", learning_rate=2e-3))
    return output


def student_recipe(teacher: Path, output: Path, steps: int, **training: Any) -> Recipe:
    model = dict(teacher=str(teacher / "final"), steps=4, substeps=4, guidance_scale=1.5)
    return recipe_of(output, dict(synthetic=24, variants=0), model, steps, **training)


@pytest.mark.slow
def test_the_student_is_nearer_to_many_steps_than_the_teacher_in_few(teacher, tmp_path):
    figures = train_few_step(student_recipe(teacher, tmp_path / "run", 40, save_strategy="no", ema_decay=0.8))
    assert figures["eval_gap"] < 0.8 * figures["eval_gap_teacher"]
    final = tmp_path / "run" / "final"
    student = MotionDiT.from_pretrained(final / "dit")
    assert student.config.few_step == {"steps": 4, "shift": 2.0, "guidance_scale": 1.5}
    assert student.config.text_dropout == 0
    kept = MotionDiT.from_pretrained(teacher / "final" / "dit")
    assert torch.equal(student.mean, kept.mean) and torch.equal(student.std, kept.std)
    defaults = json.loads((final / "pipeline.json").read_text())["defaults"]
    assert defaults == {"steps": 4, "solver": "euler", "shift": 2.0, "guidance_scale": 1.0}
    pipe = MotionPipeline.from_pretrained(final)
    assert pipe.defaults["steps"] == 4 and pipe.defaults["guidance_scale"] == 1
    assert pipe(["a person walks"], seconds=1)[0].num_frames == 20
    settings = [json.loads((folder / "text_encoder.json").read_text()) for folder in (final, teacher / "final")]
    assert settings[0] == settings[1]  # the recipe names no encoder


@pytest.mark.slow
def test_a_stopped_distillation_resumes_exactly(teacher, tmp_path):
    finals = []
    for name in ("whole", "stopped"):
        recipe = student_recipe(teacher, tmp_path / name, 6, ema_decay=0.8)
        train_few_step(recipe)
        if name == "stopped":
            shutil.rmtree(tmp_path / name / "checkpoint-6")
            shutil.rmtree(tmp_path / name / "final")
            train_few_step(recipe, resume=True)
        finals.append(load_file(tmp_path / name / "final" / "dit" / "model.safetensors"))
    assert all(torch.equal(finals[0][name], finals[1][name]) for name in finals[0])
    last = load_file(tmp_path / "whole" / "checkpoint-6" / "model.safetensors")
    assert any(not torch.equal(finals[0][name], last[name]) for name in last)  # the average


def test_bad_recipes(teacher, tiny_pipeline_folder, tmp_path):
    def options(**model: Any):
        return few_step_options(Recipe(str(tmp_path / "run"), model=model))

    with pytest.raises(ValueError, match="model.teacher must name a trained DiT, got None"):
        options()
    with pytest.raises(ValueError, match="model section must hold known keys only, got 'step'; did you mean"):
        options(teacher=str(teacher / "final"), step=3)
    with pytest.raises(ValueError, match=r"model.dropout must be in \[0, 1\), got 1"):
        options(teacher=str(teacher / "final"), dropout=1)
    with pytest.raises(ValueError, match="model.teacher must be a pipeline with a DiT, or its transformer, got"):
        find_dit(str(tiny_pipeline_folder), "model.teacher")
    folder = find_dit(str(teacher / "final"), "model.teacher")
    assert folder == find_dit(str(teacher / "final" / "dit"), "model.teacher")
    with pytest.raises(ValueError, match="data.start_from must be left out"):
        recipe = student_recipe(teacher, tmp_path / "run", 2)
        recipe.data["start_from"] = str(teacher / "final")
        train_few_step(recipe)


def test_another_text_encoder_is_refused(teacher, tmp_path):
    recipe = student_recipe(teacher, tmp_path / "run", 2)
    recipe.data["text_encoder"] = "sentence-transformers/all-MiniLM-L6-v2"
    with pytest.raises(
        ValueError, match="text_encoder must be the one of the trained model, whose features are 16 wide, got .*384"
    ):
        train_few_step(recipe)


def test_training_goes_on_from_a_trained_model(teacher, tmp_path):
    old = MotionDiT.from_pretrained(teacher / "final" / "dit")
    data = dict(synthetic=24, variants=0, start_from=str(teacher / "final"), shortest=10)
    train_dit(recipe_of(tmp_path / "run", data, {"dropout": 0.1}, 2, save_strategy="no", learning_rate=1e-5))
    tuned = MotionDiT.from_pretrained(tmp_path / "run" / "final" / "dit")
    assert tuned.config.to_diff_dict() == {**old.config.to_diff_dict(), "dropout": 0.1}
    assert torch.equal(tuned.mean, old.mean) and torch.equal(tuned.std, old.std)
    moved = [float((a - b).abs().max()) for a, b in zip(tuned.parameters(), old.parameters(), strict=True)]
    assert 0 < max(moved) < 1e-4  # two steps away, no more
    texts = [json.loads((run / "final" / "text_encoder.json").read_text()) for run in (teacher, tmp_path / "run")]
    assert texts[0] == texts[1]
    bad = recipe_of(tmp_path / "bad", data, {"hidden_size": 128}, 2)
    with pytest.raises(ValueError, match="data.start_from must hold known keys only, got 'hidden_size'"):
        train_dit(bad)
    student = {**old.config.to_dict(), "few_step": {"steps": 4, "shift": 2.0, "guidance_scale": 1.5}}
    with pytest.raises(ValueError, match="must be a model of many steps, got one distilled for 4"):
        tuned_config(MotionDiTConfig.from_dict(student), {})


def test_the_plan_of_a_run_that_goes_on_is_that_of_its_model(teacher, tmp_path):
    recipe = tmp_path / "tune.yaml"
    data = {"synthetic": 4, "start_from": str(teacher / "final")}
    recipe.write_text(yaml.safe_dump({"output": "runs/tuned", "data": data, "training": {"max_steps": 3}}))
    own = MotionDiT.from_pretrained(teacher / "final" / "dit").num_parameters()
    text, notes = dry_run("dit", load_recipe(recipe), recipe, Target())
    assert f"parameters   {own:,}" in text
