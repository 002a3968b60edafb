"""Cycles of a given speed, and the footprints of motions that are moved onto another path."""

import math

import pytest
import torch

from motionmillion.data import synthesize
from motionmillion.kinematics.contacts import find_contacts
from motionmillion.kinematics.cycles import cycle
from motionmillion.kinematics.loops import find_loop
from motionmillion.kinematics.roots import floor_path, mean_speed
from motionmillion.kinematics.warping import warped
from motionmillion.motion import Motion


def slip(motion: Motion) -> float:
    """Mean speed along the floor of toes that touch it, metres per second."""
    toes = find_contacts(motion.positions(), motion.fps)[..., 1]
    feet = motion.positions()[:, [10, 11]][..., [0, 2]].diff(dim=0).norm(dim=-1) * motion.fps
    return float(feet[torch.from_numpy(toes[1:] & toes[:-1])].mean())


@pytest.fixture(scope="module")
def walk() -> Motion:
    return synthesize("walk", seed=1, seconds=4)


@pytest.mark.parametrize("factor", [0.65, 0.9, 1.2, 1.55])
def test_a_cycle_has_the_speed_and_feet_stay(walk: Motion, factor: float):
    own = find_loop(walk)
    wanted = own.speed * factor
    made = cycle(walk, wanted)
    assert made.speed == pytest.approx(wanted, rel=1e-4)
    assert mean_speed(made.repeated(6)) == pytest.approx(wanted, rel=0.02)
    # both the steps' length and their pace change
    paces = own.seconds / made.seconds, math.hypot(*made.displacement) / math.hypot(*own.displacement)
    assert paces == pytest.approx([factor**0.5] * 2, rel=0.06)
    assert slip(made.repeated(3)) < slip(own.repeated(3)) + 0.03
    assert torch.equal(walk.cycle(wanted).translation, made.motion.translation)


def test_speeds_out_of_range(walk: Motion):
    with pytest.raises(
        ValueError, match=r"speed must be in 0\.\d\d to 2\.\d\d m/s for a motion of 1\.\d\d m/s, got 4"
    ):
        walk.cycle(4.0)
    with pytest.raises(ValueError, match="speed must be a positive number"):
        walk.cycle(0.0)
    with pytest.raises(ValueError, match="motion must move along the floor to be a cycle of 1 m/s, got 0.00 m/s"):
        synthesize("wave", seed=0, seconds=4).cycle(1.0)


def test_nothing_changes_on_the_own_path(walk: Motion):
    path = floor_path(walk)
    same = warped(walk, path, path, torch.zeros(walk.num_frames))
    assert float((same.positions() - walk.positions()).norm(dim=-1).mean()) < 0.005


def test_a_straight_walk_onto_a_circle(walk: Motion):
    """The pelvis is on the circle, the body faces along it, and feet stay where they touch the floor."""
    base = floor_path(walk)
    radius, along = 2.0, (base - base[0]).norm(dim=-1)
    angle = along / radius
    circle = radius * torch.stack([1 - angle.cos(), torch.zeros_like(angle), angle.sin()], dim=1)
    moved = warped(walk, base, circle, angle)
    assert torch.allclose(floor_path(moved), circle, atol=1e-4)
    assert slip(moved) < 0.05
    rigid = moved.replace(rotations=walk.rotations, translation=moved.translation)
    assert slip(rigid) > 3 * slip(moved)
