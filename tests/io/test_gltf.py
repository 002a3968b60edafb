"""glTF: the motion of the same rig's BVH file, in both containers, and files that are wrong."""

import base64
import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roma
import torch

from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22

sys.path[:0] = [str(Path(__file__).parents[2] / "recipes/files")]
from rigs import Rig, walk  # noqa: E402

FPS = 30.0


class Gltf:
    """A file made from scratch: nodes of a rig, and one animation per motion."""

    def __init__(self, rig, *motions: tuple[np.ndarray, np.ndarray], way: str = "LINEAR", skin: bool = False) -> None:
        self.data = b""
        self.json: dict[str, Any] = {"asset": {"version": "2.0"}, "bufferViews": [], "accessors": [], "animations": []}
        children = {p: [c for c, q in enumerate(SMPL22.parents) if q == p] for p in range(22)}
        self.json["nodes"] = []
        for joint, parent in enumerate(SMPL22.parents):
            offset = np.zeros(3) if parent < 0 else rig.frames[parent] @ rig.offsets[joint] / 100
            node = {"name": rig.names[joint], "translation": offset.tolist(), "children": children[joint]}
            self.json["nodes"].append({key: value for key, value in node.items() if value != []})
        for local, root in motions:
            self.json["animations"].append(self.animation(rig, local, root, way))
        if skin:
            matrices = np.tile(np.eye(4), (22, 1, 1))
            matrices[:, :3, 3] = -rig.rest() / 100
            self.json["skins"] = [
                {"joints": list(range(22)), "inverseBindMatrices": self.add(matrices.swapaxes(1, 2))}
            ]
            # the nodes stand in another pose than that of the skin
            self.json["nodes"][16]["rotation"] = [0.0, 0.0, 0.6, 0.8]

    def add(self, values: np.ndarray) -> int:
        values = np.ascontiguousarray(values, dtype="<f4")
        kind = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}[values[0].size]
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": values.nbytes}
        self.json["accessors"].append(
            {"bufferView": len(self.json["bufferViews"]), "componentType": 5126, "count": len(values), "type": kind}
        )
        self.json["bufferViews"].append(view)
        self.data += values.tobytes()
        return len(self.json["accessors"]) - 1

    def animation(self, rig, local: np.ndarray, root: np.ndarray, way: str) -> dict[str, Any]:
        turned = rig.posed(local, root)[1]
        times = self.add(np.arange(len(root))[:, None] / FPS)
        made: dict[str, Any] = {"channels": [], "samplers": []}
        for joint, parent in enumerate(SMPL22.parents):
            own = turned[:, joint] if parent < 0 else turned[:, parent].swapaxes(-1, -2) @ turned[:, joint]
            moving = {"rotation": roma.rotmat_to_unitquat(torch.from_numpy(own)).numpy()}
            if parent < 0:
                moving["translation"] = root / 100
            for path, values in moving.items():
                if way == "CUBICSPLINE":  # without slopes
                    values = np.stack([0 * values, values, 0 * values], axis=1).reshape(-1, values.shape[1])
                made["channels"].append({"sampler": len(made["samplers"]), "target": {"node": joint, "path": path}})
                made["samplers"].append({"input": times, "output": self.add(values), "interpolation": way})
        return made

    def glb(self) -> bytes:
        self.json["buffers"] = [{"byteLength": len(self.data)}]
        text = json.dumps(self.json).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text
        chunks += struct.pack("<I4s", len(self.data), b"BIN\0") + self.data
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks

    def gltf(self) -> str:
        uri = "data:application/octet-stream;base64," + base64.b64encode(self.data).decode()
        return json.dumps({**self.json, "buffers": [{"byteLength": len(self.data), "uri": uri}]})


def apart(first: Motion, second: Motion) -> float:
    return float(roma.rotmat_geodesic_distance(first.rotations.double(), second.rotations.double()).max())


@pytest.fixture
def base(tmp_path: Path) -> Motion:
    (tmp_path / "x.bvh").write_text(Rig().bvh(*walk(20)))
    return Motion.load(tmp_path / "x.bvh")


