"""Reconstruction metrics against hand-computed cases and naive references."""

import numpy as np
import pytest
import torch

from motionmillion import features
from motionmillion.data import synthesize
from motionmillion.eval.reconstruction import (
    acceleration_error,
    evaluate_tokenizer,
    excess_acceleration,
    mpjpe,
    pa_mpjpe,
)
from motionmillion.motion import rotation_y


@pytest.fixture(scope="module")
def walk():
    return synthesize("walk", seed=0, seconds=3).positions()


def test_mpjpe_ignores_the_path_but_not_the_heading(walk):
    assert mpjpe(walk + torch.tensor([1.0, 2.0, 3.0]), walk) < 1e-6
    lifted = walk.clone()
    lifted[:, 5] += torch.tensor([0.0, 0.1, 0.0])
    assert mpjpe(lifted, walk) == pytest.approx(0.1 / 22, rel=1e-4)
    assert mpjpe(walk @ rotation_y(torch.tensor(0.5)), walk) > 0.05


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


def test_different_shapes_are_refused(walk):
    for metric in (mpjpe, pa_mpjpe, acceleration_error, excess_acceleration):
        with pytest.raises(ValueError, match="one shape"):
            metric(walk, walk[:-1])
