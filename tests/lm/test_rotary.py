"""Rotary angles: exact in any dtype, and the roundings of published checkpoints on request."""

import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.lm.rotary import RotaryEmbedding


def config(head_dim: int = 64, **options) -> MotionLMConfig:
    shape = dict(hidden_size=2 * head_dim, num_attention_heads=2, num_hidden_layers=1, intermediate_size=8)
    return MotionLMConfig(codebook_size=10, text_dim=4, **shape, **options)


def test_tables_are_llama_s():
    positions = torch.arange(301)[None]
    theirs = LlamaRotaryEmbedding(config())(torch.zeros(1), positions)
    ours = RotaryEmbedding(config())(torch.zeros(1), positions)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(ours, theirs, strict=True))


def test_angles_stay_exact_in_a_model_of_another_dtype():
    lm = MotionLM(config()).to(torch.bfloat16)
    exact = RotaryEmbedding(config()).angles(torch.arange(300))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(lm.rotary_emb.angles(torch.arange(300)), exact)
    cos, _ = lm.rotary_emb(torch.zeros(1, dtype=torch.bfloat16), torch.arange(300)[None])
    assert torch.equal(cos[0, :, :32], exact.cos().bfloat16())


# mean and largest error in radians over 301 positions, and the share above 0.1: measured on the published code
@pytest.mark.parametrize(
    ("precision", "head_dim", "mean", "largest", "share"),
    [("bfloat16", 128, 0.035, 2.0, 0.086), ("autocast", 100, 0.027, 1.0, None), ("autocast", 128, None, 1.0, None)],
)
def test_roundings_are_those_of_published_training(precision, head_dim, mean, largest, share):
    positions = torch.arange(301)
    rounded = RotaryEmbedding(config(head_dim, rope_precision=precision)).angles(positions)
    error = (rounded - RotaryEmbedding(config(head_dim)).angles(positions)).abs()
    assert float(error.max()) == pytest.approx(largest, rel=0.02)
    if mean is not None:
        assert float(error.mean()) == pytest.approx(mean, rel=0.02)
    if share is not None:
        assert float((error > 0.1).float().mean()) == pytest.approx(share, abs=0.001)
    if precision == "autocast" and head_dim == 128:
        assert float(error[:257].max()) < 1e-4  # whole numbers up to 256 are exact in bfloat16


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="rope_precision must be one of"):
        config(rope_precision="float16")
    with pytest.raises(ValueError, match='rope_parameters must be of the rope_type "default"'):
        config(rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0})
