"""MotionMillion's weights as published: the same tokens and motions, every file checked before anything is loaded."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import T5Config, T5ForConditionalGeneration

from motionmillion import Motion, MotionPipeline
from motionmillion.convert.hub_motionmillion import load_tokenizer
from motionmillion.convert.lm import _sources
from motionmillion.convert.options import PUBLISHED_LMS
from motionmillion.convert.tokenizer import _tokenizer_names
from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden" / "hub_motionmillion"
needs_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="needs the golden arrays of the upstream projects")
WIDTH, TEXT, CODES = 16, 32, 240
SHAPE = (2, 4, 64)
VQVAE = dict(nb_code=256, code_dim=WIDTH, output_emb_width=WIDTH, down_t=1, stride_t=2, width=WIDTH, depth=1)
VQVAE |= dict(dilation_growth_rate=3, activation="relu", norm="LN", kernel_size=3, use_patcher=True, patch_size=1)
VQVAE |= dict(patch_method="haar", input_dim=272, quantizer="FSQ")


def upstream_rows(weight: Tensor, heads: int) -> Tensor:
    """Rows of each head in neighbouring pairs, from ours in halves."""
    return weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)


def write_lm(file: Path) -> MotionLM:
    layers, heads, width = SHAPE
    shape = dict(num_hidden_layers=layers, num_attention_heads=heads, hidden_size=width, intermediate_size=96)
    lm = MotionLM(MotionLMConfig(codebook_size=CODES, text_dim=TEXT, **shape)).eval()
    state: dict[str, list[Tensor]] = {}
    for parameter in lm.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    for ours, source in _sources(lm.config).items():
        value = lm.state_dict()[ours]
        state.setdefault(source.name, []).append(value if source.heads is None else upstream_rows(value, source.heads))
    save_file({name: torch.cat(values).contiguous() for name, values in state.items()}, file)
    return lm


def write_tokenizer(file: Path) -> MotionTokenizer:
    config = MotionTokenizerConfig(
        wavelet="none",
        wavelet_levels=0,
        strides=[2],
        width=WIDTH,
        latent_dim=WIDTH,
        depth=1,
        dilation_growth=3,
        quantizer={"type": "fsq", "size": 256},
    )
    tokenizer = MotionTokenizer(config).eval()
    weights = tokenizer.state_dict()
    state = {f"vqvae.{theirs}": weights[ours] for ours, theirs in _tokenizer_names(1, 1).items()}
    # a buffer of the patcher, which runs at zero levels
    save_file({**state, "vqvae.encoder.model.0.wavelets": torch.full((2,), 0.5**0.5)}, file)
    return tokenizer


def write_t5(folder: Path) -> None:
    folder.mkdir()
    with (folder / "spiece.model").open("wb") as file:
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
    sizes = dict(vocab_size=170, d_model=TEXT, d_kv=8, d_ff=48, num_layers=1, num_heads=2, decoder_start_token_id=0)
    T5ForConditionalGeneration(T5Config(**sizes, feed_forward_proj="gated-gelu")).save_pretrained(folder)


def write_settings(folder: Path, vqvae: dict | None = None, ar: dict | None = None, **changes) -> None:
    ar = dict(config_name="tiny", block_size=301, clip_dim=TEXT, tie_weights=False) | (ar or {})
    settings = {"model_type": "motionmillion", "text_model_name": str(folder / "nosuch")}
    settings |= {"text_encoder": {"path": "text_encoder"}, "config": {"vqvae": VQVAE | (vqvae or {}), "ar": ar}}
    (folder / "mm_config.json").write_text(json.dumps(settings | changes))


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    torch.manual_seed(0)
    write_lm(folder / "ar.safetensors")
    write_tokenizer(folder / "fsq.safetensors")
    write_t5(folder / "text_encoder")
    write_settings(folder)
    generator = np.random.default_rng(0)
    np.save(folder / "mean.npy", 0.1 * generator.standard_normal(272))
    np.save(folder / "std.npy", 0.1 + generator.random(272))
    return folder


@pytest.fixture(autouse=True)
def tiny_size(monkeypatch):
    monkeypatch.setitem(PUBLISHED_LMS, "tiny", SHAPE)  # type: ignore[arg-type]


@pytest.fixture
def folder(original, tmp_path) -> Path:
    """A copy to damage."""
    shutil.copytree(original, tmp_path / "copy")
    write_settings(tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture(scope="module")
def public(tmp_path_factory) -> Path:
    """The artifact of the golden arrays."""
    spec = importlib.util.spec_from_file_location("make_hub", GOLDEN / "make.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("public") / "hub"
    module.build(folder)
    return folder


def refused(folder: Path, message: str, **options) -> None:
    """Loading fails with one line that matches."""
    with pytest.raises(ValueError, match=message) as caught:
        MotionPipeline.from_pretrained(folder, **options)
    assert "\n" not in str(caught.value)


@needs_golden
def test_tokens_and_motions_are_those_of_the_public_implementation(public, run, tmp_path):
    expected = load_file(GOLDEN / "expected.safetensors")
    prompts = json.loads((GOLDEN / "prompts.json").read_text())
    pipe = MotionPipeline.from_pretrained(public)
    features, mask = pipe.read(prompts)
    assert torch.equal(mask, expected["text_mask"].bool())
    assert (features - expected["text_features"])[mask].abs().max() < 1e-5
    tokens = pipe.lm.generate(features, mask, max_new_tokens=60, do_sample=False)
    motions = pipe(prompts, max_seconds=4.0)
    for row, (codes, motion) in enumerate(zip(tokens, motions, strict=True)):
        codes = pipe.lm.motion_only(codes)
        assert torch.equal(codes, expected[f"cached_{row}"])
        decoded = pipe.tokenizer.decode(codes[None])[0]
        assert (decoded - expected[f"motion_{row}"]).abs().max() < 1e-4
        wanted = pipe.tokenizer.representation.decode(expected[f"motion_{row}"])
        assert (motion.positions() - wanted.positions()).abs().max() < 1e-3
    arguments = ("generate", prompts[2], "--model", public, "--max-seconds", 4, "-o", tmp_path / "x.npz")
    code, out, err = run(*arguments)
    assert code == 0 and out.strip() == str(tmp_path / "x.npz"), err
    written = Motion.load(tmp_path / "x.npz")
    assert written.num_frames == 94
    assert (written.positions() - motions[2].positions()).abs().max() < 1e-4


def test_a_folder_is_the_pipeline_of_its_parts(original):
    torch.manual_seed(0)
    lm = write_lm(original / "again.safetensors")
    (original / "again.safetensors").unlink()
    pipe = MotionPipeline.from_pretrained(original)
    theirs = dict(lm.named_parameters())
    assert all(torch.equal(value, theirs[name]) for name, value in pipe.lm.named_parameters())
    assert np.allclose(pipe.tokenizer.mean, np.load(original / "mean.npy"), atol=1e-7)
    assert pipe.text_encoder.max_length == 150 and pipe.text_encoder.name == str(original / "text_encoder")
    assert pipe.lm.config.context_codes == 150 and pipe.defaults["temperature"] == 0
    motions = pipe(["a person waves", "jumps"], max_seconds=1.0, min_seconds=1.0)
    assert [motion.num_frames for motion in motions] == [30, 30]
    assert not torch.equal(motions[0].rotations, motions[1].rotations)
    tokens = load_tokenizer(original).encode(torch.zeros(1, 20, 272))
    assert torch.equal(tokens, pipe.tokenizer.encode(torch.zeros(1, 20, 272)))


def test_bfloat16_from_text_to_file(original, run, tmp_path):
    exact = MotionPipeline.from_pretrained(original)
    half = MotionPipeline.from_pretrained(original, dtype=torch.bfloat16)
    assert half.lm.dtype == torch.bfloat16 and next(half.text_encoder.model.parameters()).dtype == torch.bfloat16
    assert half.tokenizer.mean.dtype == torch.float32
    features, mask = exact.read(["a person waves"])
    tokens = torch.arange(12)[None]
    with torch.no_grad():
        a, b = (pipe.lm(tokens, *pipe.read(["a person waves"])).logits.float() for pipe in (exact, half))
    assert 0 < (a - b).abs().max() < 0.05 * a.abs().max()
    motion = half("a person waves", seconds=1)[0]
    assert motion.num_frames == 30 and bool(motion.positions().isfinite().all())
    half.tokenizer.to(torch.bfloat16)
    clip = exact.tokenizer.decode(tokens)
    assert (half.tokenizer.decode(tokens) - clip).abs().max() < 0.05 * clip.abs().max()
    code, _, err = run(
        "generate",
        "a person waves",
        "--model",
        original,
        "--dtype",
        "bfloat16",
        "--seconds",
        1,
        "-o",
        tmp_path / "x.npz",
    )
    assert code == 0 and bool(Motion.load(tmp_path / "x.npz").positions().isfinite().all()), err


@pytest.mark.parametrize("name", ["8bit", "4bit"])
def test_few_bits(original, name):
    pytest.importorskip("bitsandbytes", reason='needs pip install "motionmillion[quantization]"')
    exact, small = (MotionPipeline.from_pretrained(original, quantization=how) for how in (None, name))
    size = sum(weight.nbytes for weight in small.lm.layers.parameters())
    assert size < 0.3 * sum(weight.nbytes for weight in exact.lm.layers.parameters())
    tokens = torch.arange(12)[None]
    with torch.no_grad():
        a, b = (pipe.lm(tokens, *pipe.read(["a person waves"])).logits for pipe in (exact, small))
    assert 0 < (a - b).abs().max() < (0.1 if name == "8bit" else 0.5) * a.abs().max()
    assert bool(small("a person waves", seconds=1)[0].positions().isfinite().all())


def test_memory_is_that_of_the_model_in_its_data_type(original):
    """Weights are stored once, in their data type, and none of them keeps the file mapped."""
    pipe = MotionPipeline.from_pretrained(original, dtype=torch.bfloat16)
    storages = {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in pipe.lm.parameters()}
    assert sum(storages.values()) == sum(2 * value.numel() for value in pipe.lm.parameters())
    whole = MotionPipeline.from_pretrained(original)
    assert not any(value.untyped_storage().filename for value in whole.lm.parameters())


def test_without_a_text_encoder_the_settings_name_it(folder):
    shutil.move(folder / "text_encoder", folder / "elsewhere")
    refused(folder, "text encoder '.*nosuch' must be a folder or on the hub")
    write_settings(folder, text_model_name=str(folder / "elsewhere"))
    assert MotionPipeline.from_pretrained(folder).text_encoder.name == str(folder / "elsewhere")
    write_settings(folder, text_model_name=3)
    refused(folder, "text_model_name must be a name, got 3")


@pytest.mark.parametrize("name", ["mm_config.json", "fsq.safetensors", "ar.safetensors", "mean.npy", "std.npy"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    refused(folder, f"must hold all files of MotionMillion's layout, got no {name} in")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mm_config.json", "mm_config.json must be a JSON file"),
        ("fsq.safetensors", "checkpoint must be whole, got a damaged one in '.*fsq.safetensors'"),
        ("ar.safetensors", "checkpoint must be whole, got a damaged one in '.*ar.safetensors'"),
        ("mean.npy", "mean.npy.* must be a whole array"),
        ("text_encoder/model.safetensors", "text encoder '.*text_encoder' must have whole weights, got damaged"),
        ("text_encoder/config.json", "text encoder '.*text_encoder' must be a folder"),
    ],
)
def test_a_truncated_file_is_named(folder, name, message):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) * 2 // 3])
    refused(folder, message)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mm_config.json", "mm_config.json must be a JSON file"),
        ("fsq.safetensors", "must be whole, got a damaged one in '.*fsq.safetensors'"),
        ("ar.safetensors", "must be whole, got a damaged one in '.*ar.safetensors'"),
        ("std.npy", "must be a .npy file, got '.*std.npy'"),
    ],
)
def test_a_foreign_file_is_named(folder, name, message):
    (folder / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n")
    refused(folder, message)
    (folder / name).unlink()
    (folder / name).mkdir()
    refused(folder, f"got no {name}")


def test_swapped_weights_are_refused(folder):
    shutil.move(folder / "ar.safetensors", folder / "x")
    shutil.copy(folder / "fsq.safetensors", folder / "ar.safetensors")
    refused(folder, "ar.safetensors must have the sizes in mm_config.json.*got None")
    shutil.move(folder / "x", folder / "fsq.safetensors")
    shutil.copy(folder / "fsq.safetensors", folder / "ar.safetensors")
    refused(folder, "weights missing in '.*fsq.safetensors'")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ar": {"config_name": "44M"}}, r"must have the sizes in mm_config.json, \[242, 512\] .*got \[242, 64\]"),
        ({"ar": {"config_name": "8B"}}, "config_name must be one of"),
        ({"ar": {"clip_dim": 48}}, r"\[64, 48\] for llama_proj.weight, got \[64, 32\]"),
        ({"ar": {"tie_weights": True}}, "tie_weights must be false, got True"),
        ({"ar": {"block_size": "big"}}, "block_size of .* must be a whole number"),
        ({"ar": {"moe": 4}}, "config.ar of .* must hold known keys only, got 'moe'"),
        ({"vqvae": {"nb_code": 1024}}, r"\[1002, 64\] for transformer.wte.weight, got \[242, 64\]"),
        ({"vqvae": {"width": 32}}, "must fit its options, got '.*fsq.safetensors'|code_dim"),
        ({"vqvae": {"depth": 2}}, "weights missing in '.*fsq.safetensors'"),
        ({"vqvae": {"patch_size": 2}}, "patch_size'. must be 1"),
        ({"vqvae": {"input_dim": 263}}, "input_dim must be 272, got 263"),
        ({"vqvae": {"window": 4}}, "config.vqvae of .* must hold known keys only, got 'window'"),
        ({"model_type": "momask"}, "mm_config.json must be of model_type 'motionmillion', got 'momask'"),
        ({"config": 3}, "config must be an object, got 3"),
        ({"text_encoder": 3}, "text_encoder must be an object, got 3"),
    ],
)
def test_settings_that_do_not_fit_are_named(folder, change, message):
    write_settings(folder, **change)
    refused(folder, message)


def test_layers_that_the_settings_do_not_have_are_named(folder, monkeypatch):
    monkeypatch.setitem(PUBLISHED_LMS, "deep", (3, 4, 64))  # type: ignore[arg-type]
    write_settings(folder, ar={"config_name": "deep"})
    refused(folder, "must have the 3 layers in mm_config.json, got 2")


def test_weights_and_statistics_of_other_sizes_are_named(folder):
    np.save(folder / "std.npy", np.ones(276))
    refused(folder, r"std.npy must have shape \[272\], got \[276\]")
    np.save(folder / "std.npy", np.zeros(272))
    refused(folder, "std must be above 0")
    np.save(folder / "std.npy", np.ones(272))
    weights = load_file(folder / "ar.safetensors")
    bad = {**weights, "transformer.h.1.mlp.c_fc1.weight": torch.full((96, 64), torch.nan)}
    save_file(bad, folder / "ar.safetensors")
    refused(folder, "finite weights, got NaN or infinity in '.*ar.safetensors': transformer.h.1.mlp.c_fc1.weight")
    save_file({**weights, "extra": torch.zeros(1)}, folder / "ar.safetensors")
    refused(folder, "1 weights left over in '.*ar.safetensors': extra")
    config = json.loads((folder / "text_encoder" / "config.json").read_text())
    (folder / "text_encoder" / "config.json").write_text(json.dumps({**config, "d_model": 24}))
    save_file(weights, folder / "ar.safetensors")
    refused(folder, "must give features of width 32 for ar.safetensors, got 24")


def test_on_the_command_line_a_mistake_is_one_line_and_writes_nothing(folder, run, tmp_path):
    (folder / "ar.safetensors").write_bytes(b"")
    code, out, err = run("generate", "a person waves", "--model", folder, "-o", tmp_path / "out" / "x.bvh")
    assert code == 2 and not out and "must be whole, got a damaged one" in err and "Traceback" not in err
    assert not (tmp_path / "out").exists()
    code, _, err = run("convert", "pipeline", folder, "-o", tmp_path / "mine")
    assert code == 2 and "must be whole" in err and not (tmp_path / "mine").exists()


def test_it_is_converted_to_a_folder_of_ours(original, run, tmp_path):
    code, out, err = run("convert", "pipeline", original, "-o", tmp_path / "mine")
    assert code == 0 and out.strip() == str(tmp_path / "mine"), err
    given, mine = MotionPipeline.from_pretrained(original), MotionPipeline.from_pretrained(tmp_path / "mine")
    assert mine.defaults == given.defaults
    a, b = (pipe("a person waves", seconds=1)[0] for pipe in (given, mine))
    assert torch.equal(a.rotations, b.rotations) and torch.equal(a.translation, b.translation)
    code, _, err = run("convert", "pipeline", tmp_path / "mine", "-o", tmp_path / "twice")
    assert code == 2 and "needs no conversion" in err
    code, _, err = run("convert", "pipeline", original, "-o", tmp_path / "x", "--mean", original / "mean.npy")
    assert code == 2 and "--mean must be left out for a pipeline" in err


def test_tokenizing_with_it(original, run, tmp_path, turning_motion):
    turning_motion.slice(0, 60).save(tmp_path / "clip.npz")
    code, _, err = run("tokenize", tmp_path / "clip.npz", "-o", tmp_path / "codes.npy", "--model", original)
    assert code == 0 and np.load(tmp_path / "codes.npy").shape == (30,), err
    code, _, err = run("tokenize", tmp_path, "-o", tmp_path / "codes", "--model", original)
    assert code == 2 and "must be converted for this" in err