@pytest.mark.parametrize("way", ["LINEAR", "STEP", "CUBICSPLINE"])
@pytest.mark.parametrize("skin", [False, True])
def test_the_motion_of_the_bvh_file_of_the_same_rig(tmp_path: Path, base: Motion, way: str, skin: bool):
    path = tmp_path / "x.glb"
    path.write_bytes(Gltf(Rig(), walk(20), way=way, skin=skin).glb())
    motion = Motion.load(path)
    assert (motion.fps, motion.num_frames) == (FPS, 20)
    assert apart(motion, base) < 2e-3
    assert (motion.positions() - base.positions()).abs().max() < 1e-3


def test_text_with_its_buffer_inside_and_beside(tmp_path: Path, base: Motion):
    made = Gltf(Rig(), walk(20))
    (tmp_path / "x.gltf").write_text(made.gltf())
    assert apart(Motion.load(tmp_path / "x.gltf"), base) < 2e-3
    (tmp_path / "x 1.bin").write_bytes(made.data)
    outside = {**made.json, "buffers": [{"byteLength": len(made.data), "uri": "x%201.bin"}]}
    (tmp_path / "y.gltf").write_text(json.dumps(outside))
    assert apart(Motion.load(tmp_path / "y.gltf"), base) < 2e-3
    outside["buffers"][0]["uri"] = "../../etc/passwd"
    (tmp_path / "y.gltf").write_text(json.dumps(outside))
    with pytest.raises(ValueError, match="must lie in its folder"):
        Motion.load(tmp_path / "y.gltf")


def test_several_animations_and_another_frame_rate(tmp_path: Path):
    path = tmp_path / "x.glb"
    path.write_bytes(Gltf(Rig(), walk(7), walk(9)).glb())
    with pytest.warns(UserWarning, match="holds 2 animations, of which the first is read"):
        assert Motion.load(path).num_frames == 7
    motion = Motion.load(path, index=1, fps=60.0)
    assert (motion.fps, motion.num_frames) == (60.0, 17)
    with pytest.raises(ValueError, match=r"index must be 0 to 1 for the 2 animations"):
        Motion.load(path, index=2)


def spoilt(change) -> bytes:
    made = Gltf(Rig(), walk(3))
    change(made.json)
    return made.glb()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "path must be a whole glTF file"),
        (b"glTF\x02\0\0\0", "path must be a whole glTF file"),
        (b"{" * 100_000, "path must be a whole glTF file"),
        (Gltf(Rig(), walk(3)).glb()[:-200], "it is truncated"),
        (Gltf(Rig()).glb(), "must hold an animation, got none"),
        (spoilt(lambda j: j["accessors"][0].update(count=10**9)), "accessor 0 is out of range"),
        (spoilt(lambda j: j["accessors"][0].update(componentType=7)), "path must be a whole glTF file"),
        (spoilt(lambda j: j["accessors"][1].update(sparse={})), "must be plain, got a sparse one"),
        (spoilt(lambda j: j["nodes"][21].update(children=[0])), "its nodes form a ring"),
        (spoilt(lambda j: j["animations"][0]["samplers"][0].update(input=1)), "do not fit"),
        (spoilt(lambda j: j["animations"][0]["channels"][0].update(target={})), None),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, content: bytes, message: str | None):
    path = tmp_path / "x.glb"
    path.write_bytes(content)
    if message is None:  # a channel without a node is to be ignored
        assert Motion.load(path).num_frames == 3
        return
    with pytest.raises(ValueError, match=message) as error:
        Motion.load(path)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_mutated_files(tmp_path: Path):
    rng, whole = np.random.default_rng(0), bytearray(Gltf(Rig(), walk(3), skin=True).glb())
    path = tmp_path / "x.glb"
    for _ in range(1500):
        data = whole.copy()
        for place in rng.integers(0, len(data), rng.integers(1, 6)):
            data[place] = rng.integers(0, 256)
        path.write_bytes(data[: rng.integers(0, len(data) + 1)] if rng.random() < 0.3 else data)
        try:
            Motion.load(path)
        except ValueError as error:
            assert "\n" not in str(error)
