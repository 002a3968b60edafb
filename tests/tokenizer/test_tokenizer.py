"""The tokenizer: rates, padding, losses, checkpoints, and every check."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from motionmillion import features as representations
from motionmillion.data import synthesize
from motionmillion.features.stats import feature_stats
from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig
from motionmillion.tokenizer.losses import LOSSES, _limb_speeds, reconstruction_losses

CODEC = representations.get("rot272")
FSQ125 = {"type": "fsq", "levels": [5, 5, 5]}


def tiny(**changes) -> MotionTokenizer:
    torch.manual_seed(0)
    settings = dict(width=16, depth=2, dilation_growth=2, quantizer=FSQ125)
    return MotionTokenizer(MotionTokenizerConfig(**{**settings, **changes})).eval()


WALKS = torch.stack([CODEC.encode(synthesize("walk", seed=s, seconds=2))[:50] for s in range(3)])


def walks() -> torch.Tensor:
    return WALKS.clone()


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


def test_fast_loss_counts_errors_of_joints_that_move_and_by_their_speed():
    """An error of 1 cm at the wrist of an arm that stands still costs nothing, of one that swings at 3 m/s three times
    as much as in the loss on joints."""
    joints = torch.zeros(1, 40, 22, 3)
    wrist = CODEC.skeleton.index("left_wrist")
    joints[0, 20:, wrist, 0] = torch.arange(1, 21) * 3.0 / CODEC.fps
    mask = torch.ones(1, 40, dtype=torch.bool)
    speeds = _limb_speeds(joints, mask, CODEC.fps)
    assert speeds[0, 16:, wrist].allclose(torch.tensor(3.0)) and float(speeds[0, :16].max()) == 0
    assert float(speeds[..., :wrist].max()) == 0
    mask[0, 10:] = False  # what comes after the end of a row has no speed
    assert float(_limb_speeds(joints, mask, CODEC.fps)[0, :10].max()) == 0
    target = walks()
    shaken = target.clone()
    shaken[..., CODEC.layout["positions"]] += 0.01
    losses = reconstruction_losses(shaken, target, torch.ones(3, 50, dtype=torch.bool), torch.ones(272), CODEC)
    assert 0.2 * losses["joints"] < losses["fast"] < 4 * losses["joints"]


def test_contact_loss_sees_feet_that_slide_and_no_others():
    """Still feet pushed along one of three axes at 0.6 m/s count with a third of that; moving feet do not count."""
    still = torch.zeros(1, 30, 272)
    still[..., [2, 6]] = 1  # heading unchanged
    still[..., 140:].view(1, 30, 22, 6)[..., [0, 4]] = 1  # rest pose
    rest = synthesize("walk", seed=0, seconds=2).skeleton.forward_kinematics(
        torch.eye(3).expand(1, 22, 3, 3), torch.zeros(1, 3)
    )[0][0]
    still[..., CODEC.layout["positions"]] = rest.flatten()
    mask, scale = torch.ones(1, 30, dtype=torch.bool), torch.ones(272)
    pushed = still.clone()
    pushed[..., 1] = 0.6 / CODEC.fps  # root velocity along z, m/frame

    def contact(predicted: torch.Tensor, target: torch.Tensor) -> float:
        return float(reconstruction_losses(predicted, target, mask, scale, CODEC, ("contact",))["contact"])

    assert contact(pushed, still) == pytest.approx(0.6 / 3, rel=1e-3)
    assert contact(still, pushed) == 0  # the target's feet move: nothing stands


def test_statistics_are_part_of_the_model():
    tokenizer = tiny()
    stats = feature_stats(list(walks()), CODEC.layout)
    before = tokenizer.decode(torch.zeros(1, 4, dtype=torch.long))
    tokenizer.set_statistics(stats)
    after = tokenizer.decode(torch.zeros(1, 4, dtype=torch.long))
    assert torch.allclose(after, before * stats.std + stats.mean, atol=1e-5)


@pytest.mark.parametrize(
    "quantizer",
    [
        {**FSQ125, "normalize": True},
        {"type": "residual_fsq", "levels": [5, 5], "stages": 2},
        {"type": "vq", "size": 16, "codebook_dim": 4},
        {"type": "lfq", "size": 16},
    ],
    ids=lambda options: options["type"],
)
def test_save_and_load_keep_every_number(tmp_path, quantizer):
    tokenizer = tiny(quantizer=quantizer, refiner_width=8, normalize_bands=True)
    tokenizer.set_statistics(feature_stats(list(walks()), CODEC.layout))
    tokenizer.band_std.copy_(tokenizer.measure_bands(walks()).flatten())
    tokenizer.train()(walks())  # moves codebooks and averages
    tokenizer.eval().save_pretrained(tmp_path)
    loaded = MotionTokenizer.from_pretrained(tmp_path).eval()
    codes = tokenizer.encode(walks())
    assert torch.equal(loaded.encode(walks()), codes)
    assert torch.equal(loaded.decode(codes), tokenizer.decode(codes))
    assert loaded.config.to_dict() == MotionTokenizer.from_pretrained(tmp_path).config.to_dict()


def test_continuous_latents_go_out_and_back():
    tokenizer = tiny(quantizer={"type": "none", "channels": 8})
    assert tokenizer.config.codebook_size == 0
    lengths = torch.tensor([50, 31, 7])
    latents = tokenizer.encode_latents(walks(), lengths)
    assert latents.shape == (3, 13, 8) and latents[2, 2:].abs().sum() == 0
    assert torch.allclose(latents[1:2, :8], tokenizer.encode_latents(walks()[1:2, :31]), atol=1e-5)
    decoded = tokenizer.decode_latents(latents, tokenizer.code_lengths(lengths))
    assert torch.allclose(decoded[:, :50], tokenizer(walks(), lengths).reconstruction, atol=1e-4)
    assert tokenizer(walks()).perplexity is None


def test_quantized_channels_decode_like_their_codes():
    tokenizer = tiny()
    latents = tokenizer.encode_latents(walks())
    assert torch.allclose(tokenizer.decode_latents(latents), tokenizer.decode(tokenizer.encode(walks())), atol=1e-5)


def test_bands_are_measured_and_normalised():
    tokenizer = tiny(wavelet_levels=2, strides=[1], normalize_bands=True)
    tokenizer.set_statistics(feature_stats(list(walks()), CODEC.layout))
    clips = list(walks()[:, :48])
    measured = tokenizer.measure_bands(clips)
    assert measured.shape == (4, 272)
    assert (measured[0, 8:74] > 3 * measured[1:, 8:74]).all()  # walking is slow: the low band holds most
    x = tokenizer.wavelet(((torch.stack(clips) - tokenizer.mean) / tokenizer.std).transpose(1, 2))
    energy = x.square().mean((0, 2)).unflatten(0, (4, 272))
    assert torch.allclose(measured[0, 140:].square(), energy[0, 140:].mean(), rtol=1e-4)
    plain = tokenizer.encode(walks())
    tokenizer.band_std.copy_(measured.flatten())
    assert not torch.equal(tokenizer.encode(walks()), plain)
    with torch.no_grad():  # the decoder's output in standard deviations: half the scale, half the way from the mean
        codes = tokenizer.encode(walks())
        full = tokenizer.decode(codes) - tokenizer.mean
        tokenizer.band_std.mul_(0.5)
        assert torch.allclose(tokenizer.decode(codes) - tokenizer.mean, 0.5 * full, atol=1e-5)


def test_the_bands_loss_sees_high_bands_in_their_own_scale():
    tokenizer = tiny(losses={"bands": 1.0})
    tokenizer.set_statistics(feature_stats(list(walks()), CODEC.layout))
    tokenizer.band_std.copy_(tokenizer.measure_bands(walks()).flatten())
    lengths = torch.tensor([50, 31, 7])
    slow, fast = walks(), walks()
    slow[..., 8:74] += 0.01
    fast[:, ::2, 8:74] += 0.01
    fast[:, 1::2, 8:74] -= 0.01
    losses = [float(tokenizer._band_loss(x, walks(), lengths)) for x in (walks(), slow, fast)]
    assert losses[0] == 0 and losses[2] > 3 * losses[1]
    padded = walks()
    padded[1, 31:] += 9
    assert float(tokenizer._band_loss(padded, walks(), lengths)) == 0


def test_nan_in_features_is_named_and_nan_in_padding_is_not():
    features = walks()
    features[1, 40:] = torch.nan
    with pytest.raises(ValueError, match="NaN or infinity in row 1, frame 40"):
        tiny().encode(features)
    tiny().encode(features, torch.tensor([50, 40, 50]))


def test_lengths_need_not_fit_the_hop():
    tokenizer = tiny(wavelet_levels=2, strides=[2])
    for frames in (1, 2, 7, 9):
        codes = tokenizer.encode(walks()[:, :frames])
        assert codes.shape[1] == -(-frames // 8)
        assert tokenizer(walks()[:, :frames]).reconstruction.shape == (3, frames, 272)


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
        (lambda: tiny(strides=[0]), "strides must be a whole number of at least 1"),
        (lambda: tiny(strides=[True]), "strides must be a whole number"),
        (lambda: tiny(strides=2), "strides must be a list"),
        (lambda: tiny(wavelet_levels=1.5), "wavelet levels must be a whole number in 0..10"),
        (lambda: tiny(wavelet_levels=40), "wavelet levels must be a whole number in 0..10"),
        (lambda: tiny(wavelet_levels=10, strides=[2]), "at most 1024 frames per code, got 2048"),
        (lambda: tiny(wavelet="haar", wavelet_levels=0), "wavelet_levels must be at least 1 with wavelet .haar"),
        (lambda: tiny(width="abc"), "width must be a whole number of at least 1, got 'abc'"),
        (lambda: tiny(causal="yes"), "causal must be true or false"),
        (lambda: tiny(losses={}), "losses must name at least one"),
        (lambda: tiny(losses={"features": 0}), "losses must name at least one"),
        (lambda: tiny(losses={"features": -1}), "losses.features must be a number that is not negative"),
        (lambda: tiny(quantizer="fsq"), "quantizer must be a mapping"),
        (lambda: tiny(quantizer={"type": ["fsq"]}), "quantizer type must be one of"),
        (lambda: tiny().encode(torch.full((1, 8, 272), 3e38)), "must be in the range of motion in metres"),
        (lambda: tiny()(torch.full((1, 8, 272), torch.nan)), "features must be finite"),
        (lambda: tiny().encode(walks(), torch.tensor([50])), "lengths must be a tensor of 3 whole numbers"),
        (lambda: tiny().encode(walks(), [50, 50, 50]), "lengths must be a tensor of 3 whole numbers"),
        (lambda: tiny().encode(walks(), torch.ones(3)), "lengths must be a tensor of 3 whole numbers"),
        (lambda: tiny().decode(torch.zeros(2, 3).long(), torch.tensor([1])), "lengths must be a tensor of 2"),
        (lambda: tiny().decode(torch.zeros(1, 3)), "codes must be whole numbers"),
        (lambda: tiny().decode_latents(torch.full((1, 2, 3), torch.nan)), "latents must be finite"),
        (lambda: tiny(wavelet="none", wavelet_levels=1), "wavelet_levels must be 0"),
        (lambda: tiny(wavelet="nosuch"), "wavelet name must be"),
        (lambda: tiny(width=0), "width must be a whole number of at least 1"),
        (lambda: tiny(refiner_width=-1), "refiner_width must be a whole number of at least 0"),
        (lambda: tiny(dropout=1.0), "dropout must be below 1"),
        (lambda: tiny(losses={"colour": 1.0}), "losses must be among"),
        (lambda: tiny(features="rot1"), "features must be one of"),
        (lambda: tiny(wavelet="none", wavelet_levels=0, normalize_bands=True), "must have wavelet bands"),
        (lambda: tiny(wavelet="none", wavelet_levels=0, losses={"bands": 1.0}), "must have wavelet bands"),
        (lambda: tiny(quantizer={"type": "none"}).encode(walks()), "use encode_latents"),
        (lambda: tiny(quantizer={"type": "none"}).decode(torch.zeros(1, 2).long()), "use decode_latents"),
        (lambda: tiny().decode_latents(torch.zeros(1, 2, 4)), "latents must have shape"),
        (lambda: tiny(quantizer={"type": "xyz"}), "quantizer type must be one of"),
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


def test_the_refiner_begins_by_changing_nothing():
    tokenizer = tiny(refiner_width=8).eval()
    x = torch.randn(1, 20, tokenizer.representation.dim)
    assert torch.equal(tokenizer.refiner(x), x)
