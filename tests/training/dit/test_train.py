"""Training of MotionDiT: exact resume, averaged weights, sources and their manifests, several processes, its plan."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from motionmillion import MotionPipeline
from motionmillion.data import load_clips, synthetic_clips
from motionmillion.data.sets.pairs import PairDataset
from motionmillion.data.sets.references import Corruption
from motionmillion.data.shards.texts import TextShards
from motionmillion.features import get
from motionmillion.io import write_motion
from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.text.encoder import TextEncoder
from motionmillion.training.dit.sources import corruption_of, dit_data_options, dit_sources
from motionmillion.training.dit.train import evaluate_dit, train_dit
from motionmillion.training.export import export_checkpoint
from motionmillion.training.plan.cost import Step, memory
from motionmillion.training.plan.dit_cost import dit_shape
from motionmillion.training.plan.dry_run import Target, dry_run
from motionmillion.training.recipe import Recipe, load_recipe

ROOT = Path(__file__).resolve().parents[3]
SHAPE: dict[str, Any] = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_reference_layers=1)
SHAPE |= dict(num_attention_heads=2, frequency_dim=16, patch=4, max_frames=60)


@pytest.fixture
def write(tiny_encoder, tmp_path) -> Callable[..., Path]:
    """A function that writes the recipe of a tiny transformer, whose run goes into `folder/run`."""

    def write(folder: Path = tmp_path, **sections: Any) -> Path:
        training = {"max_steps": 6, "per_device_train_batch_size": 3, "learning_rate": 1e-2, "warmup_steps": 2}
        training |= {"eval_steps": 3, "save_steps": 3, "logging_steps": 1, "ema_decay": 0.8}
        data = {"synthetic": 12, "variants": 2, "text_encoder": str(tiny_encoder), "text_length": 32}
        data["text_share"] = 0.5
        data |= sections.get("data", {})
        content = {
            "output": str(folder / "run"),
            "data": {key: value for key, value in data.items() if value is not None},
            "model": {**SHAPE, "text_dropout": 0.2, "dropout": 0.1, **sections.get("model", {})},
            "training": {**training, **sections.get("training", {})},
        }
        folder.mkdir(exist_ok=True)
        path = folder / "recipe.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


def test_a_stopped_run_resumes_exactly_and_ends_with_the_average(write, log_of, tmp_path):
    finals = []
    for name in ("whole", "stopped"):
        run = tmp_path / name / "run"
        figures = train_dit(load_recipe(write(tmp_path / name)))
        if name == "stopped":
            shutil.rmtree(run / "checkpoint-6")  # as if killed after step 3
            shutil.rmtree(run / "final")
            assert train_dit(load_recipe(write(tmp_path / name)), resume=True) == figures
        finals.append(weights_of(run / "final" / "dit"))
    assert equal(*finals)
    whole = tmp_path / "whole" / "run"
    assert log_of(whole) == log_of(tmp_path / "stopped" / "run")
    last = weights_of(whole / "checkpoint-6")
    state = torch.load(whole / "checkpoint-6" / "ema.pt", weights_only=True)
    average = {name.removeprefix("module."): value for name, value in state.items() if name != "n_averaged"}
    assert equal(finals[0], average) and not equal(finals[0], last)
    assert equal({name: last[name] for name in ("mean", "std")}, {name: average[name] for name in ("mean", "std")})
    assert float(last["std"].min()) > 0 and last["mean"].any()  # statistics of the data
    export_checkpoint(whole / "checkpoint-6", tmp_path / "exported")
    assert equal(weights_of(tmp_path / "exported" / "dit"), finals[0])
    for folder in (whole / "final", tmp_path / "exported"):
        pipe = MotionPipeline.from_pretrained(folder)
        assert pipe("a person walks", seconds=1, steps=2)[0].num_frames == 20
    assert {"eval_loss", "eval_clean"} < set(figures)
    before = {path: path.read_bytes() for path in (whole / "final").rglob("*") if path.is_file()}
    assert train_dit(load_recipe(write(tmp_path / "whole")), resume=True) == figures  # it has all of its steps
    assert not (whole / "checkpoint-7").exists()
    assert before == {path: path.read_bytes() for path in (whole / "final").rglob("*") if path.is_file()}


def test_the_average_is_that_of_every_step(write, tmp_path):
    """With the weights after each step at hand; the decay rises from 2/11 to what was asked for, 0.4."""
    recipe = load_recipe(write(training={"save_steps": 1, "save_total_limit": 10, "eval_steps": 6, "ema_decay": 0.4}))
    train_dit(recipe)
    steps = [weights_of(tmp_path / "run" / f"checkpoint-{step}") for step in range(1, 7)]
    name = "blocks.1.up.weight"
    average = steps[0][name]
    for after, decay in zip(steps[1:], (2 / 11, 3 / 12, 4 / 13, 5 / 14, 0.4), strict=True):
        average = torch.lerp(average, after[name], 1 - decay)
    assert torch.allclose(average, weights_of(tmp_path / "run" / "final" / "dit")[name], atol=1e-6)


def test_it_learns(write, log_of, tmp_path):
    training = {"max_steps": 60, "learning_rate": 3e-3, "eval_steps": 60, "save_steps": 60, "ema_decay": 0.0}
    flow = {"sampling": "uniform", "weighting": "clean", "shift": 2.0}
    train_dit(load_recipe(write(training=training, model={"flow": flow, "prediction": "clean"})))
    losses = [entry["loss"] for entry in log_of(tmp_path / "run").values()]
    assert sum(losses[-10:]) < 0.85 * sum(losses[:10])


def folder_of(path: Path, count: int, seed: int, manifest: dict | None = None) -> Path:
    """A folder of clips, a third of them for validation."""
    names: dict[str, list[str]] = {"train": [], "val": []}
    for index, clip in enumerate(synthetic_clips(count, seed)):
        write_motion(clip.motion, path / f"{index}.npz")
        (path / f"{index}.txt").write_text("\n".join(clip.captions) + "\n")
        names["val" if index % 3 == 2 else "train"].append(f"{index}.npz")
    for split, own in names.items():
        (path / f"{split}.txt").write_text("\n".join(own) + "\n")
    if manifest is not None:
        (path / "source.json").write_text(json.dumps(manifest))
    return path


def test_sources_say_how_they_are_used(write, tmp_path):
    manifest = {"text_share": 0.4, "trusted_text": ["rotations"], "share": 0.3}
    video, mocap = folder_of(tmp_path / "video", 6, 0, manifest), folder_of(tmp_path / "mocap", 6, 1)
    sources = [{"folder": str(video), "share": 0.2}, {"folder": str(mocap), "splits": ["train", "val"]}]
    recipe = load_recipe(write(data={"synthetic": None, "sources": sources, "text_share": 0.9}))
    training, validation = dit_sources(recipe, dit_data_options(recipe))
    assert [len(source.clips) for source in training] == [4, 6] and [len(s.clips) for s in validation] == [2, 0]
    assert [source.text_share for source in training] == [0.4, 0.9]
    assert [source.share for source in training] == [0.2, None]  # the recipe over the manifest
    assert training[0].trusted_text == ["rotations"] and training[1].trusted_text is None
    train_dit(recipe)
    assert (tmp_path / "run" / "final" / "pipeline.json").exists()
    for entry, message in (
        ({"folder": str(mocap), "trusted": []}, "a source must hold known keys only, got 'trusted'"),
        ({"text_share": 1.0}, "data.sources must be mappings with a folder"),
        ({"folder": str(mocap), "splits": ["all"]}, "splits of a source must hold known keys only, got 'all'"),
        ({"folder": str(mocap), "text_share": 2}, r"text_share must be in \[0, 1\], got 2"),
        ({"folder": str(mocap), "trusted_text": []}, r"trusted_text must be a list of at least one name, got \[\]"),
        ({"folder": 5}, "data.sources must be mappings with a folder"),
    ):
        recipe = load_recipe(write(data={"synthetic": None, "sources": [entry]}))
        with pytest.raises(ValueError, match=message):
            dit_sources(recipe, dit_data_options(recipe))
    for broken, message in (
        ("{", "source.json must be a JSON object, got"),
        ("[1]", "source.json must be a JSON object, got"),
        ('{"trusted_text": 5}', "trusted_text must be a list of at least one name, got 5; .* in '.*source.json'"),
        ('{"trusted_reference": "rotations"}', "trusted_reference must be a list of .*, got 'rotations'"),
        ('{"splits": 5}', "splits must be a list of at least one name, got 5; .* in '.*source.json'"),
        ('{"splits": ["all"]}', "splits of a source must hold known keys only, got 'all'; .* in '.*source.json'"),
        ('{"text_share": 2}', "text_share must be in .* in '.*source.json'"),
        ('{"share": 2}', "share must be above 0 .* in '.*source.json'"),
        ('{"texts": 2}', "a source must hold known keys only, got 'texts'.* in '.*source.json'"),
        ('{"folder": "/etc"}', "folder must be left out, got '/etc' in '.*source.json'"),
    ):
        (video / "source.json").write_text(broken)
        recipe = load_recipe(write(data={"synthetic": None, "sources": [{"folder": str(video)}]}))
        with pytest.raises(ValueError, match=message):
            dit_sources(recipe, dit_data_options(recipe))


def test_data_without_one_of_the_splits_is_named(write, tmp_path):
    folder = folder_of(tmp_path / "clips", 3, 0)
    for split, other in (("val", "train"), ("train", "val")):
        (folder / "val.txt").write_text("2.npz\n" if split == "train" else "")
        (folder / "train.txt").write_text("0.npz\n1.npz\n" if split == "val" else "")
        kept = [folder / f"{index}.txt" for index in ((2,) if split == "val" else (0, 1))]
        texts = [path.read_text() for path in kept]
        for path in kept:
            path.unlink()
        recipe = load_recipe(write(data={"synthetic": None, "folder": str(folder)}))
        if other == "val":
            (folder / "train.txt").write_text("0.npz\n1.npz\n")
        with pytest.raises(ValueError, match=f"data must have clips with captions in the split '{split}', got none"):
            dit_sources(recipe, dit_data_options(recipe))
        for path, text in zip(kept, texts, strict=True):
            path.write_text(text)


def test_features_of_captions_may_lie_on_disk(write, tmp_path, tiny_encoder):
    from motionmillion.cli.app import main

    pytest.importorskip("pyarrow", reason='needs pip install "motionmillion[train]"')
    folder = folder_of(tmp_path / "clips", 6, 0)
    command = ["data", "encode-text", str(folder), "-o", str(tmp_path / "texts"), "--text-encoder", str(tiny_encoder)]
    command += ["--text-length", "32", "--dtype", "float32"]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr(sys, "argv", ["motionmillion", *command])
        main()
    assert end.value.code == 0
    places = dict(synthetic=None, folder=str(folder), sentence=False, variants=0)
    train_dit(load_recipe(write(tmp_path / "memory", data=places)))
    train_dit(load_recipe(write(tmp_path / "disk", data={**places, "text_features": str(tmp_path / "texts")})))
    one, other = (weights_of(tmp_path / name / "run" / "final" / "dit") for name in ("memory", "disk"))
    assert all(torch.allclose(one[name], other[name], atol=1e-4) for name in one)
    recipe = load_recipe(write(data={**places, "sentence": True, "text_features": str(tmp_path / "texts")}))
    with pytest.raises(ValueError, match="text_features must be made with the sentence of the recipe's text encoder"):
        train_dit(recipe)
    clips = [clip.replace(captions=("nobody said this",)) for clip in load_clips(folder)]
    encoder = TextEncoder(str(tiny_encoder), sentence=False)
    with pytest.raises(ValueError, match="must hold every caption, got none of 1 in .* 'nobody said this'"):
        PairDataset(clips, get("rot276"), encoder, texts=TextShards(tmp_path / "texts"))


class Clips(torch.utils.data.Dataset):
    """Validation samples, of which some are told by a reference."""

    def __init__(self, kinds: list[bool]) -> None:
        self.kinds = kinds

    def __len__(self) -> int:
        return len(self.kinds)

    def __getitem__(self, item: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(item)
        labels = torch.randn(20 + item, 276, generator=generator)
        own = {"labels": labels, "text": torch.randn(3, 16, generator=generator), "use_reference": self.kinds[item]}
        return {**own, "reference": labels[:, :138], "feature_mask": torch.ones(276, dtype=torch.bool)}


def test_validation_tells_the_branches_apart_and_leaves_random_numbers_alone():
    torch.manual_seed(0)
    dit = MotionDiT(MotionDiTConfig(**{**SHAPE, "text_dim": 16, "prediction": "velocity"})).eval()
    before = torch.get_rng_state()
    figures = evaluate_dit(dit, Clips([False, True, False, False]), seed=3)  # type: ignore[arg-type]
    assert torch.equal(before, torch.get_rng_state())
    assert figures == evaluate_dit(dit, Clips([False, True, False, False]), seed=3)  # type: ignore[arg-type]
    assert figures["velocity"] == pytest.approx((3 * figures["velocity_text"] + figures["velocity_reference"]) / 4)
    assert figures["velocity"] == pytest.approx(2, abs=0.1)  # a new model predicts 0 for noise - clean
    texts = evaluate_dit(dit, Clips([False, False]), seed=3)  # type: ignore[arg-type]
    assert "velocity_reference" not in texts and texts["velocity"] == texts["velocity_text"]
    clean = MotionDiT(MotionDiTConfig(**{**SHAPE, "text_dim": 16, "prediction": "clean"})).eval()
    figures = evaluate_dit(clean, Clips([False, True, False, False]), seed=3)  # type: ignore[arg-type]
    assert set(figures) == {"loss", "clean", "clean_text", "clean_reference"}
    assert figures["clean"] == pytest.approx(1, abs=0.05)  # it predicts 0 for motion of variance 1, at every sigma


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"text_share": 1.5}, r"data.text_share must be in \[0, 1\], got 1.5"),
        ({"folder": "x"}, r"data must name one of folder, synthetic and sources, got \['folder', 'synthetic'\]"),
        ({"synthetic": None}, "data must name one of folder, synthetic and sources, got none"),
        ({"synthetic": None, "sources": "x"}, "data.sources must be a list of mappings, got 'x'"),
        ({"shortest": 1}, "data.shortest must be a whole number of at least 2"),
        ({"corruption": 0.3}, "data.corruption must be a mapping, got 0.3"),
        ({"corruption": {"rates": [0, 1]}}, "data.corruption must hold known keys only, got 'rates'; did you mean"),
        ({"corruption": {"rate": 0.3}}, "rate must be two rising numbers"),
        ({"sampling": {"stepz": 3}}, "pipeline defaults must hold known keys only, got 'stepz'"),
        ({"sampling": 5}, "pipeline defaults must be a mapping of options, got 5"),
        ({"sampling": {"steps": 0}}, "steps must be a whole number of at least 1, got 0"),
        ({"sampling": {"solver": "rk"}}, "solver must be one of .*, got 'rk'"),
        ({"sampling": {"shift": 0}}, "shift must be above 0, got 0"),
        ({"sampling": {"denoising_strength": 0}}, "denoising_strength must be above 0 and at most 1, got 0"),
        ({"sampling": {"reference_weight": 2}}, r"reference_weight must be in \[0, 1\], got 2"),
        ({"sampling": {"rounds": 0}}, "rounds must be a whole number of at least 1, got 0"),
        (
            {"sampling": {"rounds": 2, "denoising_strength": 0.5}},
            "rounds must be 1 where denoising_strength is below",
        ),
        ({"sampling": {"recovery": "both"}}, "recovery must be one of .*, got 'both'"),
        ({"sampling": {"smoothing": -1}}, "smoothing must be a number that is not negative, got -1"),
        ({"sampling": {"default_seconds": 0}}, "default_seconds must be above 0"),
        ({"sampling": {"transition": -1}}, "transition must be above 0"),
        ({"sampling": {"min_seconds": 5, "max_seconds": 3}}, "min_seconds must be at most max_seconds, 3, got 5"),
        ({"captions": 3}, "data section must hold known keys only, got 'captions'"),
    ],
)
def test_mistakes_in_the_data_section_are_named(write, data, message):
    with pytest.raises(ValueError, match=message):
        train_dit(load_recipe(write(data=data)))


def test_corruption_of_a_recipe_is_over_the_published_one():
    assert corruption_of(None) == Corruption()
    found = corruption_of({"rate": [0.1, 0.2], "jitter": 0.0})
    assert list(found.rate) == [0.1, 0.2] and found.jitter == 0.0 and found.dropout == 0.02


THERE = importlib.util.find_spec("deepspeed") is not None
needs_deepspeed = pytest.mark.skipif(not THERE, reason="needs deepspeed")


def launch(recipe: Path, *options: str) -> None:
    """Train on two processes that talk by gloo."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    command += ["-m", "motionmillion.cli", "train", "dit", "--config", str(recipe), *options]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, cwd=ROOT, **pipes) as process:

        def stop() -> None:  # a run that hangs fails its test
            for one in [*psutil.Process(process.pid).children(recursive=True), process]:
                one.kill()

        watchdog = threading.Timer(400, stop)
        watchdog.start()
        text = process.stdout.read()
        watchdog.cancel()
    assert process.returncode == 0, text[-4000:]


