"""LoRA: adapters learn, are written alone and merged, and go on exactly after a stop."""

import json
import shutil
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from motionmillion import MotionPipeline
from motionmillion.lm import MotionLM
from motionmillion.training.export import export_checkpoint
from motionmillion.training.lm.lora import TARGETS, LoraOptions, add_adapters, loaded_adapters, merged
from motionmillion.training.lm.train import train_lm
from motionmillion.training.recipe import load_recipe

pytest.importorskip("peft", reason='needs pip install "motionmillion[lora]"')

LORA = {"rank": 4, "alpha": 8, "dropout": 0.05, "targets": ["q_proj", "v_proj"]}
LEFT_OUT = {"tokenizer": None, "text_encoder": None, "sentence": None, "text_length": None}


@pytest.fixture(scope="module")
def run(tmp_path_factory, write_lm, tiny_pipeline_folder):
    """A finished run that started from a pipeline and leaves out everything that the pipeline knows."""
    folder = tmp_path_factory.mktemp("lora")
    data = {"start_from": str(tiny_pipeline_folder), **LEFT_OUT}
    recipe = write_lm(folder, data=data, model={"lora": LORA}, training={"save_total_limit": 5, "save_steps": 2})
    train_lm(load_recipe(recipe))
    return folder / "run"


def test_what_the_recipe_leaves_out_comes_from_the_pipeline(run, tiny_pipeline_folder):
    for name in ("text_encoder.json", "pipeline.json", "tokenizer/config.json", "lm/config.json"):
        assert json.loads((run / "final" / name).read_text()) == json.loads((tiny_pipeline_folder / name).read_text())


def test_adapters_are_merged_into_a_pipeline(run, tiny_pipeline_folder):
    before, after = (
        load_file(folder / "lm" / "model.safetensors") for folder in (tiny_pipeline_folder, run / "final")
    )
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.split(".")[-2] in LORA["targets"]}
    assert MotionPipeline.from_pretrained(run / "final")("a person walks", seconds=1)[0].num_frames == 30


def test_adapters_alone_load_with_peft(run, tiny_pipeline_folder):
    from peft import PeftModel

    weights = load_file(run / "adapter" / "adapter_model.safetensors")
    assert len(weights) == 2 * 2 * 2 and all("lora_" in name for name in weights)
    assert not list((run / "adapter").glob("*.bin"))
    lm = MotionLM.from_pretrained(tiny_pipeline_folder / "lm")
    adapted = PeftModel.from_pretrained(lm, str(run / "adapter")).merge_and_unload()
    final = MotionLM.from_pretrained(run / "final" / "lm").state_dict()
    for name, value in adapted.state_dict().items():
        torch.testing.assert_close(value, final[name])
    again = loaded_adapters(run / "adapter").state_dict()
    assert all(torch.equal(again[name], final[name]) for name in final)


def test_merged_weights_do_what_the_adapters_did(tiny_lm):
    lm = MotionLM(tiny_lm.config)
    lm.load_state_dict(tiny_lm.state_dict())
    model = add_adapters(lm, LoraOptions(rank=2)).eval()
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == ("lora_" in name)
        if "lora_B" in name:  # zero at first
            torch.nn.init.normal_(parameter)
    inputs = (torch.arange(5)[None], torch.randn(1, 3, 384), torch.ones(1, 3))
    with torch.no_grad():
        expected = model(*inputs).logits
        logits = (
            merged(model, {name: value.clone() for name, value in model.state_dict().items()}).eval()(*inputs).logits
        )
        assert not torch.allclose(expected, tiny_lm(*inputs).logits, atol=1e-2)
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)


