"""Converted checkpoints give the numbers of the upstream implementations."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from motionmillion.cli.app import app
from motionmillion.convert import RELEASED_TOKENIZER_OPTIONS, convert_tokenizer, load_upstream_tokenizer
from motionmillion.convert.tokenizer import _tokenizer_names
from motionmillion.features.stats import FeatureStats
from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"
needs_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="needs the golden arrays of the upstream projects")


def golden(name: str):
    folder = GOLDEN / name
    return folder, json.loads((folder / "options.json").read_text()), load_file(folder / "expected.safetensors")


@needs_golden
@pytest.mark.parametrize("name", ["upstream_tokenizer", "upstream_tokenizer_down2"])
def test_tokenizer_gives_the_upstream_codes_and_reconstruction(name):
    folder, options, expected = golden(name)
    tokenizer = load_upstream_tokenizer(folder / "fsq_net.pth", options)
    codes = tokenizer.encode(expected["features"])
    assert torch.equal(codes, expected["codes"].long())
    assert torch.allclose(tokenizer.decode(codes), expected["reconstruction"], atol=1e-5)
    assert torch.allclose(tokenizer.decode(codes[:1]), expected["decoded_first"], atol=1e-5)
    assert torch.allclose(tokenizer(expected["features"]).reconstruction, expected["reconstruction"], atol=1e-5)


@needs_golden
def test_tokenizer_with_statistics_takes_physical_units():
    folder, options, expected = golden("upstream_tokenizer")
    mean, std = torch.randn(272), torch.rand(272) + 0.5
    tokenizer = load_upstream_tokenizer(folder / "fsq_net.pth", options, mean, std)
    assert torch.equal(tokenizer.encode(expected["features"] * std + mean), expected["codes"].long())


@needs_golden
def test_options_that_do_not_fit_are_named():
    folder, options, _ = golden("upstream_tokenizer")
    path = folder / "fsq_net.pth"
    for change, message in (
        ({"patch_size": 2}, "patch_size.*must be 1"),
        ({"nb_code": 77}, "nb_code.*must be one of"),
        ({"depth": 2}, "left over"),
        ({"depth": 4}, "missing"),
        ({"width": 32, "code_dim": 32, "output_emb_width": 32}, "must fit its options"),
    ):
        with pytest.raises(ValueError, match=message):
            load_upstream_tokenizer(path, {**options, **change})


def test_files_that_are_no_checkpoint_are_named(tmp_path):
    with pytest.raises(ValueError, match="existing file"):
        load_upstream_tokenizer(tmp_path / "nosuch.pth")
    torch.save({"other": {}}, tmp_path / "x.pth")
    for content in ({"other": {}}, {"net": 3}, {"net": {"a": 3}}, [1]):
        torch.save(content, tmp_path / "x.pth")
        with pytest.raises(ValueError, match="under 'net'"):
            load_upstream_tokenizer(tmp_path / "x.pth")
    with pytest.raises(ValueError, match="existing file"):
        load_upstream_tokenizer(tmp_path)
    torch.save({"net": pytest.raises}, tmp_path / "y.pth")  # a pickled function must not be loaded
    with pytest.raises(ValueError, match="plain PyTorch checkpoint"):
        load_upstream_tokenizer(tmp_path / "y.pth")


SMALL = {**RELEASED_TOKENIZER_OPTIONS, "nb_code": 512, "width": 16, "code_dim": 16, "output_emb_width": 16, "depth": 1}


def upstream_checkpoint(path, options, prefix=""):
    """A random tokenizer of ours, written in the upstream's format."""
    torch.manual_seed(0)
    config = MotionTokenizerConfig(
        wavelet="none",
        wavelet_levels=0,
        strides=[options["stride_t"]] * options["down_t"],
        width=options["width"],
        depth=options["depth"],
        dilation_growth=options["dilation_growth_rate"],
        quantizer={"type": "fsq", "size": options["nb_code"]},
    )
    tokenizer = MotionTokenizer(config).eval()
    with torch.no_grad():
        for parameter in tokenizer.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))  # norms and biases, too, differ from their start
        tokenizer.quantizer.project_in.weight.mul_(8)  # many codes in use
    names = _tokenizer_names(options["down_t"], options["depth"])
    parameters = dict(tokenizer.named_parameters())
    assert set(names) == set(parameters)
    net = {f"{prefix}vqvae.{theirs}": parameters[ours].detach() for ours, theirs in names.items()}
    for patcher in ("encoder.model.0", "decoder.model.6"):
        net[f"{prefix}vqvae.{patcher}.wavelets"] = torch.tensor([0.7071, 0.7071])
        net[f"{prefix}vqvae.{patcher}._arange"] = torch.arange(2)
    torch.save({"net": net}, path)
    return tokenizer