def split_over(split: str) -> dict[str, Any]:
    if split == "fsdp":
        return {"fsdp": True, "fsdp_config": str(ROOT / "recipes/flow/fsdp.json")}
    options = json.loads((ROOT / f"recipes/lm/{split}.json").read_text())
    if split == "zero3":  # else weights as small as these are not split up
        options["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    return {"deepspeed": options}


@pytest.mark.slow
@pytest.mark.parametrize(
    "split", [pytest.param("zero2", marks=needs_deepspeed), pytest.param("zero3", marks=needs_deepspeed), "fsdp"]
)
def test_two_processes_stop_resume_and_end_with_whole_weights(write, log_of, tmp_path, split):
    """In bfloat16 with accumulated batches; the statistics come through without a bit lost."""
    training = {"bf16": True, "gradient_accumulation_steps": 2, "per_device_train_batch_size": 1, **split_over(split)}
    training["final"] = "last"
    training |= {"ema_decay": 0.8 if split == "zero2" else 0.0}
    finals = []
    for name in ("whole", "stopped"):
        recipe = write(tmp_path / name, training=training)
        launch(recipe)
        run = tmp_path / name / "run"
        if name == "stopped":
            shutil.rmtree(run / "checkpoint-6")
            shutil.rmtree(run / "final")
            launch(recipe, "--resume")
        finals.append(weights_of(run / "final" / "dit"))
    assert equal(*finals)
    launch(recipe, "--resume")  # all its steps are there already
    assert not (run / "checkpoint-7").exists() and equal(weights_of(run / "final" / "dit"), finals[0])
    run = tmp_path / "whole" / "run"
    assert log_of(run) == log_of(tmp_path / "stopped" / "run")
    assert {value.dtype for value in finals[0].values()} == {torch.float32}
    assert finals[0]["blocks.1.down.weight"].shape == (32, 48)
    alone = write(tmp_path / "alone", training={"max_steps": 1, "save_steps": 1, "eval_steps": 1})
    train_dit(load_recipe(alone))
    statistics = weights_of(tmp_path / "alone" / "run" / "final" / "dit")
    assert torch.equal(finals[0]["mean"], statistics["mean"]) and torch.equal(finals[0]["std"], statistics["std"])
    pipe = MotionPipeline.from_pretrained(run / "final")
    assert pipe("a person walks", seconds=1, steps=2)[0].num_frames == 20
    export_checkpoint(run / "checkpoint-6", tmp_path / "exported")
    assert equal(weights_of(tmp_path / "exported" / "dit"), finals[0])


@pytest.mark.parametrize("layers", [0, 2])
def test_operations_are_those_that_torch_counts(layers):
    shape = {**SHAPE, "num_reference_layers": layers, "text_dim": 24, "patch": 1, "hidden_size": 64}
    config = MotionDiTConfig(**{**shape, "frequency_dim": 2})
    dit = MotionDiT(config)
    rows, frames, words = 2, 30, 7
    batch = dict(labels=torch.randn(rows, frames, 276), text=torch.randn(rows, words, 24))
    if layers:
        batch |= dict(reference=torch.randn(rows, frames, 138), use_reference=torch.tensor([False, True]))
    share = 0.5 if layers else 1.0
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):  # the one kernel that is counted
        dit(**batch).loss.backward()
    step = Step(gpus=1, rows=rows, positions=frames, predicted=1)
    planned = dit_shape(config, words, share).operations(step)
    assert planned == pytest.approx(counter.get_total_flops(), rel=0.05)
    more = Step(gpus=3, rows=rows, positions=frames, predicted=1, accumulation=2)
    assert dit_shape(config, words, share).operations(more) == 6 * planned


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("layers", [0, 3])
def test_activations_are_what_the_backward_pass_keeps(layers, checkpointing, autocast):
    shape = dict(hidden_size=256, intermediate_size=704, num_hidden_layers=4, num_reference_layers=layers, text_dim=48)
    config = MotionDiTConfig(**shape, num_attention_heads=4, frequency_dim=16)
    dit = MotionDiT(config).to(torch.float32 if autocast else torch.bfloat16).train()
    if checkpointing:
        dit.gradient_checkpointing_enable()
    own = {parameter.untyped_storage().data_ptr() for parameter in dit.parameters()}
    shapes = {tuple(shape) for parameter in dit.parameters() for shape in (parameter.shape, parameter.T.shape)}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own and tuple(tensor.shape) not in shapes:  # copies of weights are counted apart
            kept[storage.data_ptr()] = storage
        return tensor

    batch = dict(labels=torch.randn(2, 64, 276), text=torch.randn(2, 12, 48), frame_mask=torch.ones(2, 64))
    if layers:
        batch |= dict(reference=torch.randn(2, 64, 138), use_reference=torch.tensor([True, False]))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t), torch.autocast("cpu", enabled=autocast):
        output = dit(**batch, feature_mask=torch.ones(2, 276))
    assert output.loss.requires_grad
    step = Step(gpus=1, rows=2, positions=64, predicted=1, checkpointing=checkpointing)
    share = 0.5 if layers else 1.0
    planned = dit_shape(config, 12, share).activations(step, autocast)
    if checkpointing:  # the layer that is computed again is not there yet
        contexts = [12, 64] if layers else [12]
        planned -= 2 * 64 * ((52 if autocast else 40) * 256 + 4 * 704)
        planned -= 2 * share * sum((18 if autocast else 16) * 256 * 64 + 12 * 256 * words for words in contexts)
    assert planned == pytest.approx(sum(storage.nbytes() for storage in kept.values()), rel=0.06)


