"""Contacts of feet: found where feet stand, not where they swing, with hysteresis and a shortest duration."""

import numpy as np
import pytest
import roma
import torch

from motionmillion.data import synthesize
from motionmillion.kinematics.contacts import FEET, find_contacts, floor_level, runs
from motionmillion.kinematics.faults import find_faults
from motionmillion.kinematics.repair import RepairOptions, repair_faults

FPS = 30.0


def standing(frames: int = 60) -> np.ndarray:
    """A person who stands still, `[T, 22, 3]`."""
    joints = np.zeros((frames, 22, 3))
    joints[..., 1] = 1.0
    joints[:, FEET[:, 0], 1], joints[:, FEET[:, 1], 1] = 0.07, 0.02
    return joints


def moved(joints: np.ndarray, speed: float, start: int, stop: int, height: float = 0.0) -> np.ndarray:
    """The left foot moves along z between two frames, lifted by `height`."""
    joints = joints.copy()
    way = np.clip(np.arange(len(joints)) - start, 0, stop - start) * speed / FPS
    joints[:, FEET[0], 2] += way[:, None]
    joints[start:stop, FEET[0], 1] += height
    return joints


def test_standing_feet_touch_the_floor_in_all_frames():
    assert find_contacts(standing(), FPS).all()


def test_a_swinging_foot_is_free_and_the_other_one_stays():
    contacts = find_contacts(moved(standing(), 3.0, 20, 40, 0.1), FPS)
    assert not contacts[22:38, 0].any() and contacts[:, 1].all()
    assert contacts[:18, 0].all() and contacts[42:, 0].all()


def test_a_fast_foot_on_the_floor_is_no_contact_and_a_slow_one_stays_one():
    assert not find_contacts(moved(standing(), 2.0, 20, 40), FPS)[22:38, 0].any()
    # faster than a contact begins, slower than it ends
    assert find_contacts(moved(standing(), 0.65, 20, 40), FPS).all()
    assert not find_contacts(moved(standing(), 0.65, 0, 60), FPS)[:, 0].any()


def test_the_state_before_the_first_frame_counts():
    sliding = moved(standing(), 0.65, 0, 60)
    assert find_contacts(sliding, FPS, before=np.ones((2, 2), bool)).all()


def test_single_frames_neither_make_nor_break_contacts():
    joints = standing()
    joints[30, FEET[0], 1] += 0.2
    assert find_contacts(joints, FPS)[:, 0].all()
    flying = standing()
    flying[:, FEET[0], 1] += 0.3
    flying[30, FEET[0], 1] -= 0.3
    assert not find_contacts(flying, FPS)[:, 0].any()


def test_the_height_of_the_floor_does_not_matter():
    joints = moved(standing(), 3.0, 20, 40, 0.1)
    high = joints + np.array([0.0, 5.0, 0.0])
    assert floor_level(high, FPS) == pytest.approx(floor_level(joints, FPS) + 5.0)
    assert (find_contacts(high, FPS) == find_contacts(joints, FPS)).all()
    assert not find_contacts(high, FPS, floor=0.0).any()


def test_nothing_is_below_the_floor_of_a_body_that_lies():
    """Legs that swing below the rest of a lying body most of the time do not penetrate a floor above them."""
    walk = synthesize("walk", seed=0, seconds=4)
    turn = roma.rotvec_to_rotmat(torch.tensor([-np.pi / 2, 0.0, 0.0])).float()
    rotations = walk.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    lying = walk.replace(rotations=rotations, translation=walk.translation @ turn.mT)
    lowest = lying.positions()[..., 1].min()
    assert 0.0 <= floor_level(lying.positions().double().numpy(), lying.fps) - float(lowest) < 0.02
    assert find_faults(lying).penetration < 0.01
    assert "penetration 0.0 -> 0.0 mm" in repair_faults(lying, lying.repaired(), RepairOptions(floor_height=-5.0))


@pytest.mark.parametrize("fps", [20.0, 30.0, 60.0, 120.0])
def test_a_walk_has_its_contacts_at_any_frame_rate(fps: float):
    walk = synthesize("walk", seed=0, seconds=4)
    contacts = find_contacts(walk.resample(fps).positions(), fps)[:, :, 1]
    assert 0.5 < contacts.mean() < 0.95 and contacts.any(1).mean() > 0.95
    assert abs(contacts.mean() - find_contacts(walk.positions(), walk.fps)[:, :, 1].mean()) < 0.06


def test_runs_are_spans_of_true_values():
    assert runs(np.array([True, False, True, True])) == [(0, 1), (2, 4)] and runs(np.zeros(3, bool)) == []


def test_one_frame_is_enough():
    assert find_contacts(standing(1), FPS).shape == (1, 2, 2)


@pytest.mark.parametrize(
    ("positions", "fps", "message"),
    [
        (np.zeros((4, 21, 3)), FPS, r"positions must have shape \[T, 22, 3\], got \(4, 21, 3\)"),
        (np.full((4, 22, 3), np.nan), FPS, "positions must be finite"),
        (np.zeros((4, 22, 3)), 0.0, "fps must be positive, got 0.0"),
    ],
)
def test_bad_input_is_refused(positions, fps, message):
    with pytest.raises(ValueError, match=message):
        find_contacts(positions, fps)
