"""Reconstruction metrics against hand-computed cases and naive references."""

import numpy as np
import pytest
import torch

from motionmillion import features
from motionmillion.data import synthesize
from motionmillion.eval.physics import foot_sliding
from motionmillion.eval.reconstruction import (
    QUICK_MEASURES,
    acceleration_error,
    accelerations,
    compare_features,
    evaluate_tokenizer,
    excess_acceleration,
    excess_jerk,
    global_mpjpe,
    jerk,
    measure_clip,
    mpjpe,
    pa_mpjpe,
    reconstruct,
    rotation_error,
)
from motionmillion.motion import rotation_y
from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig


@pytest.fixture(scope="module")
def walk():
    return synthesize("walk", seed=0, seconds=3).positions()


def test_mpjpe_ignores_the_path_but_not_the_heading(walk):
    assert mpjpe(walk + torch.tensor([1.0, 2.0, 3.0]), walk) < 1e-6
    lifted = walk.clone()
    lifted[:, 5] += torch.tensor([0.0, 0.1, 0.0])
    assert mpjpe(lifted, walk) == pytest.approx(0.1 / 22, rel=1e-4)
    assert mpjpe(walk @ rotation_y(torch.tensor(0.5)), walk) > 0.05


def test_global_mpjpe_is_the_length_of_a_shift(walk):
    shift = torch.tensor([1.0, 2.0, 2.0])
    assert global_mpjpe(walk + shift, walk) == pytest.approx(3, rel=1e-5)
    assert mpjpe(walk + shift, walk) < 1e-6


def naive_pa(predicted: np.ndarray, target: np.ndarray) -> float:
    """Umeyama alignment, frame by frame."""
    errors = []
    for a, b in zip(predicted.astype(float), target.astype(float), strict=True):
        a0, b0 = a - a.mean(0), b - b.mean(0)
        u, s, vt = np.linalg.svd(a0.T @ b0)
        d = np.diag([1, 1, np.sign(np.linalg.det(vt.T @ u.T))])
        rotation = vt.T @ d @ u.T
        scale = np.trace(np.diag(s) @ d) / (a0**2).sum()
        errors.append(np.linalg.norm(scale * a0 @ rotation.T - b0, axis=1).mean())
    return float(np.mean(errors))


def test_pa_mpjpe_equals_a_naive_reference_and_forgives_similarity(walk):
    noisy = walk + 0.05 * torch.randn(walk.shape, generator=torch.Generator().manual_seed(0))
    assert pa_mpjpe(noisy, walk) == pytest.approx(naive_pa(noisy.numpy(), walk.numpy()), rel=1e-5)
    assert pa_mpjpe(1.3 * walk @ rotation_y(torch.tensor(1.0)) + 2, walk) < 1e-5


def test_accelerations_of_a_known_parabola():
    time = torch.arange(20.0)
    still = torch.zeros(20, 22, 3)
    moving = still.clone()
    moving[:, 3, 1] = 0.5 * 0.02 * time**2  # joint 3 accelerates by 0.02 m per frame squared
    assert acceleration_error(moving, still) == pytest.approx(0.02 / 22, rel=1e-4)
    assert excess_acceleration(moving, still) == pytest.approx(0.02 / 22, rel=1e-4)
    assert excess_acceleration(still, moving) == pytest.approx(-0.02 / 22, rel=1e-4)
    opposite = -moving
    assert excess_acceleration(opposite, moving) == pytest.approx(0, abs=1e-8)
    assert acceleration_error(opposite, moving) == pytest.approx(0.04 / 22, rel=1e-4)


def test_jerk_of_a_known_cubic():
    time = torch.arange(12, dtype=torch.float64)
    still = torch.zeros(12, 22, 3, dtype=torch.float64)
    moving = still.clone()
    moving[:, 4, 2] = 0.03 * time**3 / 6  # joint 4 has a jerk of 0.03 m per frame cubed
    shared = moving + (time**3)[:, None, None]  # the same about the pelvis
    assert jerk(moving) == pytest.approx(0.03 / 22) == jerk(shared)
    assert excess_jerk(moving, still) == pytest.approx(0.03 / 22) == -excess_jerk(still, moving)
    assert jerk(moving[:3]) == 0 == excess_jerk(moving[:2], still[:2])
    assert accelerations(moving).shape == (10, 22) and float(accelerations(moving[:2])) == 0


def test_rotation_error_is_the_angle_in_degrees():
    turns = rotation_y(torch.deg2rad(torch.tensor([10.0, -30.0])))
    assert rotation_error(turns, torch.eye(3).expand(2, 3, 3)) == pytest.approx(20, rel=1e-5)


def test_clip_measures_are_those_of_their_functions(tiny_tokenizer):
    codec = features.get("rot272")
    clip = codec.encode(synthesize("walk", seed=0, seconds=3))
    values, codes = measure_clip(tiny_tokenizer, clip)
    assert codes is not None and torch.equal(codes, tiny_tokenizer.encode(clip[None])[0])
    decoded = tiny_tokenizer.decode(codes[None])[0, : len(clip)]
    before, after = codec.positions(clip), codec.positions(decoded)
    moved = codec.decode(decoded).positions()
    expected = {
        "mpjpe_mm": mpjpe(after, before),
        "mpjpe_rotations_mm": mpjpe(moved, before),
        "global_mpjpe_mm": global_mpjpe(after, before),
        "global_mpjpe_rotations_mm": global_mpjpe(moved, before),
        "jerk_mm": jerk(before),
        "reconstructed_jerk_mm": jerk(after),
        "excess_jerk_mm": excess_jerk(after, before),
        "excess_acceleration_mm": excess_acceleration(after, before),
        "foot_sliding_mm": foot_sliding(before, fps=30),
        "reconstructed_foot_sliding_mm": foot_sliding(after, fps=30),
        "reconstructed_foot_sliding_rotations_mm": foot_sliding(moved, fps=30),
    }
    for name, value in expected.items():
        assert values[name] == pytest.approx(1000 * value, rel=1e-4, abs=1e-4), name


