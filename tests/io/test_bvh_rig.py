"""BVH in every unit, naming and rest pose is read back as the same motion, and is what it says it is."""

from pathlib import Path

import numpy as np
import pytest
import torch

from motionmillion.io.bvh import read_bvh, write_bvh
from motionmillion.io.bvh_file import BvhTree, parse_bvh
from motionmillion.io.bvh_rig import BvhRig
from motionmillion.kinematics.joint_names import map_joints
from motionmillion.kinematics.naming import NAMINGS
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22, Skeleton

METRES = {"m": 1.0, "cm": 0.01, "inch": 0.0254}


def tree_of(path: Path) -> BvhTree:
    return parse_bvh(path.read_text(), path.name)


@pytest.mark.parametrize("unit", METRES)
@pytest.mark.parametrize("names", NAMINGS)
@pytest.mark.parametrize("rest", ["T", "A"])
def test_every_variant_is_the_same_motion(motion: Motion, tmp_path: Path, unit: str, names: str, rest: str):
    path = write_bvh(motion, tmp_path / "wave.bvh", unit=unit, names=names, rest=rest)
    again = Motion.load(path)
    assert again.fps == motion.fps
    torch.testing.assert_close(again.positions(), motion.positions(), atol=2e-4, rtol=0)
    torch.testing.assert_close(again.rotations, motion.rotations, atol=1e-3, rtol=0)


@pytest.mark.parametrize("unit", METRES)
def test_joints_in_the_world(motion: Motion, tmp_path: Path, unit: str):
    """By the file's own forward kinematics, without our reader's retargeting."""
    tree = tree_of(write_bvh(motion, tmp_path / "wave.bvh", unit=unit, names="cmu", rest="A"))
    places = [tree.names.index(NAMINGS["cmu"][joint]) for joint in SMPL22.names]
    positions = tree.forward_kinematics()[0][:, places] * METRES[unit]
    np.testing.assert_allclose(positions, motion.positions().numpy(), atol=1e-4)


def test_arms_of_the_a_pose_hang_by_45_degrees(motion: Motion, tmp_path: Path):
    rest, angles = {}, {}
    for pose in ("T", "A"):
        tree = tree_of(write_bvh(motion, tmp_path / "wave.bvh", unit="m", rest=pose))
        rest[pose] = dict(zip(tree.names, tree.rest_positions(), strict=True))
    for side, sign in (("left", 1), ("right", -1)):
        for pose in ("T", "A"):
            arm = rest[pose][f"{side}_elbow"] - rest[pose][f"{side}_shoulder"]
            angles[pose] = np.rad2deg(np.arctan2(-arm[1], sign * arm[0]))
        assert angles["A"] - angles["T"] == pytest.approx(45.0, abs=1e-3)
    for joint in ("head", "left_foot", "left_shoulder"):
        np.testing.assert_allclose(rest["A"][joint], rest["T"][joint], atol=1e-6)


@pytest.mark.parametrize("rest", ["T", "A"])
def test_t_pose_first(motion: Motion, tmp_path: Path, rest: str):
    path = write_bvh(motion, tmp_path / "wave.bvh", unit="m", rest=rest, t_pose_first_frame=True)
    again = read_bvh(path)
    assert again.num_frames == 25
    torch.testing.assert_close(again.slice(1, 25).positions(), motion.positions(), atol=2e-4, rtol=0)
    torch.testing.assert_close(again.rotations[0], torch.eye(3).repeat(22, 1, 1), atol=1e-4, rtol=0)
    positions = tree_of(path).forward_kinematics()[0]
    assert positions[0, :, 1].min() == pytest.approx(0.0, abs=0.03)  # feet on the floor
    np.testing.assert_allclose(positions[0, 0, [0, 2]], motion.translation[0, [0, 2]], atol=1e-5)


@pytest.mark.parametrize("names", NAMINGS)
def test_namings_are_recognised(names: str):
    written = [NAMINGS[names][joint] for joint in SMPL22.names]
    assert map_joints(written, SMPL22.parents) == {joint: index for index, joint in enumerate(SMPL22.names)}


@pytest.mark.parametrize(
    "options, message",
    [
        ({"unit": "mile"}, r"unit must be one of \['m', 'cm', 'inch'\], got 'mile'"),
        ({"unit": "m", "scale": 1.0}, "unit must be left out with scale, got 'm' and 1.0"),
        ({"scale": -1.0}, "scale must be a positive number of file units per metre, got -1.0"),
        ({"names": "maya"}, r"names must be one of \['cmu', 'mixamo', 'smpl', 'unreal'\], got 'maya'"),
        ({"rest": "I"}, r"rest must be one of \['T', 'A'\], got 'I'"),
    ],
)
def test_wrong_options(motion: Motion, tmp_path: Path, options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        write_bvh(motion, tmp_path / "wave.bvh", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [{"rest": "A"}, {"names": "mixamo"}])
def test_another_skeleton_has_only_its_own_names_and_rest_pose(options: dict):
    tip = Skeleton(("root", "tip"), (-1, 0), ((0.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
    with pytest.raises(ValueError, match="for a skeleton without SMPL22's joints"):
        BvhRig.of(tip, **options)
