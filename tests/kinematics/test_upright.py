"""The vertical axis of clips: walking, standing, lying, push-ups, getting up, in all axes and units."""

import math

import numpy as np
import pytest
import torch

from motionmillion.data.synthetic import synthesize
from motionmillion.kinematics.upright import UP_TURNS, Up, find_up, upright_fraction
from motionmillion.skeleton import SMPL22

AXES = list(UP_TURNS)


def turned(positions: np.ndarray, axis: str) -> np.ndarray:
    """Positions with y up in the axes of a file whose vertical axis is `axis`."""
    return positions @ UP_TURNS[axis]


def yaw(positions: np.ndarray, degrees: float) -> np.ndarray:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return positions @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T


@pytest.fixture(scope="module")
def walk() -> np.ndarray:
    return synthesize("walk", seed=0, seconds=4).positions().double().numpy()


def lying(frames: int = 60, height: float = 0.1) -> np.ndarray:
    """A person who sleeps on the back, the head along +z, breathing and moving the arms a little."""
    rotations = torch.eye(3).repeat(frames, 22, 1, 1)
    swing = 0.3 * np.sin(np.linspace(0, 6, frames))
    for joint, sign in ((16, -1), (17, 1)):
        for frame, angle in enumerate(swing):
            c, s = math.cos(1.2 * sign + angle), math.sin(1.2 * sign + angle)
            rotations[frame, joint] = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    translation = torch.tensor([0.0, 0.0, 0.0]).repeat(frames, 1)
    upright = SMPL22.forward_kinematics(rotations, translation)[0].double().numpy()
    x, y, z = np.moveaxis(upright, -1, 0)
    flat = np.stack([-x, z, y], axis=-1)  # face up, the head along +z
    return flat + [0, height - flat[..., 1].min(), 0]


def push_ups(frames: int = 60) -> np.ndarray:
    """Straight body, toes and hands on the floor, the arms straight down; the trunk rises and sinks."""
    flat = lying(frames, 0.0) * [-1, -1, 1]  # face down
    for frame in range(frames):
        feet = flat[frame, [10, 11]].mean(0)
        tilt = math.radians(15 + 8 * math.sin(frame / 4))
        c, s = math.cos(tilt), math.sin(tilt)
        body = (flat[frame] - feet) @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]]).T
        for shoulder, elbow, wrist in ((16, 18, 20), (17, 19, 21)):
            body[elbow] = body[shoulder] * [1, 0.5, 1]
            body[wrist] = body[shoulder] * [1, 0, 1]
        flat[frame] = body + [0, 0.03, feet[2]]
    return flat


def test_turns_are_rotations_that_lift_the_axis():
    for axis, turn in UP_TURNS.items():
        assert np.allclose(turn @ turn.T, np.eye(3)) and np.linalg.det(turn) == pytest.approx(1)
        up = np.eye(3)["xyz".index(axis[-1])] * (-1 if axis[0] == "-" else 1)
        assert np.allclose(turn @ up, [0, 1, 0])


@pytest.mark.parametrize("expected", AXES)
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("degrees", [0, 90, 200])
def test_a_walk_stands_about_its_own_axis(walk: np.ndarray, axis: str, expected: str, degrees: float):
    clip = turned(yaw(walk, degrees), axis)
    assert find_up(clip, expected) == Up(axis)
    assert find_up(clip * 39.37, expected) == Up(axis)  # the unit does not matter
    assert upright_fraction(clip, axis) == 1.0


@pytest.mark.parametrize("degrees", [0, 37, 90, 180, 270])
@pytest.mark.parametrize("clip", [lying(), push_ups()], ids=["sleeping", "push-ups"])
def test_who_lies_stays_lying(clip: np.ndarray, degrees: float):
    for axis in ("y", "z"):
        found = find_up(turned(yaw(clip, degrees), axis), axis)
        assert found.axis == axis
        # near an axis of the file, the other reading is named
        assert bool(found.alternative) == (degrees not in (90, 270))


def test_getting_up_is_read_as_expected(walk: np.ndarray):
    standing = walk[:1] - walk[:1, :1] * [1, 0, 1]
    clip = np.concatenate([lying(80), standing.repeat(30, axis=0)])
    assert find_up(clip, "y") == Up("y")
    assert find_up(turned(clip, "z"), "z") == Up("z")


def test_a_handstand_is_not_turned_over():
    upside_down = SMPL22.forward_kinematics(torch.eye(3).repeat(20, 22, 1, 1), torch.zeros(20, 3))[0].numpy()
    upside_down[:, [20, 21]] = upside_down[:, [16, 17]] + [0, 0.55, 0]
    upside_down[:, [18, 19]] = upside_down[:, [16, 17]] + [0, 0.28, 0]
    assert find_up(upside_down * [-1, -1, 1], "y") == Up("y", "-y")


def test_standing_still_is_certain_only_by_the_floor():
    standing = SMPL22.forward_kinematics(torch.eye(3).repeat(20, 22, 1, 1), torch.tensor([[0, 0.95, 0.0]] * 20))[0]
    standing = standing.double().numpy()
    assert find_up(standing, "z") == Up("z", "y")
    assert find_up(standing + [0, 0, 2.0], "z") == Up("y")  # lying in the air, or standing on a floor at 0


@pytest.mark.parametrize(
    ("positions", "expected", "message"),
    [
        (np.zeros((5, 21, 3)), "y", r"positions must have shape \[T, 22, 3\], got \(5, 21, 3\)"),
        (np.zeros((0, 22, 3)), "y", r"got \(0, 22, 3\)"),
        (np.zeros((5, 22, 3)), "x", "expected must be one of"),
    ],
)
def test_wrong_arguments(positions: np.ndarray, expected: str, message: str):
    with pytest.raises(ValueError, match=message):
        find_up(positions, expected)


def test_a_body_without_size_keeps_the_axis():
    assert find_up(np.zeros((5, 22, 3)), "z") == Up("z")
