"""Clips that begin and end with a landing; contacts as intervals; motions in place."""

import pytest
import torch

from motionmillion.data import synthesize
from motionmillion.kinematics.roots import headings, in_place, mean_speed, smooth_path
from motionmillion.kinematics.trimming import foot_contacts
from motionmillion.motion import Motion, heading, rotation_y


@pytest.fixture(scope="module")
def walk() -> Motion:
    return synthesize("walk", seed=1, seconds=4)


@pytest.mark.parametrize("foot", ["left", "right"])
def test_a_clip_of_whole_strides(walk: Motion, foot):
    landings = [start for start, _ in foot_contacts(walk)[foot] if start]
    trimmed = walk.trim(foot)
    assert len(landings) >= 2 and trimmed.num_frames == landings[-1] - landings[0]
    assert torch.equal(trimmed.translation[0], walk.translation[landings[0]])


def test_either_foot(walk: Motion):
    both = sorted(start for own in foot_contacts(walk).values() for start, _ in own if start)
    assert walk.trim().num_frames == both[-1] - both[0]


def test_clips_without_contacts(walk: Motion):
    # a body that flies along
    flying = walk.slice(0, 60)
    rise = torch.linspace(0, 30, 60)[:, None] * torch.tensor([1.0, 1.0, 0.0])
    flying = flying.replace(translation=flying.translation + rise)
    with pytest.raises(ValueError, match="motion must touch the floor with a foot to be trimmed to its contacts, got"):
        flying.trim()
    with pytest.raises(ValueError, match="motion must land with the left foot twice to be trimmed, got 0 landings"):
        synthesize("wave", seed=0, seconds=3).trim("left")
    with pytest.raises(ValueError, match='foot must be "left", "right" or "any", got \'both\''):
        walk.trim("both")  # type: ignore[arg-type]


def test_in_place(walk: Motion):
    turning = synthesize("turn", seed=1, seconds=3)
    for motion in (walk, turning):
        still = motion.in_place()
        assert torch.equal(still.rotations, motion.rotations)
        assert torch.equal(still.translation[:, 1], motion.translation[:, 1])
        assert not still.translation[:, [0, 2]].any()
    held = in_place(turning, heading=True)
    assert headings(held.rotations[:, 0]).abs().max() < 1e-5
    assert heading(turning.rotations[:, 0]).abs().max() > 0.7


def test_headings_are_continuous():
    yaw = torch.linspace(0.0, 20.0, 200, dtype=torch.float64)
    assert torch.allclose(headings(rotation_y(yaw)), yaw, atol=1e-9)
    # lying on the back, where the pelvis' own forward axis points up
    down = torch.tensor([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]], dtype=torch.float64)
    assert torch.allclose(headings(rotation_y(yaw) @ down), yaw, atol=1e-9)


def test_smooth_path_keeps_straight_lines_and_drops_sway():
    time = torch.arange(120, dtype=torch.float64) / 30
    line = torch.stack([0.2 * time, 0 * time, 1.3 * time], dim=1)
    assert torch.allclose(smooth_path(line, 30.0), line, atol=1e-9)
    sway = line + 0.03 * torch.sin(6.28 * time)[:, None] * torch.tensor([1.0, 0, 0])
    assert (smooth_path(sway, 30.0) - line)[20:-20].abs().max() < 0.011
    assert mean_speed(Motion(torch.eye(3).repeat(120, 22, 1, 1), line)) == pytest.approx(
        (0.04 + 1.69) ** 0.5, rel=1e-3
    )
