"""ViMoGen's weights as published: the motions of the converted parts, every file checked before anything is loaded."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import torch
from transformers import UMT5Config, UMT5EncoderModel

from motionmillion import Motion, MotionPipeline
from motionmillion.convert import convert_dit
from motionmillion.convert.dit import PUBLISHED_SAMPLING, RELEASED_DIT_OPTIONS, dit_names
from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.lm.dit.model import MotionDiT

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden" / "vimogen_dit"
needs_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="needs the golden arrays of the upstream projects")
SMALL = {**RELEASED_DIT_OPTIONS, "dim": 32, "ffn_dim": 48, "freq_dim": 16, "text_dim": 16, "num_heads": 2}
SMALL["num_layers"] = 2
STEPS = {"steps": 3, "seconds": 1}


def write_umt5(folder: Path, width: int, inside: bool = True) -> None:
    """A umT5 with its tokenizer, which is in a folder beside it unless `inside`."""
    folder.mkdir(parents=True)
    sizes = dict(vocab_size=60, d_model=width, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    UMT5EncoderModel(UMT5Config(**sizes)).save_pretrained(folder)
    words = folder if inside else folder.parent / "tokenizer"
    words.mkdir(exist_ok=True)
    with (words / "spiece.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["a person walks forward and waves", "someone jumps", "he sits down"] * 20),
            model_writer=file,
            vocab_size=50,
            hard_vocab_limit=False,
            pad_id=0,
            eos_id=1,
            unk_id=2,
            bos_id=-1,
            minloglevel=2,
        )


def write_model(file: Path, width: int = 32, heads: int = 2) -> None:
    shape = dict(hidden_size=width, intermediate_size=48, num_hidden_layers=2, num_reference_layers=1)
    settings = dict(text_dim=16, num_attention_heads=heads, frequency_dim=16, text_padding="attended")
    dit = MotionDiT(MotionDiTConfig(**shape, **settings, prediction="velocity"))
    for parameter in dit.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    names = dit_names(2, 1)
    torch.save({names[name]: value.detach() for name, value in dit.named_parameters()}, file)


def write_rest(folder: Path, index: dict | None = None) -> None:
    (folder / "assets" / "meta").mkdir(parents=True)
    generator = np.random.default_rng(0)
    np.save(folder / "assets" / "meta" / "mean.npy", 0.1 * generator.standard_normal(276))
    np.save(folder / "assets" / "meta" / "std.npy", 0.1 + 0.1 * generator.random(276))
    (folder / "model_index.json").write_text(json.dumps({"model_type": "vimogen", "cfg_scale": 5.0} | (index or {})))


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    torch.manual_seed(0)
    write_model(folder / "model.pt")
    write_rest(folder)
    write_umt5(folder / "text_encoder", 16)
    (folder / "options.json").write_text(json.dumps(SMALL))
    return folder


@pytest.fixture
def folder(original, tmp_path) -> Path:
    """A copy to damage."""
    shutil.copytree(original, tmp_path / "copy")
    return tmp_path / "copy"


def refused(folder: Path, message: str, **options) -> None:
    """Loading fails with one line that matches."""
    with pytest.raises(ValueError, match=message) as caught:
        MotionPipeline.from_pretrained(folder, **options)
    assert "\n" not in str(caught.value)


def same_as_converted(folder: Path, tmp_path: Path) -> None:
    statistics = (folder / "assets" / "meta" / f"{name}.npy" for name in ("mean", "std"))
    encoder = str(folder / "text_encoder")
    convert_dit(folder / "model.pt", tmp_path / "mine", folder / "options.json", *statistics, text_encoder=encoder)
    given, mine = MotionPipeline.from_pretrained(folder), MotionPipeline.from_pretrained(tmp_path / "mine")
    assert given.defaults == mine.defaults == {**mine.defaults, **PUBLISHED_SAMPLING}
    a, b = (pipe(["a person waves", "someone jumps"], seed=3, **STEPS) for pipe in (given, mine))
    for one, other in zip(a, b, strict=True):
        assert one.num_frames == 20 and torch.equal(one.rotations, other.rotations)
        assert torch.equal(one.translation, other.translation) and bool(one.positions().isfinite().all())
    assert not torch.equal(a[0].rotations, a[1].rotations)


def test_motions_are_those_of_the_converted_parts(original, tmp_path):
    same_as_converted(original, tmp_path)


@pytest.mark.slow
@needs_golden
def test_motions_of_the_public_weights_are_those_of_the_converted_parts(tmp_path):
    folder = tmp_path / "public"
    folder.mkdir()
    for name in ("model.pt", "options.json"):
        shutil.copy(GOLDEN / name, folder)
    write_rest(folder)
    write_umt5(folder / "text_encoder", 40)
    same_as_converted(folder, tmp_path)


def test_sizes_follow_from_the_weights_where_heads_are_wan_s(folder):
    (folder / "options.json").unlink()
    refused(folder, "model.pt must have a width of whole heads of 128 channels, got 32 .* add an options.json")
    write_model(folder / "model.pt", width=128, heads=1)
    pipe = MotionPipeline.from_pretrained(folder)
    config = pipe.weighted_parts()["dit"].config
    assert (config.num_attention_heads, config.num_hidden_layers, config.num_reference_layers) == (1, 2, 1)
    assert (config.hidden_size, config.intermediate_size, config.frequency_dim, config.text_dim) == (128, 48, 16, 16)


def test_sampling_is_that_of_the_index(folder):
    index = {"model_type": "vimogen", "cfg_scale": 3.0, "num_inference_steps": 7, "denoising_strength": None}
    (folder / "model_index.json").write_text(json.dumps(index))
    defaults = MotionPipeline.from_pretrained(folder).defaults
    assert (defaults["guidance_scale"], defaults["steps"], defaults["denoising_strength"]) == (3.0, 7, 0.7)
    (folder / "model_index.json").write_text(json.dumps({**index, "num_inference_steps": 0}))
    refused(folder, "steps must be")


@pytest.mark.slow
def test_bfloat16_from_text_to_file(original, run, tmp_path):
    exact = MotionPipeline.from_pretrained(original)
    half = MotionPipeline.from_pretrained(original, dtype=torch.bfloat16)
    dit = half.weighted_parts()["dit"]
    assert dit.dtype == torch.bfloat16 and dit.mean.dtype == torch.float32  # type: ignore[union-attr]
    assert next(half.text_encoder.model.parameters()).dtype == torch.bfloat16
    x = torch.randn(1, 20, 276, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features, mask = exact.read(["a person waves"])
        a, b = (
            pipe.weighted_parts()["dit"](x, torch.tensor([500.0]), text=features, text_mask=mask).float()
            for pipe in (exact, half)
        )
    assert 0 < (a - b).abs().max() < 0.05 * a.abs().max()
    arguments = ("generate", "a person waves", "--model", original, "--dtype", "bfloat16", "--seconds", 1)
    code, _, err = run(*arguments, "--steps", 3, "-o", tmp_path / "x.npz")
    assert code == 0 and bool(Motion.load(tmp_path / "x.npz").positions().isfinite().all()), err


@pytest.mark.parametrize("name", ["model_index.json", "model.pt", "assets/meta/mean.npy", "assets/meta/std.npy"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    refused(folder, f"must hold all files of ViMoGen's layout, got no {name} in")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model_index.json", "model_index.json must be a JSON file"),
        ("model.pt", "checkpoint must be a plain PyTorch checkpoint, got '.*model.pt'"),
        ("assets/meta/std.npy", "std.npy.* must be a whole array"),
        ("options.json", "options must be a JSON file"),
        ("text_encoder/model.safetensors", "text encoder '.*text_encoder' must have whole weights, got damaged"),
    ],
)
def test_a_truncated_file_is_named(folder, name, message):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    refused(folder, message)


def test_foreign_files_are_named(folder):
    refused(folder, "quantization must be left out for a DiT, got '4bit'; use bfloat16", quantization="4bit")
    torch.save({"layer.weight": torch.zeros(2, 2)}, folder / "model.pt")
    refused(folder, "weights missing in '.*model.pt'")
    (folder / "options.json").unlink()
    refused(folder, "model.pt must hold ViMoGen's weights, got no motion_embedding.weight")
    torch.save({"run": pytest.raises}, folder / "model.pt")  # a pickled function must not be loaded
    refused(folder, "must be a plain PyTorch checkpoint")
    (folder / "model_index.json").write_text('{"model_type": "motionmillion"}')
    refused(folder, "model_index.json must be of model_type 'vimogen', got 'motionmillion'")


def test_weights_and_statistics_of_other_sizes_are_named(folder):
    (folder / "options.json").write_text(json.dumps({**SMALL, "dim": 48}))
    refused(folder, r"must fit its options, got '.*model.pt' with .* of shape")
    (folder / "options.json").write_text(json.dumps({**SMALL, "text_dim": 24}))
    refused(folder, "text encoder must give features of width 24 for model.pt, got 16")
    np.save(folder / "assets" / "meta" / "mean.npy", np.zeros(272))
    refused(folder, r"mean.npy must have shape \[276\], got \[272\]")


def test_without_a_text_encoder_that_of_wan_is_asked_for(folder, monkeypatch):
    shutil.rmtree(folder / "text_encoder")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refused(folder, "text encoder 'Wan-AI/Wan2.1-T2V-1.3B-Diffusers/text_encoder' must be a folder or on the hub")


def test_a_tokenizer_may_lie_beside_its_encoder(folder):
    shutil.rmtree(folder / "text_encoder")
    write_umt5(folder / "text_encoder", 16, inside=False)
    assert (folder / "tokenizer" / "spiece.model").is_file()
    assert not (folder / "text_encoder" / "spiece.model").exists()
    motion = MotionPipeline.from_pretrained(folder)("a person waves", **STEPS)[0]
    assert bool(motion.positions().isfinite().all())