def same_numbers(a, b) -> bool:
    theirs = dict(b.named_parameters())
    return all(torch.equal(value, theirs[name]) for name, value in a.named_parameters())


def test_full_width_round_trip_keeps_every_number(tmp_path):
    original = upstream_checkpoint(tmp_path / "fsq_net.pth", RELEASED_TOKENIZER_OPTIONS)
    assert original.config.codebook_size == 64000 and original.config.frames_per_token == 2
    assert sum(p.numel() for p in original.parameters()) / 1e6 == pytest.approx(11.35, abs=0.005)
    mean, std = torch.randn(272), torch.rand(272) + 0.5
    for name, value in (("mean", mean), ("std", std)):
        np.save(tmp_path / f"{name}.npy", value.double().numpy())
    paths = {name: str(tmp_path / name) for name in ("fsq_net.pth", "folder", "mean.npy", "std.npy")}
    statistics = ["--mean", paths["mean.npy"], "--std", paths["std.npy"]]
    command = ["convert", "tokenizer", paths["fsq_net.pth"], "-o", paths["folder"], *statistics]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.stdout.splitlines()[-1] == paths["folder"]
    loaded = load_upstream_tokenizer(tmp_path / "fsq_net.pth", mean=mean, std=std)
    saved = MotionTokenizer.from_pretrained(paths["folder"])
    original.set_statistics(FeatureStats(mean, std))
    features = torch.randn(2, 30, 272) * std + mean
    codes = original.encode(features)
    assert codes.unique().numel() > 10
    for tokenizer in (loaded, saved):
        assert same_numbers(original, tokenizer)
        assert torch.equal(tokenizer.mean, mean) and torch.equal(tokenizer.std, std)
        assert torch.equal(tokenizer.encode(features), codes)
        assert torch.equal(tokenizer.decode(codes), original.decode(codes))


def test_checkpoints_of_distributed_training_and_logged_options(tmp_path, capsys):
    original = upstream_checkpoint(tmp_path / "fsq_net.pth", SMALL, prefix="module.")
    logged = {**SMALL, "quantizer": "FSQ", "use_patcher": True, "patch_size": 1, "lr": 5e-5, "exp_name": "x"}
    (tmp_path / "options.json").write_text(json.dumps(logged))
    folder = convert_tokenizer(tmp_path / "fsq_net.pth", tmp_path / "folder", tmp_path / "options.json")
    assert same_numbers(original, MotionTokenizer.from_pretrained(folder))
    assert len(capsys.readouterr().err.strip().splitlines()) == 1  # without statistics it says so


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": None}, "options\\['width'\\] must be a positive whole number"),
        ({"down_t": 0}, "options\\['down_t'\\] must be a positive whole number"),
        ({"code_dim": 8}, "options\\['code_dim'\\] must be 16"),
        ({"quantizer": "LFQ"}, "must be 'FSQ'"),
        ({"causal": True}, "must be False"),
        ({"dilation_growth": 3}, "known keys only, got 'dilation_growth'; did you mean dilation_growth_rate"),
    ],
)
def test_options_are_checked_before_anything_is_read(change, message):
    with pytest.raises(ValueError, match=message):
        load_upstream_tokenizer("nosuch.pth", {**SMALL, **change})


def test_missing_options_are_named():
    with pytest.raises(ValueError, match="got none for width, depth; add them"):
        load_upstream_tokenizer("nosuch.pth", {k: v for k, v in SMALL.items() if k not in ("width", "depth")})


@pytest.mark.parametrize("content", ["{", "[1]", "\xff"])
def test_option_files_are_checked(tmp_path, content):
    (tmp_path / "options.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match="options must be a JSON"):
        convert_tokenizer("nosuch.pth", tmp_path / "folder", tmp_path / "options.json")


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        (np.zeros(272), None, "got mean alone; add std"),
        (None, np.ones(272), "got std alone; add mean"),
        (np.zeros(263), np.ones(272), "mean must be finite and of shape \\[272\\]"),
        (np.full(272, np.nan), np.ones(272), "mean of .* must be finite"),
        (np.zeros(272), np.zeros(272), "std must be above 0"),
    ],
)
def test_statistics_are_checked(tmp_path, mean, std, message):
    upstream_checkpoint(tmp_path / "fsq_net.pth", SMALL)
    (tmp_path / "options.json").write_text(json.dumps(SMALL))
    files = {}
    for name, value in (("mean", mean), ("std", std)):
        if value is not None:
            np.save(tmp_path / f"{name}.npy", value)
            files[name] = tmp_path / f"{name}.npy"
    with pytest.raises(ValueError, match=message):
        convert_tokenizer(tmp_path / "fsq_net.pth", tmp_path / "folder", tmp_path / "options.json", **files)
    assert not (tmp_path / "folder").exists()


def test_output_of_a_conversion_is_a_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="output must be a folder"):
        convert_tokenizer("nosuch.pth", tmp_path / "file")
