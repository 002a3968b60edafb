"""Physical measures: MBench's own values, naive references, and motions whose values are known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from motionmillion.data import synthesize
from motionmillion.eval import padded_clips
from motionmillion.eval.physics import (
    PHYSICS,
    dynamic_degree,
    foot_contact,
    foot_floating,
    foot_sliding,
    ground_penetration,
    jitter_degree,
    physics_measures,
)

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden" / "mbench_physics.safetensors"
MBENCH = (jitter_degree, dynamic_degree, ground_penetration, foot_sliding, foot_floating)
MEASURES = (*MBENCH, foot_contact)


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
@pytest.mark.parametrize("measure", MBENCH, ids=lambda measure: measure.__name__)
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


def test_contact_counts_feet():
    flying = standing() + torch.tensor([0.0, 0.1, 0.0]) + 0.02 * torch.arange(40.0)[:, None, None]  # 2 cm a frame
    assert foot_contact(standing()) == 1 and foot_contact(flying) == 0
    flying[10:20, 11, 1] = 0.01  # one foot for a quarter of the time
    assert foot_contact(flying) == pytest.approx(1 / 8)


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
    curves = torch.nn.functional.pad((time**2)[:, None, None].repeat(1, 22, 3), (0, 0, 0, 0, 0, 4)).repeat(4, 1, 1, 1)
    rates = torch.tensor([30.0, 40.0, 20.0, 20.0], dtype=torch.float64)
    resampled, frames = padded_clips.resample(curves, torch.tensor([13, 13, 13, 1]), rates)
    assert frames.tolist() == [9, 7, 13, 1] and resampled.shape[1] == 13
    expected = (1.5 * torch.arange(9, dtype=torch.float64)[1:-1]) ** 2
    assert torch.allclose(resampled[0, 1:8], expected[:, None, None].expand(7, 22, 3))
    assert torch.equal(resampled[1, :7], curves[1, 0:13:2]) and torch.equal(resampled[2], curves[2, :13])
    assert not resampled[0, 9:].any() and not resampled[3, 1:].any()  # nothing behind the end


def company(count: int) -> tuple[list[torch.Tensor], list[float]]:
    """Clips of random lengths, one frame included, and rates: walking, shaken, lifted, wandering."""
    generator = torch.Generator().manual_seed(0)
    clips, rates = [], []
    for seed in range(count):
        draw = torch.rand(4, generator=generator).tolist()
        fps = (20, 30, 29.97, 120, 12.5)[int(5 * draw[0])]
        motion = synthesize(("walk", "jump", "turn")[seed % 3], seed=seed, seconds=2 + draw[1], fps=fps)
        clip = motion.positions().double() + torch.tensor([0.0, (0, -0.03, 0.05, 0.3)[int(4 * draw[2])], 0.0])
        clip = clip + 0.01 * (seed % 2) * torch.randn(clip.shape, generator=generator, dtype=torch.float64)
        if seed % 4 == 0:
            clip = clip + 0.03 * torch.randn(len(clip), 1, 3, generator=generator).cumsum(0)
        clips.append(clip[: (1, 2, 3, 5)[seed // 5] if seed % 5 == 0 else len(clip)])
        rates.append(fps)
    return clips, rates


@pytest.mark.parametrize("frames_at_once", [2**14, 300, 1])
def test_many_clips_at_once_have_the_values_of_each_alone(monkeypatch, frames_at_once):
    monkeypatch.setattr(padded_clips, "_FRAMES_AT_ONCE", frames_at_once)
    clips, rates = company(20)
    together = physics_measures(clips, fps=rates)
    assert tuple(together) == PHYSICS and {*PHYSICS} == {"jerk", *(measure.__name__ for measure in MEASURES)}
    singly = [float(physics_measures([clip], fps=fps)["jerk"]) for clip, fps in zip(clips, rates, strict=True)]
    assert together["jerk"].tolist() == pytest.approx(singly, abs=1e-12) and max(singly) > 0
    for measure in MEASURES:
        alone = [measure(clip, fps=fps) for clip, fps in zip(clips, rates, strict=True)]
        assert together[measure.__name__].tolist() == pytest.approx(alone, abs=1e-12), measure.__name__
        assert sum(value > 0 for value in alone) > 3
    some = physics_measures([clip[..., [2, 0, 1]] for clip in clips[7:3:-1]], up="z", fps=rates[7:3:-1])
    for name, values in some.items():
        assert values.tolist() == pytest.approx(together[name][4:8].flip(0).tolist(), abs=1e-12)
    assert physics_measures(clips[1:2])["foot_contact"].item() == foot_contact(clips[1], fps=30)


def test_a_batch_names_the_clip_that_is_wrong():
    clips = [standing(30), standing(10), standing(20)]
    clips[1][4, 3, 0] = float("nan")
    with pytest.raises(ValueError, match=r"^clips\[1\] must be finite, got NaN or infinity in frame 4; "):
        physics_measures(clips)
    with pytest.raises(ValueError, match=r"^walk.npz must be finite"):
        physics_measures(clips, names=["jump.npz", "walk.npz", "turn.npz"])
    with pytest.raises(ValueError, match=r"^clips\[2\] must have shape \[T, 22, 3\]"):
        physics_measures([clips[0], clips[2], torch.zeros(4, 24, 3)])
    with pytest.raises(ValueError, match=r"^fps of clips\[1\] must be a positive number, got -1"):
        physics_measures([clips[0], clips[2]], fps=[20, -1])
    with pytest.raises(ValueError, match="fps must have one entry per clip, got 1 for 2 clips"):
        physics_measures([clips[0], clips[2]], fps=[20])
    with pytest.raises(ValueError, match="names must have one entry per clip, got 0 for 1 clips"):
        physics_measures(clips[:1], names=[])
    with pytest.raises(ValueError, match="clips must hold the positions of at least one motion"):
        physics_measures([])


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.__name__)
def test_short_clips_have_values_and_wrong_arguments_are_refused(measure):
    for frames in (1, 2, 3):
        assert measure(standing(frames), fps=30) == (measure is foot_contact)
    with pytest.raises(ValueError, match="^positions must be finite, got NaN or infinity in frame 0"):
        measure(torch.full((3, 22, 3), float("nan")))
    with pytest.raises(ValueError, match=r"\[T, 22, 3\]"):
        measure(torch.zeros(2, 24, 3))
    with pytest.raises(ValueError, match=r"\[T, 22, 3\]"):
        measure(torch.zeros(0, 22, 3))
    with pytest.raises(ValueError, match='"y" or "z"'):
        measure(standing(), up="x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fps must be"):
        measure(standing(), fps=0)
    with pytest.raises(ValueError, match="fps must be a positive number, got None"):
        measure(standing(), fps=None)  # type: ignore[arg-type]
