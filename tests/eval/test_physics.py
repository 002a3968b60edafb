"""Physical measures: MBench's own values, naive references, and motions whose values are known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from motionmillion.data import synthesize
from motionmillion.eval import physics
from motionmillion.eval.physics import (
    dynamic_degree,
    foot_floating,
    foot_sliding,
    ground_penetration,
    jitter_degree,
)

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden" / "mbench_physics.safetensors"
MEASURES = (jitter_degree, dynamic_degree, ground_penetration, foot_sliding, foot_floating)


def standing(frames: int = 40) -> torch.Tensor:
    """A body that does not move, its toes on the floor."""
    body = synthesize("wave", seed=0, seconds=2).positions()[:1]
    body = body - torch.tensor([0.0, 1.0, 0.0]) * body[:, [10, 11], 1].max()
    return body.repeat(frames, 1, 1).double()


def rough(action: str, seed: int, lift: float = 0.0, noise: float = 0.0) -> torch.Tensor:
    """A synthetic motion at 20 frames per second, lifted off the floor and shaken."""
    positions = synthesize(action, seed=seed, seconds=4, fps=20).positions().double()
    shake = torch.randn(positions.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return positions + torch.tensor([0.0, lift, 0.0]) + noise * shake


@pytest.mark.skipif(not GOLDEN.exists(), reason="needs the golden arrays of the upstream projects")
@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.__name__)
def test_values_are_those_of_mbench(measure):
    golden = load_file(GOLDEN)
    for index, expected in enumerate(golden[measure.__name__].tolist()):
        positions = golden[f"positions_{index}"]
        assert measure(positions, up="z", fps=20) == pytest.approx(expected, abs=1e-5)
        assert measure(positions[..., [1, 2, 0]], up="y", fps=20) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("fps", [20, 30, 60, 120])
def test_a_body_that_is_pushed_slides_at_its_speed(fps):
    path = torch.linspace(0, 1, 4 * fps + 1, dtype=torch.float64)[:, None] * torch.tensor([1.2, 0.0, 1.6])  # 0.5 m/s
    pushed = standing(len(path)) + path[:, None]
    assert foot_sliding(pushed, fps=fps) == pytest.approx(0.5 / 20, rel=1e-5)
    assert dynamic_degree(pushed, fps=fps) == pytest.approx(0.5 / 20, rel=1e-5)
    assert jitter_degree(pushed, fps=fps) < 1e-9
    assert foot_sliding(standing(), fps=fps) == 0 == dynamic_degree(standing(), fps=fps)


def test_feet_slide_only_where_they_touch():
    path = torch.linspace(0, 1, 41)[:, None, None] * torch.tensor([2.0, 0.0, 0.0])
    flying = standing(41) + path + torch.tensor([0.0, 0.1, 0.0])
    assert foot_sliding(flying) == 0
    one_foot = flying.clone()
    one_foot[:, 10, 1] = 0.0
    assert foot_sliding(one_foot) == pytest.approx(0.05 / 2, rel=1e-5)


def test_depth_counts_from_five_millimetres():
    sunk = standing()
    sunk[:, [10, 11], 1] = -0.004
    assert ground_penetration(sunk) == 0
    sunk[3, 10, 1], sunk[4, 11, 1] = -0.01, -0.03
    assert ground_penetration(sunk) == pytest.approx(0.02)


def naive_floating(positions: torch.Tensor) -> tuple[int, float, int]:
    """The three counts of MBench's foot floating, y up, frame by frame."""
    from scipy.signal import find_peaks

    joints = positions.numpy()
    last = len(joints) - 1
    step = [joints[min(f, last - 1) + 1] - joints[min(f, last - 1)] for f in range(len(joints))]
    norm = np.linalg.norm
    touch = [[norm(step[f][j]) < 0.01 or joints[f, j, 1] < 0.02 for j in (10, 11)] for f in range(len(joints))]
    root = [norm(step[f][0]) for f in range(len(joints))]
    ratio = [[norm(step[f][j] - step[f][0]) / (root[f] + 1e-6) for j in (10, 11)] for f in range(len(joints))]
    first, second, third = 0, 0.0, 0
    for f in range(len(joints)):
        feet = [i for i in (0, 1) if touch[f][i]]
        odd = [not 0.6 <= ratio[f][i] <= 1.75 and norm(step[f][10 + i]) > 1.2e-4 for i in feet]
        first += bool(feet) and all(odd) and root[f] >= 1e-3

    def runs(flags):
        found, run = [], []
        for f, flag in enumerate([*flags, False]):
            if flag:
                run.append(f)
            elif run:
                found, run = [*found, run], []
        return [run for run in found if len(run) >= 4]

    for i in (0, 1):
        for run in runs([not pair[i] for pair in touch]):
            if np.mean([root[f] < 1e-3 for f in run]) <= 0.5:
                second += sum(ratio[f][i] < 0.4 for f in run) / 2
    for run in runs([not any(pair) for pair in touch]):
        way = [joints[f, 10] - joints[run[0], 10] for f in run[1:]]
        unit = [w / (norm(w) + 1e-6) for w in way]
        angles = [np.arccos(np.clip(u @ unit[-1], -1, 1)) for u in unit]
        third += len(run) * (len(find_peaks(angles)[0]) > 2)
    return first, second, third


def test_floating_equals_a_naive_reference_in_all_three_counts():
    pytest.importorskip("scipy", reason='needs pip install "motionmillion[eval]"')
    motions = [
        rough(action, seed, lift, noise)
        for seed, (lift, noise) in enumerate([(0, 0), (0, 0.01), (0.05, 0), (0.3, 0.01), (0.04, 0.004)])
        for action in ("walk", "jump", "turn")
    ]
    counts = [naive_floating(motion) for motion in motions]
    assert all(sum(count) > 0 for count in zip(*counts, strict=True))
    for motion, parts in zip(motions, counts, strict=True):
        assert foot_floating(motion) == pytest.approx(sum(parts) / len(motion), abs=1e-12)


@pytest.mark.parametrize("action", ["jump", "turn", "squat"])
def test_another_frame_rate_gives_nearly_the_same(action):
    reference = synthesize(action, seed=0, seconds=4, fps=240).positions()[::12]
    faster = synthesize(action, seed=0, seconds=4, fps=30).positions()
    for measure, tolerance in ((jitter_degree, 0.02), (dynamic_degree, 0.01)):
        assert measure(faster, fps=30) == pytest.approx(measure(reference), rel=tolerance)
    assert foot_floating(faster, fps=30) == pytest.approx(foot_floating(reference), abs=0.1)


def test_resampling_follows_a_parabola_and_keeps_every_second_frame():
    time = torch.arange(13, dtype=torch.float64)
    curve = (time**2)[:, None, None].repeat(1, 22, 3)
    half = physics._resample(curve, 30)[:, 0, 0]
    assert torch.allclose(half[1:-1], (1.5 * torch.arange(9, dtype=torch.float64)[1:-1]) ** 2)
    assert torch.equal(physics._resample(curve, 40), curve[::2])


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.__name__)
def test_short_clips_have_values_and_wrong_arguments_are_refused(measure):
    for frames in (1, 2, 3):
        assert measure(standing(frames), fps=30) == 0
    with pytest.raises(ValueError, match=r"\[T, 22, 3\]"):
        measure(torch.zeros(2, 24, 3))
    with pytest.raises(ValueError, match=r"\[T, 22, 3\]"):
        measure(torch.zeros(0, 22, 3))
    with pytest.raises(ValueError, match='"y" or "z"'):
        measure(standing(), up="x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fps must be"):
        measure(standing(), fps=0)
