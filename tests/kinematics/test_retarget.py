"""Retargeting from rigs whose bones lie, and are turned, in any way: always the motion of the plain rig."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from motionmillion.kinematics.retarget import Retargeting, on_smpl22, retarget, sample
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22, Skeleton


def _load_rigs():
    spec = importlib.util.spec_from_file_location("rigs", Path(__file__).parents[2] / "recipes/files/rigs.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["rigs"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


rigs = _load_rigs()
Rig, INDEX, SIDES = rigs.Rig, rigs.INDEX, rigs.SIDES
SPINE = ("spine1", "spine2", "spine3")


def read(rig, walk: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return retarget(INDEX, SMPL22.parents, rig.rest(), *rig.posed(*walk))


@pytest.fixture
def walk() -> tuple[np.ndarray, np.ndarray]:
    return rigs.walk(30)


def degrees_apart(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The largest angle of each joint `[22]` over a clip."""
    cosine = (np.einsum("tjab,tjab->tj", first, second) - 1.0) / 2.0
    return np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0))).max(0)


def assert_same_motion(rig, walk: tuple[np.ndarray, np.ndarray], degrees: float = 5.0) -> None:
    local, root = read(Rig(), walk)
    again, again_root = read(rig, walk)
    apart = degrees_apart(local, again)
    for name, joint in INDEX.items():
        limit = 2 * degrees if "collar" in name or name == "neck" else degrees
        assert apart[joint] < limit, f"{name} differs by {apart[joint]:.1f} degrees"
    points, points_again = (
        SMPL22.forward_kinematics(torch.from_numpy(a), torch.from_numpy(b))[0]
        for a, b in ((local, root), (again, again_root))
    )
    assert (points - points_again).norm(dim=-1).max() < 0.0085  # a hundredth of the leg


@pytest.mark.parametrize("direction", [[1.0, 0, 0], [-1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0, -1.0, 0]])
@pytest.mark.parametrize("twists", [None, 0, 1])
def test_bones_along_one_direction(walk, direction: list[float], twists: int | None):
    """As in LAFAN1 and Rokoko's exports; with twists also where a joint's frame is turned about its bone."""
    twist = None if twists is None else np.random.default_rng(twists).uniform(-np.pi, np.pi, 22)
    rig = Rig().along(direction, twist)
    for name in ("head", "left_wrist", "right_wrist", "left_foot", "right_foot"):
        # without a bone of their own they turn with the bone above
        rig.frames[INDEX[name]] = rig.frames[SMPL22.parents[INDEX[name]]]
    assert_same_motion(rig, walk)


@pytest.mark.parametrize("names", [SPINE[:1], SPINE[:2], ("neck",), ("neck", "head"), ("left_collar", "right_collar")])
@pytest.mark.parametrize("angle", [90.0, 180.0, -90.0, 60.0])
def test_joints_turned_about_their_own_bone(walk, names: tuple[str, ...], angle: float):
    """The rest pose is human, and each such joint is turned by a quarter turn through the whole clip."""
    assert_same_motion(Rig().turned_about_its_bone(names, angle), walk, 6.0)


@pytest.mark.parametrize("angle", [90.0, 180.0])
def test_spine_and_chest_turned_against_the_pelvis(walk, angle: float):
    assert_same_motion(Rig().along([1.0, 0, 0]).turned_about_its_bone(SPINE, angle), walk)


def test_a_trunk_bent_in_the_rest_pose(walk):
    """Hips along x and the spine too, so that the rest pose has no frame of the trunk (Rokoko)."""
    rig = Rig().along([1.0, 0, 0])
    rig.frames[0] = np.eye(3)
    assert_same_motion(rig, walk)


def test_the_neck_never_flips(walk):
    """A head straight above the neck, or a little forward: neck and head change as little as the rig does."""
    before = None
    for forward in np.linspace(-2.0, 6.0, 17):
        offsets = rigs.plain_offsets()
        offsets[INDEX["head"], 2] = forward
        local, _ = read(Rig(offsets), walk)
        if before is not None:
            assert degrees_apart(before, local).max() < 4.0
        before = local