def test_a_perfect_reconstruction_has_no_error():
    codec = features.get("rot272")
    clip = codec.encode(synthesize("turn", seed=0, seconds=2))
    values = compare_features(codec, clip, clip)
    same = ("acceleration_mm", "jerk_mm", "foot_sliding_mm")  # magnitudes stay as they are
    assert all(values[name] == values[f"reconstructed_{name}"] for name in same)
    errors = [v for n, v in values.items() if n not in same and not n.startswith("reconstructed")]
    assert max(map(abs, errors)) < 0.01


def test_company_in_a_batch_changes_nothing(tiny_tokenizer):
    codec = features.get("rot272")
    continuous = MotionTokenizer(MotionTokenizerConfig(width=32, depth=1, quantizer={"type": "none", "channels": 4}))
    clips = [codec.encode(synthesize("jump", seed=s, seconds=2 + s)) for s in range(3)]
    clips.append(clips[0][:1])
    for tokenizer in (tiny_tokenizer, continuous.eval()):
        decoded, codes = reconstruct(tokenizer, clips)
        for clip, one, own in zip(clips, decoded, codes, strict=True):
            alone, own_alone = reconstruct(tokenizer, [clip])
            assert torch.allclose(one, alone[0], atol=1e-5) and one.shape == clip.shape
            same = own is own_alone[0] is None or torch.equal(own, own_alone[0])
            assert same and (own is None) == (tokenizer is continuous)


def test_a_tokenizer_without_codebook_has_no_code_usage():
    tokenizer = MotionTokenizer(MotionTokenizerConfig(width=32, depth=1, quantizer={"type": "none"})).eval()
    clip = features.get("rot272").encode(synthesize("wave", seed=0, seconds=2))
    assert set(evaluate_tokenizer(tokenizer, [clip])) == set(QUICK_MEASURES)


def test_tokenizer_report_weighs_frames_and_counts_codes(tiny_tokenizer):
    codec = features.get("rot272")
    clips = [codec.encode(synthesize("wave", seed=s, seconds=n)) for s, n in ((0, 2), (1, 4))]
    report = evaluate_tokenizer(tiny_tokenizer, clips)
    single = [evaluate_tokenizer(tiny_tokenizer, [clip]) for clip in clips]
    frames = [clip.shape[0] for clip in clips]
    for name in ("mpjpe_mm", "acceleration_error_mm", "rotation_degrees", "root_path_m"):
        expected = sum(r[name] * n for r, n in zip(single, frames, strict=True)) / sum(frames)
        assert report[name] == pytest.approx(expected, rel=1e-5)
    assert 0 < report["code_usage"] <= 1
    assert set(report) == {*QUICK_MEASURES, "code_usage", "code_perplexity"}


def test_different_shapes_are_refused(walk):
    for metric in (mpjpe, global_mpjpe, pa_mpjpe, acceleration_error, excess_acceleration, excess_jerk):
        with pytest.raises(ValueError, match="one shape"):
            metric(walk, walk[:-1])


def test_several_clips_count_like_one_long_clip(walk):
    clips = torch.stack([walk, walk.flip(0)])
    noisy = clips + 0.02 * torch.randn(clips.shape, generator=torch.Generator().manual_seed(0))
    for metric in (mpjpe, global_mpjpe, pa_mpjpe, acceleration_error, excess_acceleration, excess_jerk):
        single = [metric(a, b) for a, b in zip(noisy, clips, strict=True)]
        assert metric(noisy, clips) == pytest.approx(sum(single) / 2, rel=1e-4)


def test_motions_that_are_no_positions_are_refused(walk):
    broken = walk.clone()
    broken[2, 3, 1] = float("nan")
    for metric in (mpjpe, global_mpjpe, pa_mpjpe, acceleration_error, excess_acceleration, excess_jerk):
        with pytest.raises(ValueError, match="predicted must be finite, got NaN or infinity"):
            metric(broken, walk)
        with pytest.raises(ValueError, match="target must be finite"):
            metric(walk, broken)
        with pytest.raises(ValueError, match=r"predicted must have shape \[\.\.\., T, J, 3\]"):
            metric(walk[..., :2], walk[..., :2])
    for measure in (jerk, accelerations):
        with pytest.raises(ValueError, match="positions must be finite"):
            measure(broken)
        with pytest.raises(ValueError, match=r"positions must have shape \[\.\.\., T, J, 3\]"):
            measure(walk[:0])
    with pytest.raises(ValueError, match=r"target must have shape \[\.\.\., 3, 3\], got \(4, 3\)"):
        rotation_error(torch.eye(3).expand(4, 3, 3), torch.zeros(4, 3))
    with pytest.raises(ValueError, match="predicted must be finite"):
        rotation_error(torch.full((3, 3), float("inf")), torch.eye(3))
