"""Joint positions -> Motion: joints come back, rotations are those of a body, every check fires."""

import math

import pytest
import roma
import torch
from torch import Tensor

from motionmillion.data import synthesize
from motionmillion.kinematics.joints import (
    joints_y_up,
    motion_from_joints,
    rotation_between,
    rotations_from_joints,
    skeleton_from_joints,
)
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22, Skeleton

ACTIONS = ("walk", "squat", "jump", "wave", "turn")


def another_body() -> Skeleton:
    """SMPL22 with each bone longer or shorter, hips wider and the neck bent forward, still of one rest pose."""
    generator = torch.Generator().manual_seed(5)
    offsets = torch.tensor(SMPL22.offsets)
    offsets = offsets * (0.8 + 0.5 * torch.rand(22, 1, generator=generator))
    offsets[[1, 2, 12]] += torch.tensor([[0.03, 0.0, 0.01], [-0.03, 0.0, 0.01], [0.0, 0.0, 0.05]])
    return Skeleton(SMPL22.names, SMPL22.parents, tuple(tuple(row) for row in offsets.tolist()))


@pytest.mark.parametrize("action", ACTIONS)
def test_joints_of_a_rigid_body_come_back(action: str):
    positions = synthesize(action, seed=2, seconds=3).positions()
    array = positions.double().numpy()
    assert torch.equal(motion_from_joints(array, fps=30).rotations, motion_from_joints(positions, fps=30).rotations)
    motion = motion_from_joints(positions, fps=30)
    assert motion.fps == 30 and motion.num_frames == len(positions)
    assert (motion.positions() - positions).norm(dim=-1).max() < 1e-5


def test_random_rotations_and_another_body(turning_motion: Motion):
    positions = turning_motion.replace(skeleton=another_body()).positions()
    motion = motion_from_joints(positions, fps=30)
    assert (motion.positions() - positions).norm(dim=-1).max() < 1e-4
    lengths = torch.tensor(motion.skeleton.offsets).norm(dim=-1)
    assert torch.allclose(lengths[1:], torch.tensor(another_body().offsets).norm(dim=-1)[1:], atol=1e-4)


def test_bones_that_are_not_rigid_come_back_within_a_centimetre():
    positions = synthesize("walk", seed=1, seconds=4).positions()
    noisy = positions + 0.003 * torch.randn(positions.shape, generator=torch.Generator().manual_seed(0))
    error = (motion_from_joints(noisy, fps=30).positions() - noisy).norm(dim=-1)
    assert 0.001 < error.mean() < 0.01


@pytest.mark.parametrize("action", ACTIONS)
def test_rotations_are_near_the_true_ones_and_as_steady(action: str):
    truth = synthesize(action, seed=3, seconds=4)
    found = motion_from_joints(truth.positions(), fps=30)
    angle = roma.rotmat_geodesic_distance(found.rotations.double(), truth.rotations.double()).rad2deg().mean(0)
    trunk, limbs = [0, 3, 6, 9], [1, 2, 4, 5, 16, 17, 18, 19]
    assert angle[trunk].max() < 6 and angle[limbs].mean() < 20

    def step(motion: Motion) -> float:
        rotations = motion.rotations.double()
        return float(roma.rotmat_geodesic_distance(rotations[1:], rotations[:-1]).rad2deg().amax())

    assert step(found) < 1.5 * step(truth) + 3


@pytest.mark.parametrize(
    ("joint", "hinge", "axis"), [("left_hip", "left_knee", 0), ("right_shoulder", "right_elbow", 1)]
)
def test_the_twist_of_a_limb_is_read_off_the_bent_hinge(joint: str, hinge: str, axis: int):
    bend = torch.zeros(3)
    bend[axis] = 1.2
    twist = torch.tensor(SMPL22.offsets[SMPL22.index(hinge)])
    twist = 0.6 * twist / twist.norm()
    rotations = torch.eye(3).repeat(1, 22, 1, 1)
    rotations[:, SMPL22.index(joint)] = roma.rotvec_to_rotmat(twist)
    rotations[:, SMPL22.index(hinge)] = roma.rotvec_to_rotmat(bend)
    found = rotations_from_joints(Motion(rotations, torch.zeros(1, 3)).positions())
    angle = roma.rotmat_geodesic_distance(found.double(), rotations.double())[0].rad2deg()
    assert angle[SMPL22.index(joint)] < 6 and angle[SMPL22.index(hinge)] < 6


