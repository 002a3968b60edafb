"""Skeleton and Motion: kinematics, resampling, mirroring, canonical form, and every check."""

import pytest
import roma
import torch

from motionmillion import SMPL22, Motion, Skeleton
from motionmillion.motion import heading, rotation_y


def naive_positions(motion: Motion) -> torch.Tensor:
    """Forward kinematics frame by frame, joint by joint."""
    frames = []
    for rotations, root in zip(motion.rotations, motion.translation, strict=True):
        turned, placed = [], []
        for joint, parent in enumerate(SMPL22.parents):
            if parent < 0:
                turned.append(rotations[joint])
                placed.append(root)
            else:
                turned.append(turned[parent] @ rotations[joint])
                placed.append(placed[parent] + turned[parent] @ torch.tensor(SMPL22.offsets[joint]))
        frames.append(torch.stack(placed))
    return torch.stack(frames)


def test_forward_kinematics_equals_the_naive_loop_and_is_differentiable(turning_motion):
    motion = turning_motion.slice(0, 5)
    assert torch.allclose(motion.positions(), naive_positions(motion), atol=1e-5)
    rotations = motion.rotations.clone().requires_grad_()
    positions, _ = SMPL22.forward_kinematics(rotations[None], motion.translation[None])
    positions.sum().backward()
    assert positions.shape == (1, 5, 22, 3)
    assert rotations.grad is not None and rotations.grad.abs().sum() > 0


def test_rest_pose_is_a_standing_body():
    motion = Motion(torch.eye(3).expand(1, 22, 3, 3), torch.zeros(1, 3))
    positions = dict(zip(SMPL22.names, motion.positions()[0], strict=True))
    assert positions["head"][1] > 0.5
    assert positions["left_foot"][1] < -0.8
    assert positions["left_wrist"][0] > 0.5 > -0.5 > positions["right_wrist"][0]
    assert positions["left_foot"][2] > positions["left_ankle"][2]  # toes point forward


def test_resample_follows_the_arc_not_the_chord():
    angles = torch.tensor([0.0, 2.0])
    rotations = torch.eye(3).repeat(2, 22, 1, 1)
    rotations[:, 0] = rotation_y(angles)
    motion = Motion(rotations, torch.tensor([[0.0, 0, 0], [1.0, 0, 0]]), fps=1)
    finer = motion.resample(4)
    assert finer.num_frames == 5 and finer.fps == 4
    assert torch.allclose(heading(finer.rotations[:, 0]), torch.linspace(0, 2, 5), atol=1e-5)
    assert torch.allclose(finer.translation[:, 0], torch.linspace(0, 1, 5), atol=1e-6)


def test_resampling_there_and_back_keeps_the_motion(turning_motion):
    back = turning_motion.resample(120).resample(30)
    assert back.num_frames == turning_motion.num_frames
    assert torch.allclose(back.positions(), turning_motion.positions(), atol=1e-4)


def test_mirror_reflects_every_joint_onto_its_counterpart(turning_motion):
    mirrored = turning_motion.mirror()
    reflected = turning_motion.positions()[:, list(SMPL22.mirror_order)] * torch.tensor([-1.0, 1.0, 1.0])
    assert torch.allclose(mirrored.positions(), reflected, atol=1e-5)
    assert torch.allclose(mirrored.mirror().rotations, turning_motion.rotations, atol=1e-6)


def test_canonical_motion_stands_on_the_floor_at_the_origin_facing_z(turning_motion):
    canonical = turning_motion.canonicalize()
    assert canonical.positions()[..., 1].min().abs() < 1e-5
    assert torch.allclose(canonical.translation[0, [0, 2]], torch.zeros(2), atol=1e-6)
    assert heading(canonical.rotations[:1, 0]).abs() < 1e-5
    turned = Motion(
        torch.cat(
            [rotation_y(torch.tensor(0.7)) @ turning_motion.rotations[:, :1], turning_motion.rotations[:, 1:]], 1
        ),
        turning_motion.translation @ rotation_y(torch.tensor(0.7)).mT + 4,
    )
    assert torch.allclose(turned.canonicalize().positions(), canonical.positions(), atol=1e-4)