def test_a_stopped_run_goes_on_with_the_same_losses(run, log_of, tmp_path):
    whole = log_of(run)
    copy = shutil.copytree(run, tmp_path / "run")
    for folder in ("checkpoint-4", "checkpoint-6", "final", "adapter"):
        shutil.rmtree(copy / folder)
    recipe = load_recipe(run.parent / "recipe.yaml", [f"output={copy}"])
    train_lm(recipe, resume=True)
    assert log_of(copy) == whole
    one, other = (load_file(folder / "final" / "lm" / "model.safetensors") for folder in (run, copy))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_checkpoint_with_adapters_becomes_a_pipeline(run, tmp_path):
    export_checkpoint(run / "checkpoint-6", tmp_path / "out")
    one, other = (load_file(folder / "lm" / "model.safetensors") for folder in (run / "final", tmp_path / "out"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    (run / "checkpoint-6" / "adapter_config.json").unlink()
    with pytest.raises(ValueError, match="must be a whole checkpoint-N folder"):
        export_checkpoint(run / "checkpoint-6", tmp_path / "other")


def test_adapters_must_name_their_model(tiny_lm, tmp_path):
    lm = MotionLM(tiny_lm.config)
    add_adapters(lm, LoraOptions()).save_pretrained(str(tmp_path))
    with pytest.raises(ValueError, match="adapters must name the model that they belong to, got none in"):
        loaded_adapters(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda name: None if "lora_B" in name else name, "got 4 missing in .*: .*layers.0.self_attn.q_proj.lora_B"),
        (lambda name: name.replace("q_proj", "query"), "got 4 missing in .*q_proj.lora_A"),
        (lambda name: name.replace("lora_A", "lora_X") if "layers.1" in name else name, "got 2 missing in .*lora_A"),
        ("more", "got 1 unexpected in .*: base_model.model.layers.2.lora_A.weight"),
    ],
    ids=["no B", "renamed layers", "renamed adapters", "more"],
)
@pytest.mark.parametrize("route", ["file", "checkpoint"])
def test_adapters_that_do_not_fit_are_no_base_model(run, tmp_path, change, message, route):
    folder = shutil.copytree(run / "adapter", tmp_path / "adapter")
    weights = load_file(folder / "adapter_model.safetensors")
    if route == "checkpoint":  # as DeepSpeed's checkpoints name them
        weights = {name.replace(".weight", ".default.weight"): value for name, value in weights.items()}
    loaded, final = (
        loaded_adapters(folder, weights if route == "checkpoint" else None).state_dict(),
        load_file(run / "final" / "lm" / "model.safetensors"),
    )
    assert all(torch.equal(loaded[name], final[name]) for name in final)
    if change == "more":
        weights["base_model.model.layers.2.lora_A.weight"] = torch.zeros(1)
    else:
        weights = {new: value for name, value in weights.items() if (new := change(name)) is not None}
    save_file(weights, folder / "adapter_model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=f"adapters must hold exactly the weights of adapter_config.json, {message}"):
        loaded_adapters(folder, weights if route == "checkpoint" else None)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"rnak": 4}, "model.lora must hold known keys only, got 'rnak'; did you mean rank"),
        ({"rank": 0}, "model.lora.rank must be a whole number of at least 1, got 0"),
        ({"alpha": "much"}, "model.lora.alpha must be a number that is not negative, got 'much'"),
        ({"dropout": 1.0}, r"model.lora.dropout must be in \[0, 1\), got 1.0"),
        ({"targets": ["q_porj"]}, r"model.lora.targets must be among q_proj, .*, got \['q_porj'\]"),
        ({"targets": []}, r"model.lora.targets must be among .*, got \[\]"),
        ({"targets": "q_proj"}, "model.lora.targets must be a list of names, got 'q_proj'"),
        (4, "model.lora must be a section, got 4"),
    ],
)
def test_mistakes_in_the_section_are_named(section, message):
    with pytest.raises(ValueError, match=message):
        LoraOptions.from_section(section)


def test_defaults_of_the_section():
    assert LoraOptions.from_section(None) is None
    assert LoraOptions.from_section({}) == LoraOptions(16, 32, 0.0, TARGETS)


def test_adapters_need_a_model_to_start_from(lm_recipe):
    with pytest.raises(ValueError, match="model.lora must have a model to adapt, got none; name one"):
        train_lm(load_recipe(lm_recipe(model={"lora": {}})))


def test_a_missing_peft_is_named(lm_recipe, tiny_pipeline_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)  # as Python has it where a package is not installed
    recipe = lm_recipe(model={"lora": {}}, data={"start_from": str(tiny_pipeline_folder)})
    with pytest.raises(ImportError, match=r'run: pip install "motionmillion\[lora\]"'):
        train_lm(load_recipe(recipe))


def test_a_language_model_alone_brings_no_tokenizer(lm_recipe, tiny_pipeline_folder):
    recipe = lm_recipe(data={"start_from": str(tiny_pipeline_folder / "lm"), "tokenizer": None})
    with pytest.raises(ValueError, match="data must name the folder of a trained tokenizer, got none in '.*lm'"):
        train_lm(load_recipe(recipe))
