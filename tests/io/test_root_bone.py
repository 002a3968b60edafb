"""The bone on the floor: it carries path and heading, and every joint stays where it is in the world."""

from pathlib import Path

import numpy as np
import pytest
import torch

from motionmillion.io.bvh import bvh_tree, write_bvh
from motionmillion.io.root_bone import check_root_motion
from motionmillion.io.skinned.bodies import load_body
from motionmillion.kinematics.naming import NAMINGS
from motionmillion.kinematics.roots import headings
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22, Skeleton

LEVEL = np.array([1.0, 0.0, 1.0])


@pytest.mark.parametrize("rest", ["T", "A"])
def test_a_bvh_file_with_a_root_bone(motion: Motion, tmp_path: Path, rest: str):
    path = write_bvh(motion, tmp_path / "walk.bvh", unit="m", names="unreal", rest=rest, root_motion="root")
    tree = bvh_tree(path)
    places, turned = tree.forward_kinematics()
    names = ["root", *(NAMINGS["unreal"][name] for name in SMPL22.names)]
    there = places[:, [tree.names.index(name) for name in names]]
    np.testing.assert_allclose(there[:, 1:], motion.positions().numpy(), atol=1e-5)
    np.testing.assert_allclose(there[:, 0], motion.translation.numpy() * LEVEL, atol=1e-5)
    # the bone turns about the vertical only, with the pelvis
    bone = torch.from_numpy(turned[:, tree.names.index("root")])
    np.testing.assert_allclose(bone[:, 1, 1], 1.0, atol=1e-9)
    np.testing.assert_allclose(headings(bone), headings(motion.rotations[:, 0].double()), atol=1e-5)
    # in the rest pose the feet stand where the bone is
    assert tree.rest_positions()[:, 1].min() == pytest.approx(0.0, abs=1e-5)
    again = Motion.load(path)
    assert torch.allclose(again.positions(), motion.positions(), atol=1e-4)


def test_a_t_pose_comes_first_with_a_root_bone_too(motion: Motion, tmp_path: Path):
    path = write_bvh(motion, tmp_path / "walk.bvh", unit="m", t_pose_first_frame=True, root_motion="root")
    tree = bvh_tree(path)
    first = tree.forward_kinematics()[0][0]
    np.testing.assert_allclose(first[tree.names.index("root")], motion.translation[0].numpy() * LEVEL, atol=1e-5)
    assert first[:, 1].min() == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("body", ["human", "mannequin"])
def test_a_glb_file_with_a_root_bone(motion: Motion, tmp_path: Path, body: str):
    pytest.importorskip("pygltflib", reason='needs pip install "motionmillion[glb]"')
    from motionmillion.io.gltf_nodes import gltf_tree

    files = [motion.save(tmp_path / f"{kind}.glb", body=body, root_motion=kind) for kind in ("hips", "root")]
    plain, rooted = (gltf_tree(path) for path in files)
    assert set(rooted.names) - set(plain.names) == {"root"}
    columns = [rooted.names.index(name) for name in plain.names]
    places = [tree.forward_kinematics(np.arange(24))[0] for tree in (plain, rooted)]
    np.testing.assert_allclose(places[1][:, columns], places[0], atol=1e-5)
    root = places[1][:, rooted.names.index("root")]
    np.testing.assert_allclose(root, places[0][:, plain.names.index("pelvis")] * LEVEL, atol=1e-6)
    assert torch.allclose(Motion.load(files[1]).positions(), Motion.load(files[0]).positions(), atol=1e-4)
    # the mesh is bound as before: every vertex is carried by the same joints
    made = load_body(body, SMPL22)
    on_root = made.on_root()
    used = made.weights > 0
    assert (on_root.joints[used] == made.joints[used] + 1).all() and on_root.rest_height == pytest.approx(
        0.0, abs=1e-6
    )


def test_usd_files_with_a_root_bone(motion: Motion, tmp_path: Path):
    pytest.importorskip("pxr.UsdSkel", reason='needs pip install "motionmillion[usd]"')
    from pxr import Usd, UsdSkel

    path = motion.save(tmp_path / "walk.usda", body="mannequin", root_motion="root")
    stage = Usd.Stage.Open(str(path))
    cache = UsdSkel.Cache()
    cache.Populate(UsdSkel.Root(stage.GetDefaultPrim()), Usd.PrimDefaultPredicate)
    query = cache.GetSkelQuery(UsdSkel.Skeleton(stage.GetPrimAtPath("/Person/Skeleton")))
    places = np.array(query.ComputeJointSkelTransforms(11))[:, 3, :3]
    np.testing.assert_allclose(places[1:], motion.positions()[11].numpy(), atol=1e-5)
    np.testing.assert_allclose(places[0], motion.translation[11].numpy() * LEVEL, atol=1e-5)


def test_without_travel(motion: Motion, tmp_path: Path):
    for value in ("none", False):
        path = write_bvh(motion, tmp_path / "walk.bvh", unit="m", root_motion=value)
        assert torch.allclose(Motion.load(path).positions(), motion.in_place().positions(), atol=1e-4)


def test_wrong_values(motion: Motion, tmp_path: Path):
    with pytest.raises(ValueError, match=r"root_motion must be one of .*'hips', 'root', 'none'.*, got 'feet'"):
        write_bvh(motion, tmp_path / "walk.bvh", root_motion="feet")
    assert [check_root_motion(value) for value in (True, False, "root")] == ["hips", "none", "root"]
    own = Skeleton(("root", "tip"), (-1, 0), ((0.0, 0.0, 0.0), (0.0, 0.3, 0.0)))
    taken = Motion(torch.eye(3).repeat(2, 2, 1, 1), torch.zeros(2, 3), skeleton=own)
    with pytest.raises(ValueError, match='root_motion must be "hips" or "none" for a skeleton with a joint "root"'):
        write_bvh(taken, tmp_path / "walk.bvh", root_motion="root")