def test_the_plan_of_the_published_training():
    path = ROOT / "recipes/flow/dit-1.3b.yaml"
    os.chdir(ROOT)
    text, notes = dry_run("dit", load_recipe(path), path, Target(gpus=8, gpu="h100"))
    assert "parameters   2,258,214,420, of them 2,231,573,760 in 45 layers" in text
    assert "1,024 samples: 128 x 1 accumulated x 8 GPUs" in text and "200 a row" in text
    assert "steps        40,000, the first 100 of warm-up" in text
    marked = next(line for line in text.splitlines() if "<- this recipe" in line)
    assert marked.startswith("2 ") and "yes" in marked
    assert "data.folder is not there yet: sets/vimogen" in notes
    shape = dit_shape(MotionDiTConfig.from_name("1.3b"))
    assert memory(shape, Step(gpus=8, rows=128, positions=200, predicted=1), 2).logits == 0
    options = load_recipe(path)
    assert MotionDiTConfig.from_name(**{"name": "1.3b", "text_dim": 4096}).prediction == "velocity"
    published = {name: list(v) if isinstance(v, tuple) else v for name, v in vars(Corruption()).items()}
    assert options.data["corruption"] == published
    for override, message in (
        ("data.sources=[{folder: x, trusted_text: [hands]}]", "trusted blocks must hold known keys only, got 'hands'"),
        ("data.sources=[{folder: x, share: 2}]", "share must be above 0 and below 1, got 2"),
        ("model.size=2b", "name must be one of"),
        ("model.patches=4", "DiT config must hold known keys only, got 'patches'; did you mean patch"),
        ("training.fsdp=true", "training must name deepspeed or fsdp, got both"),
    ):
        with pytest.raises(ValueError, match=message):
            dry_run("dit", load_recipe(path, [override]), path, Target())


def test_sampling_of_a_recipe_must_fit_the_features(write):
    model = {"features": "rot272", "num_reference_layers": 0}
    with pytest.raises(ValueError, match='recovery must be "direct" for features \'rot272\', got "velocity"'):
        train_dit(load_recipe(write(data={"sampling": {"recovery": "velocity"}}, model=model)))
    sampling = dit_data_options(load_recipe(write(data={"sampling": {"steps": None, "solver": "heun"}}))).sampling
    assert sampling == {"solver": "heun"}  # null takes an option out of what a base recipe says


def test_recipes_are_what_they_are_checked_as():
    recipe = load_recipe(ROOT / "recipes/flow/dit-mini.yaml")
    assert isinstance(recipe, Recipe) and dit_data_options(recipe).text_length == 32
