"""GLB files, read back without the library that wrote them, and by the Khronos validator where Node.js has it."""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from motionmillion.io.glb import linear_color, write_glb
from motionmillion.io.skinned.bodies import load_body
from motionmillion.kinematics.naming import NAMINGS
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22, Skeleton

pytest.importorskip("pygltflib", reason='needs pip install "motionmillion[glb]"')

BODIES = ("human", "man", "woman", "mannequin")
TYPES = {5121: "<u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": (), "VEC3": (3,), "VEC4": (4,), "MAT4": (4, 4)}


class Reader:
    """A GLB file as JSON and arrays; every length and bound that the file states is checked."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        magic, version, length, size, kind = struct.unpack("<4sIII4s", data[:20])
        assert (magic, version, length, kind) == (b"glTF", 2, len(data), b"JSON")
        self.json = json.loads(data[20 : 20 + size])
        binary, kind = struct.unpack("<I4s", data[20 + size : 28 + size])
        assert kind == b"BIN\0" and binary == len(data) - size - 28
        self.binary = data[28 + size :]
        assert 0 <= binary - self.json["buffers"][0]["byteLength"] < 4
        self.arrays = [self._array(accessor) for accessor in self.json["accessors"]]

    def _array(self, accessor: dict) -> np.ndarray:
        view = self.json["bufferViews"][accessor["bufferView"]]
        start = view.get("byteOffset", 0)
        assert start % 4 == 0 and start + view["byteLength"] <= len(self.binary)
        shape = (accessor["count"], *WIDTHS[accessor["type"]])
        dtype = np.dtype(TYPES[accessor["componentType"]])
        assert view["byteLength"] == int(np.prod(shape)) * dtype.itemsize
        array = np.frombuffer(self.binary, dtype, int(np.prod(shape)), start).reshape(shape)
        assert np.isfinite(array).all()
        if "min" in accessor:
            np.testing.assert_array_equal(np.float32(accessor["min"]), np.atleast_1d(array.min(0)))
            np.testing.assert_array_equal(np.float32(accessor["max"]), np.atleast_1d(array.max(0)))
        return array

    @property
    def names(self) -> list[str]:
        return [self.json["nodes"][node]["name"] for node in self.json["skins"][0]["joints"]]

    def matrices(self, animation: int | None, frame: int) -> np.ndarray:
        """Global matrices `[J, 4, 4]` of the joints in a frame, by the tree of nodes; the rest pose without one."""
        nodes = [dict(node) for node in self.json["nodes"]]
        for channel in self.json["animations"][animation]["channels"] if animation is not None else []:
            sampler = self.json["animations"][animation]["samplers"][channel["sampler"]]
            values = self.arrays[sampler["output"]]
            assert len(values) == len(self.arrays[sampler["input"]])
            nodes[channel["target"]["node"]][channel["target"]["path"]] = values[frame].tolist()
        placed: dict[int, np.ndarray] = {}

        def visit(node: int, above: np.ndarray) -> None:
            own = np.eye(4)
            x, y, z, w = nodes[node].get("rotation", [0.0, 0.0, 0.0, 1.0])
            assert abs(x * x + y * y + z * z + w * w - 1) < 1e-5
            own[:3, :3] = [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
            own[:3, 3] = nodes[node].get("translation", [0.0, 0.0, 0.0])
            placed[node] = above @ own
            for child in nodes[node].get("children", []):
                visit(child, placed[node])

        for root in self.json["scenes"][self.json["scene"]]["nodes"]:
            visit(root, np.eye(4))
        assert set(placed) == set(range(len(nodes)))
        return np.stack([placed[joint] for joint in self.json["skins"][0]["joints"]])

    def vertices(self, animation: int | None, frame: int) -> np.ndarray:
        """Skinned vertices `[V, 3]`."""
        skin, primitive = self.json["skins"][0], self.json["meshes"][0]["primitives"][0]
        inverse_bind = self.arrays[skin["inverseBindMatrices"]].swapaxes(1, 2)
        moves = self.matrices(animation, frame) @ inverse_bind
        points, joints, weights = (
            self.arrays[primitive["attributes"][name]] for name in ("POSITION", "JOINTS_0", "WEIGHTS_0")
        )
        blended = (weights[:, :, None, None] * moves[joints]).sum(1)
        return (blended[:, :3, :3] @ points[:, :, None])[..., 0] + blended[:, :3, 3]


@pytest.mark.parametrize("body", BODIES)
def test_joints_of_every_frame_are_ours(motion: Motion, tmp_path: Path, body: str):
    read = Reader(write_glb(motion, tmp_path / "wave.glb", body=body))
    assert read.names == list(SMPL22.names)
    expected = load_body(body, SMPL22).dress(motion).positions().numpy()
    for frame in range(motion.num_frames):
        np.testing.assert_allclose(read.matrices(0, frame)[:, :3, 3], expected[frame], atol=1e-5)
    times = read.arrays[read.json["animations"][0]["samplers"][0]["input"]]
    np.testing.assert_allclose(times, np.arange(24) / 30.0, atol=1e-6)


def test_joints_of_the_mannequin_are_those_of_the_motion(motion: Motion, tmp_path: Path):
    read = Reader(motion.save(tmp_path / "wave.glb", body="mannequin"))
    np.testing.assert_allclose(read.matrices(0, 23)[:, :3, 3], motion.positions()[23].numpy(), atol=1e-5)


@pytest.mark.parametrize("body", BODIES)
def test_skin_of_the_file_is_that_of_the_body(motion: Motion, tmp_path: Path, body: str):
    read = Reader(write_glb(motion, tmp_path / "wave.glb", body=body))
    expected = load_body(body, SMPL22).vertices_of(motion.slice(17, 18))[0]
    np.testing.assert_allclose(read.vertices(0, 17), expected, atol=1e-4)


@pytest.mark.parametrize("body", BODIES)
def test_mesh(motion: Motion, tmp_path: Path, body: str):
    read = Reader(write_glb(motion, tmp_path / "wave.glb", body=body))
    assert len(read.json["meshes"]) == 1 and len(read.json["skins"]) == 1
    used = []
    for primitive in read.json["meshes"][0]["primitives"]:
        normals, joints, weights = (
            read.arrays[primitive["attributes"][name]] for name in ("NORMAL", "JOINTS_0", "WEIGHTS_0")
        )
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-5)
        np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-6)
        assert not joints[weights == 0].any() and joints.max() < 22
        used.append(read.arrays[primitive["indices"]])
        assert "name" in read.json["materials"][primitive["material"]]
    assert np.unique(np.concatenate(used)).size == len(normals)


@pytest.mark.parametrize("body", BODIES)
def test_rest_pose_is_a_t_pose_on_the_floor(motion: Motion, tmp_path: Path, body: str):
    read = Reader(write_glb(motion, tmp_path / "wave.glb", body=body))
    joints, vertices = read.matrices(None, 0), read.vertices(None, 0)
    np.testing.assert_allclose(joints[:, :3, :3], np.tile(np.eye(3), (22, 1, 1)), atol=1e-6)
    assert abs(vertices[:, 1].min()) < 1e-4 and 1.5 < vertices[:, 1].max() < 2.0
    assert vertices[:, 0].max() - vertices[:, 0].min() > 1.5


def test_several_motions_in_one_file(motion: Motion, tmp_path: Path):
    other = motion.slice(0, 10).replace(fps=24.0)
    read = Reader(write_glb([motion, other, motion.replace(caption="")], tmp_path / "moves.glb", body="mannequin"))
    assert [one["name"] for one in read.json["animations"]] == ["a person walks", "a person walks 2", "motion"]
    np.testing.assert_allclose(read.matrices(1, 9)[:, :3, 3], other.positions()[9].numpy(), atol=1e-5)
    assert read.arrays[read.json["animations"][1]["samplers"][0]["input"]][-1] == pytest.approx(9 / 24)
    assert read.json["animations"][0]["extras"] == {"caption": "a person walks", "fps": 30.0}


def test_in_place_keeps_only_the_height(motion: Motion, tmp_path: Path):
    read = Reader(write_glb(motion, tmp_path / "wave.glb", body="mannequin", root_motion=False))
    for frame in (0, 23):
        expected = motion.positions()[frame] - motion.translation[frame] * torch.tensor([1.0, 0.0, 1.0])
        np.testing.assert_allclose(read.matrices(0, frame)[:, :3, 3], expected.numpy(), atol=1e-5)


def test_another_frame_rate(motion: Motion, tmp_path: Path):
    read = Reader(write_glb(motion, tmp_path / "wave.glb", body="mannequin", fps=60))
    expected = motion.resample(60)
    np.testing.assert_allclose(read.matrices(0, 45)[:, :3, 3], expected.positions()[45].numpy(), atol=1e-5)
    times = read.arrays[read.json["animations"][0]["samplers"][0]["input"]]
    assert len(times) == expected.num_frames and times[-1] == pytest.approx(46 / 60)


@pytest.mark.parametrize("names", NAMINGS)
def test_joint_names_of_other_programs(motion: Motion, tmp_path: Path, names: str):
    read = Reader(write_glb(motion, tmp_path / "wave.glb", names=names))
    assert read.names == [NAMINGS[names][joint] for joint in SMPL22.names]


def test_quaternions_do_not_flip(tmp_path: Path):
    """A joint turns twice around; neighbouring frames stay close, so that linear interpolation is right."""
    rotations = torch.eye(3).repeat(60, 22, 1, 1)
    angle = torch.linspace(0, 4 * torch.pi, 60)
    rotations[:, 16, :2, :2] = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], -1).view(60, 2, 2)
    read = Reader(write_glb(Motion(rotations, torch.zeros(60, 3)), tmp_path / "turn.glb"))
    animation = read.json["animations"][0]
    for channel in animation["channels"]:
        if channel["target"]["path"] == "rotation":
            values = read.arrays[animation["samplers"][channel["sampler"]]["output"]]
            assert ((values[1:] * values[:-1]).sum(1) > 0.9).all()


def test_skeleton_of_another_person_and_another_creature(motion: Motion, tmp_path: Path):
    tall = Skeleton(SMPL22.names, SMPL22.parents, tuple((x * 1.2, y * 1.2, z * 1.2) for x, y, z in SMPL22.offsets))
    grown = Motion(motion.rotations, motion.translation * 1.2, skeleton=tall)
    human = Reader(write_glb(grown, tmp_path / "tall.glb", body="human"))
    same = Reader(write_glb(motion, tmp_path / "wave.glb", body="human"))
    np.testing.assert_allclose(human.matrices(0, 5), same.matrices(0, 5), atol=1e-4)
    tip = Skeleton(("root", "tip"), (-1, 0), ((0.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
    creature = Motion(torch.eye(3).repeat(3, 2, 1, 1), torch.zeros(3, 3), skeleton=tip)
    assert Reader(write_glb(creature, tmp_path / "tip.glb")).names == ["root", "tip"]
    with pytest.raises(ValueError, match='body must be "mannequin" for a skeleton without SMPL22'):
        write_glb(creature, tmp_path / "no.glb", body="human")
    with pytest.raises(ValueError, match="motion must hold motions on one skeleton, got another at 1"):
        write_glb([motion, creature], tmp_path / "no.glb")
    assert not (tmp_path / "no.glb").exists()


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"body": "robot"},
            "body must be one of human, man, woman, mannequin and auto, got 'robot'; a character of",
        ),
        ({"names": "maya"}, r"names must be one of \['cmu', 'mixamo', 'smpl', 'unreal'\], got 'maya'"),
        ({"fps": 0}, "fps must be in 0.1 to 1000, got 0"),
    ],
)
def test_wrong_options(motion: Motion, tmp_path: Path, options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        write_glb(motion, tmp_path / "wave.glb", **options)
    assert os.listdir(tmp_path) == []


def test_no_motions(tmp_path: Path):
    with pytest.raises(ValueError, match="motion must hold at least one motion, got an empty list"):
        write_glb([], tmp_path / "wave.glb")
    with pytest.raises(ValueError, match="motion must be a Motion or a list of them, got str at 0"):
        write_glb(["walk.npz"], tmp_path / "wave.glb")  # type: ignore[list-item]


def test_values_that_are_not_finite(motion: Motion, tmp_path: Path):
    motion.rotations[3, 4, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="rotations must be finite, got NaN or infinity in frame 3"):
        write_glb([motion], tmp_path / "wave.glb")


def test_missing_package(motion: Motion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pygltflib", None)  # as Python has it where a package is not installed
    message = 'pygltflib must be installed to write .glb files; run: pip install "motionmillion[glb]"'
    with pytest.raises(ImportError, match=re.escape(message)):
        motion.save(tmp_path / "wave.glb")


def test_linear_color():
    np.testing.assert_allclose(linear_color((0, 128, 255)), [0.0, 0.215861, 1.0], atol=1e-6)


def test_validator(motion: Motion, tmp_path: Path):
    """Set NODE_PATH to a folder `node_modules` with gltf-validator to run this."""
    node = shutil.which("node")
    asked = [node, "-e", "require('gltf-validator')"]
    if node is None or subprocess.run(asked, capture_output=True, timeout=200).returncode:
        pytest.skip("needs Node.js and its package gltf-validator, found through NODE_PATH")
    still = motion.slice(0, 1)
    files = [
        write_glb([motion, motion.slice(0, 10), still], tmp_path / f"{body}-{names}.glb", body=body, names=names)
        for body, names in (("human", "smpl"), ("mannequin", "mixamo"))
    ]
    code = """
    const validator = require('gltf-validator'), fs = require('fs');
    Promise.all(process.argv.slice(1).map(f => validator.validateBytes(new Uint8Array(fs.readFileSync(f)))))
      .then(reports => console.log(JSON.stringify(reports.map(report => report.issues))));
    """
    result = subprocess.run(
        [node, "-e", code, *map(str, files)], capture_output=True, text=True, check=True, timeout=200
    )
    for issues in json.loads(result.stdout):
        assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]