def test_slice_and_lengths(turning_motion):
    part = turning_motion.slice(10, -10)
    assert part.num_frames == 280 and part.seconds == pytest.approx(280 / 30)
    assert torch.equal(part.rotations[0], turning_motion.rotations[10])


EYE, ZERO = torch.eye(3).expand(2, 22, 3, 3), torch.zeros(2, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Motion(torch.eye(3).expand(2, 21, 3, 3), ZERO), "rotations must have shape"),
        (lambda: Motion(EYE[:0], ZERO[:0]), "at least one frame"),
        (lambda: Motion(EYE, torch.zeros(3, 3)), "translation must have shape"),
        (lambda: Motion(EYE, torch.tensor([[0.0, 0, 0], [0, torch.nan, 0]])), "translation must be finite.*frame 1"),
        (lambda: Motion(EYE * torch.inf, ZERO), "rotations must be finite"),
        (
            lambda: Motion(EYE, torch.tensor([[0.0, 0, 0], [2e6, 0, 0]])),
            "must stay within.*frame 1; check",
        ),
        (lambda: Motion(torch.full((2, 22, 3, 3), 1e30), ZERO), "rotations must be rotation matrices"),
        (lambda: Motion(EYE * 2, ZERO), "rotations must be rotation matrices"),
        (lambda: Motion(EYE * torch.tensor([-1.0, 1, 1]), ZERO), "rotations must be rotation matrices"),
        (lambda: Motion(EYE, ZERO, fps=0), "fps must be in 0.1 to 1000"),
        (lambda: Motion(EYE, ZERO, fps=1e-6), "fps must be in 0.1 to 1000"),
        (lambda: Motion(EYE, ZERO).resample(1e12), "fps must be in 0.1 to 1000"),
        (lambda: Motion(EYE, ZERO).slice(2, 2), "at least one frame"),
        (lambda: Skeleton(("a",), (-1, 0), ((0.0, 0.0, 0.0),)), "one entry per joint"),
        (lambda: Skeleton(("a",), (0,), ((0.0, 0.0, 0.0),)), "begin with -1"),
        (lambda: Skeleton(("a", "b"), (-1, 1), ((0.0, 0.0, 0.0),) * 2), "earlier joint"),
        (lambda: Skeleton(("left_a",), (-1,), ((0.0, 0.0, 0.0),)), "mirror image"),
        (lambda: SMPL22.index("tail"), "joint of the skeleton"),
        (lambda: SMPL22.forward_kinematics(torch.eye(3).expand(2, 3, 3), ZERO), "rotations must have shape"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_mirror_is_a_rigid_reflection_of_rotations(turning_motion):
    assert torch.allclose(
        roma.rotmat_geodesic_distance(turning_motion.rotations[:-1, 0], turning_motion.rotations[1:, 0]),
        roma.rotmat_geodesic_distance(
            turning_motion.mirror().rotations[:-1, 0], turning_motion.mirror().rotations[1:, 0]
        ),
        atol=1e-4,
    )


def test_pieces_are_joined_unchanged(turning_motion):
    pieces = [turning_motion.slice(0, 7), turning_motion.slice(7, 40), turning_motion.slice(40, 300)]
    whole = Motion.join(piece for piece in pieces)
    assert torch.equal(whole.rotations, turning_motion.rotations)
    assert torch.equal(whole.translation, turning_motion.translation) and whole.fps == turning_motion.fps
    with pytest.raises(ValueError, match="pieces must hold at least one motion"):
        Motion.join([])
    with pytest.raises(ValueError, match="pieces must have one frame rate and skeleton, got 20 and 30"):
        Motion.join([pieces[0], pieces[1].resample(20)])
