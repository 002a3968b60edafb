"""Every recipe of the repository passes the dry run, which writes nothing; launch scripts start their processes."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from motionmillion.lm.config import SIZES
from motionmillion.training.arguments import MotionTrainingArguments
from motionmillion.training.lm.options import LMSection
from motionmillion.training.lm.preference import PreferenceSection, PreferenceTraining
from motionmillion.training.plan.configs import TEXT_DIM
from motionmillion.training.plan.dry_run import Target, dry_run
from motionmillion.training.recipe import load_recipe, load_yaml
from motionmillion.training.sections import read_section

ROOT = Path(__file__).resolve().parents[2]
needs_bash = pytest.mark.skipif(sys.platform == "win32", reason="the scripts are for Linux and macOS")
PREFERENCE = ROOT / "recipes/mini/preference.yaml"  # has no dry run
NO_RECIPES = {
    PREFERENCE.name,
    "base.yaml",
    "compose.yaml",
    "captions.yaml",
    "ablation.yaml",
    "synthetic.yaml",
    "soak.yaml",
}
RECIPES = [
    path
    for path in sorted(ROOT.glob("recipes/**/*.yaml"))
    if path.name not in NO_RECIPES and "_prompts" not in path.stem
]


def part_of(path: Path) -> str:
    if path.parent.name == "evaluator":
        return "evaluator"
    if path.parent.name == "flow" and path.stem == "few_step":
        return "few-step"
    if path.stem.startswith("dit") or (path.parent.name == "flow" and path.stem in ("light", "tune")):
        return "dit"
    return "lm" if path.parent.name == "lm" or path.stem.startswith("lm") else "tokenizer"


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_recipe_passes_the_dry_run(path):
    text, notes = dry_run(part_of(path), load_recipe(path), path, Target(gpus=8))
    for line in (r"^parameters   [\d,]{7,}", "^steps ", "^disk ", r"^(none|\d) .* <- this recipe$"):
        assert re.search(line, text, re.MULTILINE), line
    assert not [note for note in notes if "assumed" in note]


def test_the_recipe_for_preference_has_known_keys():
    recipe = load_recipe(PREFERENCE)
    data = read_section(PreferenceSection, recipe.data)
    assert data.compose == read_section(LMSection, load_recipe(ROOT / "recipes/mini/lm.yaml").data).compose
    assert read_section(PreferenceTraining, recipe.training).steps == 150 and not recipe.model


@pytest.mark.parametrize(
    ("recipe", "numbers"),
    [
        ("lm/1b.yaml", ["parameters   1,558,863,360", "640 samples: 16 x 1 accumulated x 40 GPUs", "240,000"]),
        ("lm/3b.yaml", ["parameters   3,404,764,800", "2      .*<- this recipe"]),
        ("lm/7b.yaml", ["parameters   7,818,498,048", "the first 12,000 of warm-up", "hours on 40 x h100"]),
        ("lm/111m.yaml", ["parameters   184,833,792", "none   .*<- this recipe"]),
        ("lm/lora.yaml", ["parameters   6,00", "trained      491,520 in adapters", "text_length: 64"]),
        ("small/lm_tune.yaml", ["parameters   5,726,464"]),
        ("tokenizer/full.yaml", ["64,000 codes, 2 frames each", "2,560 windows"]),
    ],
)
def test_the_report_has_the_numbers(recipe, numbers):
    path = ROOT / "recipes" / recipe
    text, _ = dry_run(part_of(path), load_recipe(path), path, Target(gpus=40, gpu="h100"))
    for number in numbers:
        assert re.search(number, text), text


def test_padded_rows_are_as_published():
    path = ROOT / "recipes/lm/1b.yaml"
    overrides = ["data.packing=0", "training.gradient_accumulation_steps=5", "training.gradient_checkpointing=true"]
    text, _ = dry_run("lm", load_recipe(path, overrides), path, Target(gpus=8))
    assert "640 samples: 16 x 5 accumulated x 8 GPUs" in text
    assert "192,640 positions 301 a row" in text
    short, _ = dry_run("lm", load_recipe(path, ["training.max_steps=10"]), path, Target())
    epochs, _ = dry_run("lm", load_recipe(path, ["training.max_steps=-1"]), path, Target())
    assert "minutes on 1 x h200" in short and "how many steps depends on the data" in epochs


def test_packed_rows_hold_several_samples():
    path = ROOT / "recipes/lm/1b.yaml"
    text, _ = dry_run("lm", load_recipe(path), path, Target(gpus=2, sample_positions=90))
    assert "32 samples" in text and "2,880 positions in rows of 720" in text
    with pytest.raises(ValueError, match="sample_positions must be at most data.packing, 1024, got 2000"):
        dry_run("lm", load_recipe(path), path, Target(sample_positions=2000))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.deepspeed=nosuch.json", "training.deepspeed must name a JSON file, got 'nosuch.json'"),
        ("training.deepspeed=recipes/lm/1b.yaml", "training.deepspeed must name a JSON file"),
        ("training.deepspeed=[1]", "training.deepspeed must be a mapping"),
        ("training.deepspeed={zero_optimization: {stage: 4}}", "stage to 1, 2 or 3, got 4"),
        (
            "training.deepspeed={zero_optimization: {stage: 1}, train_batch_size: 7}",
            'train_batch_size of training.deepspeed must be "auto" or 64 as the recipe says, got 7',
        ),
        (
            "training.deepspeed={zero_optimization: {stage: 1}, gradient_clipping: 5}",
            'gradient_clipping of training.deepspeed must be "auto" or 1.0',
        ),
        ("training.fsdp=true", "training must name deepspeed or fsdp, got both"),
        ("training.bf16=perhaps", "bf16"),
        ("training.tf32=perhaps", "training.tf32 must be true or false"),
        ("training.max_stepz=3", "training must hold known keys only"),
        ("training.per_device_train_batch_size=0", "per_device_train_batch_size must be at least 1, got 0"),
        ("model.size=2b", "name must be one of"),
        ("model.hidden_size=65", "hidden_size must be a multiple of num_attention_heads, .*, got 65"),
        ("model.widht=3", "LM config must hold known keys only, got 'widht'"),
        ("model.lora={rang: 3}", "model.lora must hold known keys only, got 'rang'; did you mean rank"),
        ("model.lora={targets: [nosuch]}", "model.lora.targets must be among"),
        ("model.lora={}", "model.lora must have a model to adapt, got none; name one as data.start_from"),
        ("data.tokenz=x", "'tokenz'; did you mean"),
        ("data.caption_dropout=2", "caption_dropout must be in"),
        ("data.balance=2", "data.balance must be in"),
        ("data.corruption=1.0", "corruption must be in"),
        ("data.samples=[.]", "prompt must say"),
        ("data.packing=-1", "packing must be a whole number"),
        ("data.folder=x", "data must name"),
        ("data.tokenizer=null", "data must name the folder of a trained tokenizer"),
    ],
)
def test_mistakes_in_a_recipe_are_named(override, message):
    path = ROOT / "recipes/lm/1b.yaml"
    with pytest.raises(ValueError, match=message):
        dry_run("lm", load_recipe(path, [override]), path, Target(gpus=4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gpus": 0}, "gpus must be a whole number of at least 1, got 0"),
        ({"gpu": "abacus"}, "gpu must be one of"),
        ({"mfu": 2.0}, "mfu must be above 0 and at most 1, got 2.0"),
        ({"sample_positions": 0}, "sample_positions must be a whole number"),
    ],
)
def test_mistakes_in_the_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Target(**options)


def test_what_is_there_is_looked_at(tiny_pipeline, tmp_path):
    tiny_pipeline.save_pretrained(tmp_path / "pipeline")
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "config.json").write_text(json.dumps({"d_model": 48}))
    path = ROOT / "recipes/lm/mini.yaml"
    overrides = [f"data.tokenizer={tmp_path}/pipeline/tokenizer", f"data.text_encoder={tmp_path}/encoder"]
    codes, width = tiny_pipeline.tokenizer.config.codebook_size, 256
    known, _ = dry_run("lm", load_recipe(path), path, Target())
    text, notes = dry_run("lm", load_recipe(path, overrides), path, Target())
    count = [int(re.search(r"parameters   ([\d,]+)", t).group(1).replace(",", "")) for t in (known, text)]  # type: ignore[union-attr]
    assert count[0] - count[1] == 2 * width * (1000 - codes) + width * (384 - 48)
    assert not [note for note in notes if "tokenizer" in note or "encoder" in note]
    started, _ = dry_run("lm", load_recipe(path, [f"data.start_from={tmp_path}/pipeline"]), path, Target())
    assert f"parameters   {sum(p.numel() for p in tiny_pipeline.lm.parameters()):,}," in started
    _, notes = dry_run("lm", load_recipe(path, ["data.text_encoder=nosuch"]), path, Target())
    assert f"the text encoder cannot be looked at: nosuch; features of {TEXT_DIM:,} are assumed" in notes


def test_data_of_another_tokenizer_or_encoder_is_refused(tmp_path):
    path = ROOT / "recipes/lm/1b.yaml"
    encoder = {"name": "google/flan-t5-xl", "sentence": False, "max_length": 150, "dim": 24}
    header = {"format": 1, "run": "", "complete": True, "encoder": encoder, "dtype": "bfloat16", "shards": 0}
    (tmp_path / "text.json").write_text(json.dumps(header))
    text, _ = dry_run("lm", load_recipe(path, [f"data.text_features={tmp_path}"]), path, Target())
    assert f"parameters   {1_558_863_360 - (2048 - 24) * 1536:,}" in text
    for override, message in (("data.sentence=true", "sentence True, got False"), ("data.text_length=20", "max_len")):
        with pytest.raises(ValueError, match=f"data.text_features must be of the recipe's text encoder, {message}"):
            dry_run("lm", load_recipe(path, [f"data.text_features={tmp_path}", override]), path, Target())
    tokens = {
        "format": 1,
        "run": "",
        "complete": True,
        "tokenizer": {"codebook_size": 64000},
        "source": "",
        "shards": 0,
    }
    (tmp_path / "tokens.json").write_text(json.dumps(tokens))
    dry_run("lm", load_recipe(path, [f"data.tokens=[{tmp_path}, nosuch]"]), path, Target())
    (tmp_path / "tokens.json").write_text(json.dumps({**tokens, "tokenizer": {"codebook_size": 5}}))
    with pytest.raises(ValueError, match="data.tokens must be of the tokenizer's codebook, 64000 codes, got 5"):
        dry_run("lm", load_recipe(path, [f"data.tokens={tmp_path}"]), path, Target())
    with pytest.raises(ValueError, match="folder must hold a text.json"):
        dry_run("lm", load_recipe(path, [f"data.text_features={ROOT}"]), path, Target())


def test_the_sizes_differ_by_a_few_lines():
    base = load_yaml(ROOT / "recipes/lm/1b.yaml")
    sizes = {path.stem for path in (ROOT / "recipes/lm").glob("*.yaml")} & set(SIZES) - {"1b", "mini"}
    assert sizes >= {"111m", "3b", "7b"}
    for size in sizes:
        own = load_yaml(ROOT / f"recipes/lm/{size}.yaml")
        assert own["data"] == base["data"] and own["model"] == {"size": size}
        changed = {key for key, value in own["training"].items() if base["training"].get(key) != value}
        assert changed <= {"deepspeed", "per_device_train_batch_size"}


def test_the_fsdp_file_is_one_that_the_trainer_takes(tmp_path):
    arguments = MotionTrainingArguments(
        output_dir=str(tmp_path), use_cpu=True, fsdp=True, fsdp_config=str(ROOT / "recipes/lm/fsdp.json")
    )
    found = arguments.fsdp_plugin_args
    assert found["fsdp_version"] == 2 and found["transformer_cls_names_to_wrap"] == "LlamaDecoderLayer"
    text, _ = dry_run(
        "lm",
        load_recipe("recipes/lm/7b.yaml", ["training.deepspeed=null", "training.fsdp=true"]),
        "recipes/lm/7b.yaml",
        Target(gpus=8),
    )
    assert re.search(r"^3 .*<- this recipe", text, re.MULTILINE)


SCRIPTS = ("launch.sh", "multi_node.sh", "slurm.sbatch")


@pytest.fixture
def environment() -> dict[str, str]:
    """With this interpreter first on the path, where scripts look for `python`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@needs_bash
