"""What a page holds gives the motion back: joints within a millimetre, contacts, and the mesh of the human."""

import base64
from typing import Any

import numpy as np
import pytest
import roma
import torch

from motionmillion.io.page import player_scripts, script_json
from motionmillion.io.skinned.bodies import load_body
from motionmillion.io.skinned.human import HUMANS
from motionmillion.io.viewer.payload import scene, shared_data
from motionmillion.kinematics.contacts import find_contacts
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22, Skeleton


def array(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


def unpacked(data: dict[str, Any], skeleton: Skeleton) -> Motion:
    quaternions = torch.from_numpy(array(data["rotations"], "<i2").reshape(data["frames"], -1, 4) / 32767)
    rotations = roma.unitquat_to_rotmat(quaternions / quaternions.norm(dim=-1, keepdim=True))
    return Motion(rotations, torch.from_numpy(array(data["root"], "<f4").reshape(-1, 3).copy()), data["fps"], skeleton)


def small_rig() -> Skeleton:
    return Skeleton(("root", "left_a", "right_a", "tip"), (-1, 0, 0, 1), ((0, 0, 0), (2, 0, 0), (-2, 0, 0), (0, 9, 0)))


def test_joints_survive(motion: Motion, turning_motion: Motion):
    for one in (motion, turning_motion):
        data = scene([one], ["x"])
        assert data["skeletons"] == [] and data["motions"][0]["skeleton"] == -1
        shown = unpacked(data["motions"][0], SMPL22)
        torch.testing.assert_close(shown.positions(), one.positions(), atol=5e-4, rtol=0)
        assert shown.fps == one.fps and data["motions"][0]["frames"] == one.num_frames


def test_other_skeletons_come_along_once():
    rig = small_rig()
    motions = [Motion(torch.eye(3).repeat(3, 4, 1, 1), torch.zeros(3, 3), skeleton=rig) for _ in range(2)]
    data = scene(motions, ["a", "b"])
    assert [one["skeleton"] for one in data["motions"]] == [0, 0] and len(data["skeletons"]) == 1
    own = data["skeletons"][0]
    assert own["human"] is None and own["names"] == rig.names and np.allclose(own["offsets"], rig.offsets)
    assert data["motions"][0]["contacts"] == ""
    torch.testing.assert_close(unpacked(data["motions"][1], rig).positions(), motions[1].positions())


def test_contacts_are_those_that_are_found(motion: Motion):
    bits = array(scene([motion], [""])["motions"][0]["contacts"], "u1")
    found = find_contacts(motion.positions().numpy(), motion.fps)
    shown = np.stack([bits >> place & 1 for place in range(4)], axis=1).reshape(-1, 2, 2)
    np.testing.assert_array_equal(shown, found)


@pytest.mark.parametrize("name", HUMANS)
def test_the_human_is_that_of_glb_files(name, motion):
    body, data = load_body(name, SMPL22), shared_data(name)
    assert scene([motion], [""], body=name)["body"] == "human"
    human = data["human"]
    np.testing.assert_allclose(
        array(human["vertices"], "<i2").reshape(-1, 3) * human["unit"], body.vertices, atol=6e-5
    )
    assert np.array_equal(array(human["faces"], "<u2"), np.concatenate([p.faces for p in body.parts]).ravel())
    np.testing.assert_allclose(array(human["weights"], "u1").reshape(-1, 4) / 255, body.weights, atol=3e-3)
    np.testing.assert_allclose(array(human["inverseBind"], "<f4").reshape(-1, 4, 4), body.inverse_bind, atol=1e-6)
    assert data["smpl22"]["human"] == pytest.approx([body.scale, body.lift], abs=1e-6)


def test_a_change_in_place_is_noticed(motion: Motion):
    broken = motion.replace(translation=motion.translation.clone())
    broken.translation[3] = float("nan")
    with pytest.raises(ValueError, match="finite, got NaN or infinity in frame 3"):
        scene([broken], [""])


def test_sizes(turning_motion: Motion):
    data, scripts = script_json(scene([turning_motion], [""])), player_scripts()
    assert len(data) < 80_000 and len(scripts) + len(data) < 1_200_000  # ten seconds


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"body": "robot"}, "one of ['human', 'man', 'woman', 'mannequin', 'stick'], got 'robot'"),
        ({"parts": [[(2, 1, "a")]]}, "end after their start, got 2 to 1 for 'a'"),
        ({"parts": [[(-1, 1, "a")]]}, "end after their start, got -1"),
    ],
)
def test_wrong_options(motion: Motion, options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message.replace("[", r"\[").replace("]", r"\]")):
        scene([motion], [""], **options)
