"""Converted checkpoints give the numbers of the upstream implementations."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from motionmillion.convert import load_upstream_lm, load_upstream_tokenizer

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "golden"
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
def test_lm_gives_the_upstream_logits():
    folder, options, expected = golden("upstream_lm")
    lm = load_upstream_lm(folder / "net_last.pth", options)
    tokens = expected["tokens"].long()
    logits = lm(tokens, expected["text_features"], expected["text_mask"]).logits[:, -tokens.shape[1] :]
    motion = tokens != options["pad_token"]
    assert motion.any() and (logits - expected["logits"])[motion].abs().max() < 1e-4


@needs_golden
def test_lm_gives_the_upstream_greedy_tokens_past_the_published_stop():
    folder, options, expected = golden("upstream_lm")
    lm = load_upstream_lm(folder / "net_last.pth", options)
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
def test_options_that_do_not_fit_are_named():
    folder, options, _ = golden("upstream_tokenizer")
    path = folder / "fsq_net.pth"
    for change, message in (
        ({"patch_size": 2}, "patch_size.*must be 1"),
        ({"nb_code": 77}, "nb_code.*must be one of"),
        ({"depth": 2}, "left over"),
        ({"depth": 4}, "missing"),
        ({"width": 32, "output_emb_width": 32}, "must fit its options"),
    ):
        with pytest.raises(ValueError, match=message):
            load_upstream_tokenizer(path, {**options, **change})


def test_files_that_are_no_checkpoint_are_named(tmp_path):
    with pytest.raises(ValueError, match="existing file"):
        load_upstream_lm(tmp_path / "nosuch.pth", {})
    torch.save({"other": {}}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match="under 'net'"):
        load_upstream_tokenizer(tmp_path / "x.pth", {"nb_code": 512})
    torch.save({"net": pytest.raises}, tmp_path / "y.pth")  # a pickled function must not be loaded
    with pytest.raises(ValueError, match="plain PyTorch checkpoint"):
        load_upstream_tokenizer(tmp_path / "y.pth", {"nb_code": 512})
