"""The tokenizer: rates, padding, losses, checkpoints, and every check."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from vector_quantize_pytorch import FSQ

from motionmillion import features as representations
from motionmillion.data import synthesize
from motionmillion.features.stats import feature_stats
from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig
from motionmillion.tokenizer.losses import LOSSES, reconstruction_losses
from motionmillion.tokenizer.quantizers import build_quantizer, code_usage

CODEC = representations.get("rot272")
FSQ125 = {"type": "fsq", "levels": [5, 5, 5]}


def tiny(**changes) -> MotionTokenizer:
    torch.manual_seed(0)
    settings = dict(width=16, depth=2, dilation_growth=2, quantizer=FSQ125)
    return MotionTokenizer(MotionTokenizerConfig(**{**settings, **changes})).eval()


def walks() -> torch.Tensor:
    return torch.stack([CODEC.encode(synthesize("walk", seed=s, seconds=2))[:50] for s in range(3)])


@pytest.mark.parametrize(
    ("wavelet", "levels", "strides", "hop"),
    [("none", 0, [2], 2), ("haar", 1, [2], 4), ("db2", 2, [], 4), ("bior4.4", 1, [3], 6), ("rearrange", 1, [2, 2], 8)],
)
def test_rate_follows_from_wavelet_and_strides_and_padding_changes_nothing(wavelet, levels, strides, hop):
    tokenizer = tiny(wavelet=wavelet, wavelet_levels=levels, strides=strides, refiner_width=8)
    config = tokenizer.config
    assert config.frames_per_token == hop and config.tokens_per_second == 30 / hop
    features, lengths = walks(), torch.tensor([50, 31, 7])
    features[1, 31:] = torch.nan  # padding may hold anything
    codes = tokenizer.encode(features, lengths)
    assert codes.shape == (3, -(-50 // hop)) and codes.dtype == torch.int64
    decoded = tokenizer.decode(codes, tokenizer.code_lengths(lengths))
    for row, length in enumerate(lengths.tolist()):
        alone = tokenizer.encode(features[row : row + 1, :length])
        assert torch.equal(alone[0], codes[row, : alone.shape[1]])
        assert alone.shape[1] == tokenizer.code_lengths(lengths)[row]
        assert torch.allclose(tokenizer.decode(alone)[0], decoded[row, : alone.shape[1] * hop], atol=1e-5)


def test_forward_trains_every_weight_and_ignores_padding():
    tokenizer = tiny(refiner_width=8, losses=dict.fromkeys(LOSSES, 1.0)).train()
    features = walks()
    lengths = torch.tensor([50, 40, 20])
    output = tokenizer(features, lengths)
    output.loss.backward()
    for name, parameter in tokenizer.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
    changed = features.clone()
    changed[2, 20:] += 100
    assert torch.allclose(tokenizer(changed, lengths).loss, output.loss, rtol=1e-4)
    assert output.reconstruction.shape == features.shape


def test_losses_vanish_for_a_perfect_reconstruction_and_see_what_they_are_named_for():
    target = walks()
    mask = torch.ones(3, 50, dtype=torch.bool)
    perfect = reconstruction_losses(target, target, mask, torch.ones(272), CODEC)
    assert set(perfect) == set(LOSSES) - {"bands"} and all(float(v) == 0 for v in perfect.values())
    turned = target.clone()
    angle = torch.tensor(0.3)
    turned[:, 10, 2:8] = torch.tensor([angle.cos(), 0, angle.sin(), 0, 1, 0])
    drift = reconstruction_losses(turned, target, mask, torch.ones(272), CODEC)
    assert drift["joints"] > 0.01 and drift["local_positions"] == 0
    shaken = target.clone()
    shaken[:, ::2, CODEC.layout["positions"]] += 0.01
    jitter = reconstruction_losses(shaken, target, mask, torch.ones(272), CODEC)
    assert jitter["acceleration"] > 100 * jitter["joints"]


def test_fsq_is_the_library_s_and_usage_is_counted():
    quantizer = build_quantizer({"type": "fsq", "levels": [8, 5, 5]}, 6)
    latents = torch.randn(2, 9, 6)
    output = quantizer(latents)
    reference, codes = FSQ([8, 5, 5])(quantizer.project_in(latents))
    assert torch.equal(output.codes, codes.long())
    assert torch.allclose(output.latents, quantizer.project_out(reference))
    assert torch.allclose(quantizer.lookup(output.codes), output.latents, atol=1e-6)
    usage = code_usage(torch.tensor([[0, 1], [1, 1]]), 4)
    assert usage["usage"] == 0.5
    assert usage["entropy_bits"] == pytest.approx(0.811278, abs=1e-5)


def test_statistics_are_part_of_the_model():
    tokenizer = tiny()
    stats = feature_stats(list(walks()), CODEC.layout)
    before = tokenizer.decode(torch.zeros(1, 4, dtype=torch.long))
    tokenizer.set_statistics(stats)
    after = tokenizer.decode(torch.zeros(1, 4, dtype=torch.long))
    assert torch.allclose(after, before * stats.std + stats.mean, atol=1e-5)


def test_save_and_load_keep_every_number(tmp_path):
    tokenizer = tiny(quantizer={**FSQ125, "normalize": True}, refiner_width=8)
    tokenizer.set_statistics(feature_stats(list(walks()), CODEC.layout))
    tokenizer.save_pretrained(tmp_path)
    loaded = MotionTokenizer.from_pretrained(tmp_path).eval()
    codes = tokenizer.encode(walks())
    assert torch.equal(loaded.encode(walks()), codes)
    assert torch.equal(loaded.decode(codes), tokenizer.decode(codes))
    assert loaded.config.to_dict() == MotionTokenizer.from_pretrained(tmp_path).config.to_dict()


def test_a_frame_depends_on_codes_within_the_reach_only():
    tokenizer = tiny(strides=[2], refiner_width=8)
    reach, hop = tokenizer.decoder_reach, tokenizer.config.frames_per_token
    assert reach is not None
    codes = torch.zeros(1, reach + 8, dtype=torch.long)
    other = codes.clone()
    other[0, reach + 2 :] = 7
    same, changed = tokenizer.decode(codes), tokenizer.decode(other)
    assert torch.equal(same[0, : 2 * hop], changed[0, : 2 * hop])
    assert not torch.equal(same[0, (reach + 1) * hop :], changed[0, (reach + 1) * hop :])
    assert tiny(wavelet="db2").decoder_reach is None


def test_wrong_weights_are_errors(tmp_path):
    tiny().save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    save_file({k: v for k, v in weights.items() if k != "mean"}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="1 missing.*mean"):
        MotionTokenizer.from_pretrained(tmp_path)
    save_file({**weights, "extra": torch.zeros(1)}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="1 unexpected.*extra"):
        MotionTokenizer.from_pretrained(tmp_path)
    save_file({**weights, "mean": torch.zeros(3)}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="1 mismatched.*mean"):
        MotionTokenizer.from_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(ValueError, match="damaged"):
        MotionTokenizer.from_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(weights, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="pickle, which is never loaded"):
        MotionTokenizer.from_pretrained(tmp_path)


def test_unknown_config_keys_are_errors(tmp_path):
    with pytest.raises(ValueError, match="'widht'.*width"):
        MotionTokenizerConfig(widht=3)
    tiny().save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**settings, "stides": [2]}))
    with pytest.raises(ValueError, match="'stides'.*strides"):
        MotionTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tiny(strides=[0]), "strides must be positive"),
        (lambda: tiny(wavelet="none", wavelet_levels=1), "wavelet_levels must be 0"),
        (lambda: tiny(wavelet="nosuch"), "wavelet name must be"),
        (lambda: tiny(width=0), "width must be at least 1"),
        (lambda: tiny(refiner_width=-1), "refiner_width must not"),
        (lambda: tiny(dropout=1.0), "dropout must be in"),
        (lambda: tiny(losses={"colour": 1.0}), "losses must be among"),
        (lambda: tiny(features="rot1"), "features must be one of"),
        (lambda: tiny(quantizer={"type": "xyz"}), "quantizer type must be one of"),
        (lambda: tiny(quantizer={"type": "fsq"}), "must name its levels"),
        (lambda: tiny(quantizer={"type": "fsq", "levels": [1]}), "quantizer levels must be"),
        (lambda: tiny(quantizer={**FSQ125, "level": 3}), "did you mean levels"),
        (lambda: tiny().encode(torch.zeros(1, 5, 271)), "features must have shape"),
        (lambda: tiny().encode(torch.zeros(1, 0, 272)), "features must have shape"),
        (lambda: tiny().encode(torch.zeros(1, 5, 272), torch.tensor([6])), "lengths must be in 1..5"),
        (lambda: tiny().decode(torch.tensor([[125]])), "codes must be in 0..124"),
        (lambda: tiny().decode(torch.zeros(1, 0, dtype=torch.long)), "at least one code"),
        (lambda: tiny().decode(torch.zeros(1, 3, dtype=torch.long), torch.tensor([0])), "lengths must be in 1..3"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
