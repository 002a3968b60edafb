"""Encoding with feedback: less drift, never more error, the same for every batch."""

import pytest
import torch

from motionmillion import features as representations
from motionmillion.data import synthesize
from motionmillion.data.shards.encoding import encode_features
from motionmillion.pipeline.folder import find_tokenizer
from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig

CODEC = representations.get("rot272")


def bundled(corrections: int) -> MotionTokenizer:
    return MotionTokenizer.from_pretrained(find_tokenizer("mini"), root_corrections=corrections).eval()


def walks() -> list[torch.Tensor]:
    """Curved walks of four to nine seconds."""
    return [CODEC.encode(synthesize("walk", seed, seconds=4 + seed).canonicalize()) for seed in range(6)]


def global_error(tokenizer: MotionTokenizer, features: torch.Tensor) -> float:
    decoded = tokenizer.decode(tokenizer.encode(features[None]))[0, : len(features)]
    return float((CODEC.positions(decoded) - CODEC.positions(features)).norm(dim=-1).mean())


def test_corrections_reduce_the_drift_and_never_add_to_it():
    plain, corrected = bundled(0), bundled(2)
    errors = [(global_error(plain, clip), global_error(corrected, clip)) for clip in walks()]
    assert all(after <= before for before, after in errors)
    assert sum(after for _, after in errors) < 0.85 * sum(before for before, _ in errors)


def test_padded_rows_have_the_codes_that_they_have_alone():
    tokenizer, clips = bundled(2), walks()
    alone = [tokenizer.encode(clip[None])[0] for clip in clips]
    lengths = torch.tensor([len(clip) for clip in clips])
    codes = tokenizer.encode(torch.nn.utils.rnn.pad_sequence(clips, batch_first=True), lengths)
    for row, own, count in zip(codes, alone, tokenizer.code_lengths(lengths).tolist(), strict=True):
        assert (row[:count] != own).float().mean() < 0.05 and not row[count:].any()  # rounding decides close calls
    assert all(torch.equal(a, b) for a, b in zip(encode_features(tokenizer, clips), alone, strict=True))


def test_continuous_latents_are_corrected_too():
    torch.manual_seed(0)
    config = MotionTokenizerConfig(width=16, depth=1, latent_dim=8, quantizer={"type": "none"}, root_corrections=1)
    tokenizer, clip = MotionTokenizer(config).eval(), walks()[0]
    latents = tokenizer.encode_latents(clip[None])
    assert latents.shape[:2] == (1, -(-len(clip) // 4)) and latents.isfinite().all()


def test_a_way_is_replaced_and_the_pose_kept():
    clip, other = walks()[1], walks()[2]
    yaw, path = CODEC.root(other[: len(clip)])
    changed = CODEC.with_root(clip, yaw, path)
    found_yaw, found = CODEC.root(changed)
    assert torch.allclose(found_yaw, yaw, atol=1e-4) and torch.allclose(found[:, [0, 2]], path[:, [0, 2]], atol=1e-4)
    for name in ("positions", "velocities", "rotations"):
        assert torch.equal(changed[:, CODEC.layout[name]], clip[:, CODEC.layout[name]])
    assert torch.allclose(CODEC.with_root(clip, *CODEC.root(clip)), clip, atol=1e-5)


def test_features_whose_way_cannot_be_replaced_are_refused():
    with pytest.raises(ValueError, match="root_corrections must be 0 for the features 'hml263', got 2"):
        MotionTokenizerConfig(features="hml263", root_corrections=2)
    with pytest.raises(ValueError, match="root_corrections must be"):
        MotionTokenizerConfig(root_corrections=-1)