def test_the_rest_pose_is_no_rotation():
    rest = Motion(torch.eye(3).repeat(2, 22, 1, 1), torch.zeros(2, 3)).positions()
    assert torch.allclose(rotations_from_joints(rest), torch.eye(3).expand(2, 22, 3, 3), atol=2e-3)
    assert torch.allclose(torch.tensor(skeleton_from_joints(rest).offsets), torch.tensor(SMPL22.offsets), atol=1e-6)


def test_a_batch_is_its_frames_and_differentiable():
    positions = synthesize("jump", seed=0, seconds=2).positions()[:40].reshape(2, 20, 22, 3).requires_grad_()
    found = rotations_from_joints(positions)
    assert torch.allclose(found[1, 3], rotations_from_joints(positions[1, 3]), atol=1e-6)
    found.sum().backward()
    assert positions.grad is not None and bool(torch.isfinite(positions.grad).all())


def test_collapsed_bones_give_rotations_without_nan():
    positions = synthesize("walk", seed=0, seconds=2).positions()
    positions[3, [4, 7, 10]] = positions[3, 1].clone()
    positions[5] = positions[5, :1].clone()
    motion = motion_from_joints(positions, fps=30)
    assert bool(torch.isfinite(motion.rotations).all())


def test_z_up_is_turned_upright():
    positions = synthesize("walk", seed=0, seconds=2).positions()
    x, y, z = positions.unbind(-1)
    lying = torch.stack([x, -z, y], dim=-1)  # AMASS' world
    assert torch.allclose(joints_y_up(lying, "z"), positions)
    assert torch.allclose(motion_from_joints(lying, 30, up="z").positions(), positions, atol=1e-5)


def naive_between(start: Tensor, stop: Tensor) -> Tensor:
    axis = torch.linalg.cross(start, stop)
    angle = math.atan2(float(axis.norm()), float(start @ stop))
    return roma.rotvec_to_rotmat(axis / axis.norm() * angle)


def test_rotation_between():
    vectors = torch.nn.functional.normalize(
        torch.randn(40, 3, generator=torch.Generator().manual_seed(1)).double(), dim=-1
    )
    start, stop = vectors[:20], vectors[20:]
    found = rotation_between(start, stop)
    for a, b, rotation in zip(start, stop, found, strict=True):
        assert torch.allclose(rotation, naive_between(a, b), atol=1e-9)
    opposite = rotation_between(start, -start)
    assert torch.allclose((opposite @ start[..., None])[..., 0], -start, atol=1e-9)
    assert torch.allclose(torch.linalg.det(opposite), torch.ones(20).double())
    still = rotation_between(start, torch.zeros_like(start))
    assert torch.allclose(still, torch.eye(3).double().expand(20, 3, 3), atol=1e-9)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda p: p.numpy().astype(str), {}, r"positions must be numbers of shape \[T, 22, 3\], got an array of"),
        (lambda p: p[:, :21], {}, r"positions must have shape \[T, 22, 3\], got \(60, 21, 3\)"),
        (lambda p: p[:0], {}, r"got \(0, 22, 3\)"),
        (lambda p: p * 100, {}, "positions must be metres .* got legs 7.* scale them to metres"),
        (lambda p: p * 0, {}, "positions must be metres"),
        (lambda p: p.index_fill(0, torch.tensor(4), torch.nan), {}, "finite, got NaN or infinity in frame 4"),
        (lambda p: p, {"up": "x"}, 'up must be "y" or "z", got \'x\''),
        (lambda p: p, {"fps": 0}, "fps must be in"),
    ],
)
def test_bad_positions_are_named(change, options: dict, message: str):
    positions = synthesize("walk", seed=0, seconds=2).positions()
    with pytest.raises(ValueError, match=message):
        motion_from_joints(change(positions), **{"fps": 30, **options})