@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_sound(script, environment):
    path = ROOT / "recipes/lm" / script
    subprocess.run(["bash", "-n", str(path)], check=True, timeout=200)
    done = subprocess.run(["bash", str(path)], capture_output=True, text=True, env=environment, timeout=200)
    assert done.returncode != 0 and "name a recipe" in done.stderr
    checker = shutil.which("shellcheck", path=environment["PATH"])
    if checker is None:
        pytest.skip("needs shellcheck")
    subprocess.run([checker, str(path)], check=True, timeout=200)


@needs_bash
@pytest.mark.slow
def test_launch_starts_the_processes_of_a_dry_run_that_writes_nothing_and_needs_no_deepspeed(environment, tmp_path):
    shutil.copytree(ROOT / "recipes/lm", tmp_path / "recipes/lm")
    (tmp_path / "deepspeed.py").write_text("raise ImportError('not installed')")
    before = sorted(tmp_path.rglob("*"))
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    done = subprocess.run(
        ["bash", "recipes/lm/launch.sh", "recipes/lm/7b.yaml", "--dry-run", "--gpu", "a100", "--set", "seed=3"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**environment, "GPUS": "2", "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("32 samples: 16 x 1 accumulated x 2 GPUs") == 1 and "seed: 3" in done.stdout
    assert "hours on 2 x a100" in done.stdout
    assert "note: data.tokens is not there yet: data/tokens" in done.stderr
    assert "note: the tokenizer cannot be looked at; a codebook of 64,000 is assumed" in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


@needs_bash
def test_light_keeps_the_options_of_its_trainings_apart_and_refuses_other_prompts(environment, tmp_path):
    """With a command that writes down what it is asked for in the place of `motionmillion`."""
    command = tmp_path / "bin" / "motionmillion"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/asked.txt"\n')
    command.chmod(0o755)
    prompts, out = tmp_path / "prompts.txt", tmp_path / "out"
    prompts.write_text("a person walks\n")
    environment["PATH"] = f"{command.parent}{os.pathsep}{environment['PATH']}"
    options = ["--set", "model.size=nano", "--", "--set", "training.max_steps=3"]

    def light(*more: str) -> subprocess.CompletedProcess[str]:
        given = ["bash", "recipes/flow/light.sh", "clips", str(prompts), "mini", str(out), *more]
        return subprocess.run(given, capture_output=True, text=True, env=environment, timeout=200)

    assert light(*options).returncode == 0
    made, student, few = (tmp_path / "asked.txt").read_text().splitlines()
    assert made.startswith("generate --prompts-file") and student.startswith("train dit")
    assert student.endswith("share: 0.06}] --set model.size=nano") and "max_steps" not in student
    assert few.startswith("train few-step") and few.endswith("/student/final --set training.max_steps=3")
    assert light().returncode == 0  # without options, and again
    prompts.write_text("a person sits\n")
    refused = light()
    assert refused.returncode == 2 and "PROMPTS and TEACHER must be those that" in refused.stderr
    assert len((tmp_path / "asked.txt").read_text().splitlines()) == 6


@needs_bash
@pytest.mark.slow
def test_multi_node_starts_every_machine_of_a_host_file(environment, tmp_path):
    """Two machines that are both this one: a shell in place of ssh."""
    shell = tmp_path / "shell"
    shell.write_text('#!/bin/sh\nshift\nexec bash -c "$*"\n')
    shell.chmod(0o755)
    (tmp_path / "hosts").write_text("# machines\nlocalhost slots=1\n\nlocalhost slots=1\n")
    settings = {"HOSTFILE": str(tmp_path / "hosts"), "SSH": str(shell), "GPUS": "1", "NCCL_DEBUG": "WARN"}
    command = ["bash", "recipes/lm/multi_node.sh", "recipes/lm/111m.yaml", "--dry-run", "--set", "output=a b"]
    done = subprocess.run(command, capture_output=True, text=True, env={**environment, **settings}, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("64 x 1 accumulated x 2 GPUs") == 1 and "output: a b" in done.stdout
    failed = subprocess.run(
        [*command, "--mfu", "7"], capture_output=True, text=True, env={**environment, **settings}, timeout=120
    )
    assert failed.returncode != 0 and "mfu must be above 0" in failed.stderr