def test_joints_at_one_point_share_their_turn(walk):
    """The root stands still; three joints at its place carry the turn of pelvis and spine."""
    local, root = walk
    plain = read(Rig(), walk)[0]
    # positions and rotations of the plain rig with three more joints, of which hips and spine hang
    positions, turned = Rig().posed(local, root)
    names = ["left_hip", "right_hip", "spine1"]
    extra = [22, 23, 24]
    parents = [*SMPL22.parents, 0, 0, 0]
    for joint, name in zip(extra, names, strict=True):
        parents[INDEX[name]] = joint
    rest = np.concatenate([Rig().rest(), np.zeros((3, 3))])
    positions = np.concatenate([positions, positions[:, [0, 0, 0]]], axis=1)
    turned = np.concatenate([turned, turned[:, [0, 0, 0]]], axis=1)
    turned[:, 0] = np.eye(3)
    again, _ = retarget(INDEX, parents, rest, positions, turned)
    assert degrees_apart(plain, again).max() < 1e-3


def test_hips_at_one_point(walk):
    """Left and right are those of the shoulders."""
    rig = Rig()
    for side, _ in SIDES:
        rig.offsets[INDEX[f"{side}_hip"]] = (0, -5, 0)
    local, _ = read(rig, walk)
    assert degrees_apart(local, read(Rig(), walk)[0])[0] < 10.0


def test_left_and_right_that_nothing_tells_apart(walk):
    rig = Rig()
    rig.offsets[:, 0] = 0.0
    with pytest.raises(ValueError, match=r"rest must tell left from right"):
        read(rig, walk)


def test_legs_without_a_length(walk):
    with pytest.raises(ValueError, match=r"rest must have legs with a length, got 0.0"):
        read(Rig(np.zeros((22, 3))), walk)


def test_feet_of_length_zero_are_no_toes(walk):
    """The soles are where those of the same motion with toes are."""
    rig = Rig()
    for side, _ in SIDES:
        rig.offsets[INDEX[f"{side}_foot"]] = 0.0
    lowest = [
        SMPL22.forward_kinematics(torch.from_numpy(local), torch.from_numpy(root))[0][..., 1].min()
        for local, root in (read(Rig(), walk), read(rig, walk))
    ]
    assert abs(lowest[0] - lowest[1]) < 0.02


def test_pieces_of_a_clip_equal_the_whole(walk):
    rig = Rig().along([1.0, 0, 0])
    positions, turned = rig.posed(*walk)
    retargeting = Retargeting(INDEX, SMPL22.parents, rig.rest(), positions, turned)
    local, root = retargeting(positions, turned)
    pieces = [retargeting(positions[part], turned[part]) for part in (slice(0, 17), slice(17, 30))]
    np.testing.assert_allclose(np.concatenate([piece[0] for piece in pieces]), local, atol=1e-9)
    np.testing.assert_allclose(np.concatenate([piece[1] for piece in pieces]), root, atol=1e-9)


def test_a_sample_holds_the_ends_and_is_bounded():
    assert sample(3).tolist() == [0, 1, 2]
    assert len(sample(100_000)) == 4096 and sample(100_000)[[0, -1]].tolist() == [0, 99_999]


def test_skeletons_of_motions(walk):
    names = tuple({"pelvis": "hips", "head": "head"}.get(name, name) for name in SMPL22.names)
    skeleton = Skeleton(
        names, SMPL22.parents, tuple(tuple(float(v) for v in row / 100) for row in rigs.plain_offsets())
    )
    local, root = walk
    motion = Motion(torch.from_numpy(local), torch.from_numpy(root / 100), skeleton=skeleton)
    again = on_smpl22(motion)
    assert again.skeleton is SMPL22
    assert degrees_apart(again.rotations.double().numpy(), read(Rig(), walk)[0]).max() < 0.1


def test_a_body_of_smpl_s_own_lengths_in_another_rest_pose(walk):
    """Its rest pose tells no more of twists than that of any other rig: legs and trunk as on SMPL's T-pose."""
    plain = Rig(np.array(SMPL22.offsets) * 100)
    expected, _ = read(plain, walk)
    for rig in (plain.along([1.0, 0, 0]), plain.along([0, 0, -1.0], np.random.default_rng(1).uniform(-3, 3, 22))):
        apart = degrees_apart(expected, read(rig, walk)[0])
        for name in (
            "pelvis",
            "left_hip",
            "right_hip",
            "left_knee",
            "right_knee",
            "spine1",
            "spine2",
            "spine3",
            "neck",
        ):
            assert apart[INDEX[name]] < 8.0, f"{name} differs by {apart[INDEX[name]]:.1f} degrees"
