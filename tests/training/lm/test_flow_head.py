"""Training of a flow head: recipe to pipeline, exact resume, adapters, packed rows, and every check."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from motionmillion import MotionPipeline
from motionmillion.data.sets.latents import latent_statistics
from motionmillion.lm import MotionLM
from motionmillion.lm.latents.model import MotionFlowLM
from motionmillion.training.export import export_checkpoint
from motionmillion.training.lm.data import evaluate_lm, lm_data
from motionmillion.training.lm.options import lm_data_options
from motionmillion.training.lm.train import train_lm
from motionmillion.training.plan.dry_run import Target, dry_run
from motionmillion.training.recipe import load_recipe

MODEL = {"head": "flow", "flow_layers": 2, "context_codes": 40}


@pytest.fixture(scope="module")
def latents_folder(tiny_latents, tiny_encoder) -> str:
    folder = tiny_encoder.parent / "latents"
    tiny_latents.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory, write_lm, latents_folder):
    """A finished run, and its recipe."""
    data = {"tokenizer": latents_folder, "caption_dropout": 0.2, "sampling": {"steps": 2, "max_seconds": 2.0}}
    recipe = write_lm(tmp_path_factory.mktemp("flow"), data=data, model=MODEL, training={"max_steps": 6})
    return recipe, train_lm(load_recipe(recipe))


def test_a_recipe_becomes_a_pipeline(run):
    recipe, figures = run
    folder = recipe.parent / "run"
    history = json.loads((folder / "checkpoint-6" / "trainer_state.json").read_text())["log_history"]
    losses = [entry for entry in history if "loss" in entry]
    assert losses[-1]["loss"] < losses[0]["loss"] and {"loss_flow", "loss_end"} <= set(losses[0])
    assert figures["eval_loss"] == pytest.approx(figures["eval_flow_loss"] + figures["eval_end_loss"])
    pipe = MotionPipeline.from_pretrained(folder / "final")
    assert isinstance(pipe.lm, MotionFlowLM) and pipe.lm.config.latent_dim == 8
    assert pipe.lm.config.caption_dropout == 0.2 and pipe.defaults["steps"] == 2
    assert pipe("a person walks", seconds=1, guidance_scale=2.0)[0].num_frames == 30


def test_statistics_are_those_of_the_data_and_figures_follow_from_the_seed(run, tiny_latents, tiny_encoder):
    from motionmillion.text.encoder import TextEncoder

    recipe, lm = load_recipe(run[0]), MotionLM.from_pretrained(run[0].parent / "run/final/lm").eval()
    encoder = TextEncoder(str(tiny_encoder), max_length=32)
    sets = lm_data(recipe, lm_data_options(recipe), tiny_latents, encoder, lm.config, torch.device("cpu"))
    mean, std = latent_statistics(latents for clip in sets.train.codes for latents in clip)
    torch.testing.assert_close((lm.latent_mean, lm.latent_std), (mean, std))
    figures = evaluate_lm(lm, sets.validation, sets.plain, recipe.seed)
    assert figures == evaluate_lm(lm, sets.validation, sets.plain, recipe.seed)
    assert figures["loss"] == pytest.approx(run[1]["eval_loss"], abs=1e-4)
    assert figures != evaluate_lm(lm, sets.validation, sets.plain, recipe.seed + 1)


def test_a_stopped_run_resumes_with_the_same_losses(run, log_of, tmp_path, write_lm, latents_folder):
    shutil.copytree(run[0].parent / "run", tmp_path / "run")
    whole = log_of(tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoint-6")
    shutil.rmtree(tmp_path / "run" / "final")
    recipe = load_recipe(run[0], [f"output={tmp_path / 'run'}"])
    train_lm(recipe, resume=True)
    assert log_of(tmp_path / "run") == whole


def test_a_checkpoint_becomes_a_pipeline(run, tmp_path):
    export_checkpoint(run[0].parent / "run" / "checkpoint-3", tmp_path / "early")
    early = MotionPipeline.from_pretrained(tmp_path / "early")
    final = MotionPipeline.from_pretrained(run[0].parent / "run" / "final")
    assert isinstance(early.lm, MotionFlowLM) and torch.equal(early.lm.latent_std, final.lm.latent_std)
    assert not torch.equal(early.lm.flow_head.write.weight, final.lm.flow_head.write.weight)


def test_adapters_learn_over_a_flow_head(run, lm_recipe):
    pytest.importorskip("peft", reason='needs pip install "motionmillion[lora]"')
    start = run[0].parent / "run" / "final"
    left_out = {"tokenizer": None, "text_encoder": None, "sentence": None, "text_length": None}
    model = {"lora": {"rank": 2, "targets": ["q_proj"]}}
    sections = dict(data={"start_from": str(start), **left_out}, model=model, training={"max_steps": 3})
    recipe = load_recipe(lm_recipe(**sections))
    train_lm(recipe)
    before, after = (MotionLM.from_pretrained(folder / "lm") for folder in (start, Path(recipe.output, "final")))
    changed = {name for name, value in before.state_dict().items() if not torch.equal(value, after.state_dict()[name])}
    assert changed == {f"layers.{layer}.self_attn.q_proj.weight" for layer in range(2)}


def test_shards_of_codes_are_refused_where_the_head_comes_from_a_pipeline(run, lm_recipe, tmp_path):
    sections = {"start_from": str(run[0].parent / "run" / "final"), "tokens": str(tmp_path), "synthetic": None}
    left_out = {"tokenizer": None, "text_encoder": None, "sentence": None, "text_length": None}
    with pytest.raises(ValueError, match='data.tokens must be left out with head "flow"'):
        train_lm(load_recipe(lm_recipe(data={**sections, **left_out}, model={})))


@pytest.mark.parametrize("changes", [{"packing": 96}, {"code_drop": 0.3, "caption_dropout": 0.0}])
def test_packed_rows_and_cut_samples_train_too(lm_recipe, latents_folder, changes):
    data = {"tokenizer": latents_folder, "variants": 0, **changes}
    recipe = load_recipe(
        lm_recipe(data=data, model=MODEL, training={"max_steps": 2, "eval_steps": 2, "save_steps": 2})
    )
    assert train_lm(recipe)["eval_loss"] < 4


def test_the_dry_run_counts_the_head(lm_recipe, latents_folder):
    path = lm_recipe(data={"tokenizer": latents_folder}, model=MODEL)
    text, notes = dry_run("lm", load_recipe(path), path, Target())
    wide, _ = dry_run("lm", load_recipe(path, ["model.flow_width=64"]), path, Target())
    counts = [int(t.split("parameters   ")[1].split(",", 2)[0]) for t in (text, wide)]
    assert counts[1] > counts[0] and not [note for note in notes if "assumed" in note]
    _, notes = dry_run("lm", load_recipe(path, ["data.tokenizer=nowhere/final"]), path, Target())
    assert any("latents of 16 channels are assumed" in note for note in notes)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.corruption=0.1"], 'data.corruption must be 0 with head "flow", got 0.1; use model.latent_noise'),
        (["data.synthetic=0", "data.tokens=codes"], "data.tokens must be left out with head \"flow\", got 'codes'"),
        (["data.sampling={top_k: 5}"], "data.sampling must hold known keys only, got 'top_k'"),
        (["data.sampling=5"], "data.sampling must be a mapping of options, got 5"),
        (["data.sampling={steps: 0}"], "steps must be a whole number of at least 1, got 0"),
        (["data.sampling={solver: rk}"], "solver must be one of .*, got 'rk'"),
        (["data.sampling={transition: -1}"], "transition must be above 0"),
        (["model.head=codes", "data.sampling={top_p: 2}"], r"top_p must be in \(0, 1\], got 2"),
        (["data.sampling={top_k: null, steps: 4}", "model.flow_layers=0"], "flow_layers must be a whole number"),
        (["model.head=codes"], 'data.tokenizer must have a codebook, got .* with quantizer "none"; set model.head to'),
        (["model.head=flows"], "must have a codebook, got .*latents"),
    ],
)
def test_bad_recipes_are_named(lm_recipe, latents_folder, overrides, message):
    path = lm_recipe(data={"tokenizer": latents_folder}, model={"head": "flow"})
    with pytest.raises(ValueError, match=message):
        train_lm(load_recipe(path, overrides))


def test_codes_are_no_latents(lm_recipe):
    with pytest.raises(ValueError, match='data.tokenizer must have continuous latents, got .* with quantizer "fsq"'):
        train_lm(load_recipe(lm_recipe(model={"head": "flow"})))
