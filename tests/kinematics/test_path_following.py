"""Motions brought onto a path: the error in metres, the direction, feet that stay, and the choice among candidates."""

import math

import numpy as np
import pytest
import torch

from motionmillion.data import synthesize
from motionmillion.kinematics.contacts import find_contacts
from motionmillion.kinematics.faults import find_faults
from motionmillion.kinematics.floor_paths import FloorPath, path_error
from motionmillion.kinematics.path_following import covered, nearest, onto_path
from motionmillion.kinematics.roots import headings
from motionmillion.motion import Motion, rotation_y

PATHS = {
    "straight": [(0, 0), (0, 4)],
    "corner": [(1, 1), (1, 3), (3, 3)],
    "slalom": [(0, 0), (1, 1.5), (0, 3), (1, 4.5)],
    "timed": [(0, 0, 0), (2, 0, 2), (4, 1.5, 3)],
}


@pytest.fixture(scope="module")
def walk() -> Motion:
    return synthesize("walk", seed=1, seconds=4)


def slip(motion: Motion) -> float:
    """Mean speed along the floor of toes that touch it, metres per second."""
    toes = find_contacts(motion.positions(), motion.fps)[..., 1]
    feet = motion.positions()[:, [10, 11]][..., [0, 2]].diff(dim=0).norm(dim=-1) * motion.fps
    return float(feet[torch.from_numpy(toes[1:] & toes[:-1])].mean())


@pytest.mark.parametrize("name", PATHS)
def test_a_walk_is_on_the_path_and_feet_stay(walk: Motion, name: str):
    path = FloorPath.of(PATHS[name])
    moved = onto_path(walk, path)
    before, after = path_error(walk, path), path_error(moved, path)
    assert after.mean < 0.05 and after.largest < 0.15
    assert name == "straight" or after.mean < 0.2 * before.mean
    assert slip(moved) < slip(walk) + 0.06
    assert find_faults(moved).sliding < 0.6 * find_faults(walk).sliding
    assert moved.num_frames == walk.num_frames and moved.caption == walk.caption
    # the body faces the way it goes
    yaw = headings(moved.rotations[:, 0].double()).numpy()
    step = np.gradient(moved.translation.double().numpy()[:, [0, 2]], 6, axis=0)
    moving = np.linalg.norm(step, axis=-1) * 6 * moved.fps > 0.7
    apart = np.angle(np.exp(1j * (yaw - np.arctan2(step[:, 0], step[:, 1]))))[moving]
    assert np.abs(apart).mean() < 0.25


def test_backwards_stays_backwards(walk: Motion):
    """A person who walks backwards does so along the path."""
    reverse = Motion(walk.rotations.flip(0), walk.translation.flip(0), fps=walk.fps)
    moved = onto_path(reverse, FloorPath.of([(0, 0), (3, 0)]))
    yaw = float(headings(moved.rotations[:, 0].double())[60])
    assert math.cos(yaw - math.pi / 2) < -0.9 and float(moved.translation[-1, 0]) > 2.8


def test_the_nearest_candidate():
    walk = synthesize("walk", seed=1, seconds=4)
    own = covered(walk)
    short = walk.slice(0, 60)
    turn = rotation_y(torch.linspace(0, math.pi / 2, walk.num_frames))
    rotations = walk.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    steps = (turn[1:] @ walk.translation.diff(dim=0)[..., None])[..., 0]
    bent = walk.replace(
        rotations=rotations, translation=torch.cat([walk.translation[:1], walk.translation[0] + steps.cumsum(0)])
    )
    assert nearest([short, walk, bent], FloorPath.of([(0, 0), (0, own)])) == 1
    # anywhere, in any direction
    assert nearest([walk, bent], FloorPath.of([(3, 3), (3 + own, 3)])) == 0
    assert nearest([short, walk, bent], FloorPath.arc(own, 90)) == 2


def test_a_body_that_stands_is_moved_all_the_same():
    still = synthesize("wave", seed=0, seconds=3)
    path = FloorPath.of([(0, 0), (0, 1)])
    assert path_error(onto_path(still, path), path).mean < 0.05
