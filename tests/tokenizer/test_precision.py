"""The tokenizer in half precision: exact statistics, every way through it, and the codes of float32."""

import copy

import pytest
import torch

from motionmillion.data import synthesize
from motionmillion.features import get
from motionmillion.features.stats import FeatureStats
from motionmillion.pipeline.folder import find_pipeline
from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig
from motionmillion.tokenizer.losses import LOSSES

HALVES = [torch.bfloat16, torch.float16]
QUANTIZERS = [
    {"type": "fsq", "levels": [5, 5, 5], "normalize": True},
    {"type": "residual_fsq", "levels": [7, 5], "stages": 2},
    {"type": "vq", "size": 16, "codebook_dim": 4},
    {"type": "lfq", "size": 16},
    {"type": "none", "channels": 4},
]


WALKS = torch.stack([get("rot272").encode(synthesize("walk", seed=s, seconds=2))[:50] for s in range(3)])


def trained(**changes) -> MotionTokenizer:
    """A tokenizer whose statistics, averages and codebook no half precision can hold."""
    torch.manual_seed(0)
    settings = dict(width=16, depth=2, refiner_width=8, normalize_bands=True, losses=dict.fromkeys(LOSSES, 1.0))
    tokenizer = MotionTokenizer(MotionTokenizerConfig(**{**settings, **changes}))
    features = WALKS.clone()
    tokenizer.set_statistics(FeatureStats(features.mean((0, 1)) + 1e-4, features.std((0, 1)) + 0.0123))
    tokenizer.band_std.copy_(tokenizer.measure_bands(features).flatten())
    tokenizer.train()(features)
    return tokenizer.eval()


@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=lambda options: options["type"])
def test_statistics_stay_exact_cast_or_loaded(tmp_path, quantizer):
    tokenizer, dtype = trained(quantizer=quantizer), torch.bfloat16
    tokenizer.save_pretrained(tmp_path)
    exact = dict(tokenizer.named_buffers())
    for half in (copy.deepcopy(tokenizer).to(dtype), MotionTokenizer.from_pretrained(tmp_path, dtype=dtype)):
        assert {parameter.dtype for parameter in half.parameters()} == {dtype}
        found = dict(half.named_buffers())
        assert {"mean", "std", "band_std"} <= set(found) == set(exact)
        for name, value in exact.items():
            assert found[name].dtype == value.dtype and torch.equal(found[name], value), name
        assert half.double().mean.dtype == torch.float64  # more bits are no loss


@pytest.mark.parametrize(
    ("quantizer", "causal", "dtype"),
    [(options, causal, dtype) for options in QUANTIZERS for causal, dtype in ((False, HALVES[0]), (True, HALVES[1]))],
    ids=lambda value: value.get("type") if isinstance(value, dict) else str(value),
)
def test_every_way_through_it(quantizer, causal, dtype):
    whole = trained(quantizer=quantizer, causal=causal)
    half, features, lengths = copy.deepcopy(whole).to(dtype), WALKS.clone(), torch.tensor([50, 31, 7])
    continuous = quantizer["type"] == "none"
    encode, decode = (half.encode_latents, half.decode_latents) if continuous else (half.encode, half.decode)
    codes = encode(features, lengths)
    decoded = decode(codes, half.code_lengths(lengths))
    assert decoded.dtype == torch.float32 and decoded.shape == (3, 52, 272)
    expected = (whole.decode_latents if continuous else whole.decode)(codes, half.code_lengths(lengths))
    assert (decoded - expected).abs().mean() < 0.02 * (expected - whole.mean).abs().mean()
    pieces = torch.cat(list(half.decode_stream(codes.split(3, dim=1))), dim=1)
    assert torch.allclose(pieces, decode(codes), atol=1e-5)
    output = half.train()(features, lengths)
    output.loss.backward()
    assert output.reconstruction.dtype == torch.float32 and output.loss.isfinite()
    for name, parameter in half.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all()), name


@pytest.mark.parametrize(("dtype", "share"), [(torch.bfloat16, 0.95), (torch.float16, 0.99)], ids=str)
def test_codes_and_motion_are_nearly_those_of_float32(dtype, share):
    folder = find_pipeline("mini") / "tokenizer"
    whole, half = MotionTokenizer.from_pretrained(folder), MotionTokenizer.from_pretrained(folder, dtype=dtype)
    clips = [whole.representation.encode(synthesize(action, seed=0, seconds=6)) for action in ("walk", "wave", "jump")]
    codes = [whole.eval().encode(clip[None])[0] for clip in clips]
    theirs = [half.eval().encode(clip[None])[0] for clip in clips]
    assert (torch.cat(theirs) == torch.cat(codes)).float().mean() > share
    for one in codes:
        error = (half.decode(one[None]) - whole.decode(one[None])) / whole.std
        assert error.abs().mean() < 0.01
        assert error.diff(n=2, dim=1).abs().mean() < 0.01  # no jitter of rounding
