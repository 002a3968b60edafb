"""Characters of one's own: their files survive, and what is written is the motion when it is read back."""

import dataclasses
import json
import re
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roma
import torch

from motionmillion.data import synthesize
from motionmillion.io import fbx_read as fbx
from motionmillion.io import write_motion
from motionmillion.io.characters import read_character, retarget_file
from motionmillion.io.gltf_nodes import GltfFile, node_matrix
from motionmillion.io.skinned.bodies import load_body
from motionmillion.kinematics import RetargetOptions
from motionmillion.kinematics.targets import ToTarget
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22

sys.path[:0] = [str(Path(__file__).parents[2] / "recipes/files"), str(Path(__file__).parent)]
from characters import Body, Glb, characters, mixamo, plain  # noqa: E402
from fbx_text import fbx_text  # noqa: E402
from rigs import Rig, walk  # noqa: E402

FEET = [SMPL22.index(f"{side}_{part}") for side in ("left", "right") for part in ("ankle", "foot")]
REST = [joint for joint in range(22) if joint not in FEET]
NO_IK = RetargetOptions(feet=False)


@pytest.fixture(scope="module")
def motion() -> Motion:
    return synthesize("walk", seed=0, seconds=2).slice(0, 12)


def apart(first: Motion, second: Motion) -> float:
    degrees = np.rad2deg(roma.rotmat_geodesic_distance(first.rotations.double(), second.rotations.double()).numpy())
    return float(degrees[:, REST].max())


@pytest.mark.parametrize("name", list(characters()))
def test_read_back_it_is_the_motion(tmp_path: Path, motion: Motion, name: str):
    source, body = tmp_path / "a.glb", characters()[name]
    source.write_bytes(body.glb())
    character = read_character(source)
    assert character.mapping == {joint: body.names[place] for joint, place in body.smpl.items()}
    outputs = retarget_file(motion, character, tmp_path / "b.glb", tmp_path / "b.bvh", options=NO_IK)
    for path, options in zip(outputs, ({"index": 1}, {}), strict=True):
        again = Motion.load(path, **options)
        assert (again.num_frames, round(again.fps, 3)) == (motion.num_frames, 30.0)
        assert apart(again, motion) < 3.0


def test_everything_else_of_a_file_stays(tmp_path: Path, motion: Motion):
    """Its JSON but for one more animation, and its binary part byte for byte; fingers are not animated."""
    source, output = tmp_path / "a.glb", tmp_path / "b.glb"
    source.write_bytes(mixamo().glb())
    retarget_file(motion, read_character(source), output)
    before, after = GltfFile(source), GltfFile(output)
    assert after.binary is not None and before.binary is not None and after.binary.startswith(before.binary)
    for key, value in before.json.items():
        if key == "buffers":
            continue
        kept = after.json[key]
        assert (kept[: len(value)] if key in ("accessors", "bufferViews", "animations") else kept) == value, key
    added = after.json["animations"][-1]
    assert added["name"] == motion.caption and len(after.json["animations"]) == 2
    moved = {after.json["nodes"][channel["target"]["node"]]["name"] for channel in added["channels"]}
    assert len(moved) == 22 and not any("Thumb" in name for name in moved)
    clock = after.json["accessors"][added["samplers"][0]["input"]]
    assert clock["min"] == [0.0] and clock["max"][0] == pytest.approx((motion.num_frames - 1) / 30)


def test_a_second_motion_gets_a_name_of_its_own(tmp_path: Path, motion: Motion):
    path, output = tmp_path / "a.glb", tmp_path / "b.glb"
    path.write_bytes(plain().glb())
    retarget_file(motion.replace(caption="fist"), read_character(path), output)
    assert [animation["name"] for animation in GltfFile(output).json["animations"]] == ["fist", "fist 2"]


def test_soles_stand_on_the_floor(tmp_path: Path, motion: Motion):
    """The lowest vertex of the skin is 2.1 cm below the balls of the feet, and so is the floor."""
    path = tmp_path / "a.glb"
    path.write_bytes(plain().glb())
    character = read_character(path)
    heights = []
    for options in (RetargetOptions(), RetargetOptions(sole=0.0)):
        retarget_file(motion, character, tmp_path / "b.bvh", options=options)
        heights.append(float(Motion.load(tmp_path / "b.bvh").positions()[..., 1].min()))
    assert heights[0] - heights[1] == pytest.approx(0.0208 * 0.78 / 0.83, abs=1e-3)


def changed(change, body: Body | None = None) -> bytes:
    made = Glb([body or plain()])
    change(made.json)
    return made.bytes()


def test_nodes_with_matrices(tmp_path: Path, motion: Motion):
    def to_matrices(content: dict[str, Any]) -> None:
        for node in content["nodes"]:
            matrix = node_matrix(node)
            for key in ("translation", "rotation", "scale"):
                node.pop(key, None)
            node["matrix"] = matrix.T.ravel().tolist()

    for name, content in (("a", mixamo().glb()), ("b", changed(to_matrices, mixamo()))):
        (tmp_path / f"{name}.glb").write_bytes(content)
        retarget_file(motion, read_character(tmp_path / f"{name}.glb"), tmp_path / f"{name}2.glb")
    first, second = (Motion.load(tmp_path / f"{name}2.glb", index=1) for name in "ab")
    assert (first.positions() - second.positions()).abs().max() < 1e-4
    animated = {c["target"]["node"] for c in GltfFile(tmp_path / "b2.glb").json["animations"][-1]["channels"]}
    assert not any("matrix" in GltfFile(tmp_path / "b2.glb").json["nodes"][node] for node in animated)


def test_nodes_that_are_posed(tmp_path: Path, motion: Motion):
    """The rest pose is that of the skin, even if the hips of the nodes are turned and an arm hangs."""

    def pose(content: dict[str, Any]) -> None:
        content["nodes"][1]["rotation"] = [0.2, 0.1, 0.0, 0.9747]
        content["nodes"][1 + SMPL22.index("left_shoulder")]["rotation"] = [0.0, 0.0, -0.6, 0.8]

    (tmp_path / "a.glb").write_bytes(changed(pose))
    retarget_file(motion, read_character(tmp_path / "a.glb"), tmp_path / "b.glb", options=NO_IK)
    assert apart(Motion.load(tmp_path / "b.glb", index=1), motion) < 3.0


def scaled(node: int, scale: list[float]):
    return lambda content: content["nodes"][node].update(scale=scale)


KNEE = 1 + SMPL22.index("left_knee")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(scaled(KNEE, [1.0, -1.0, 1.0])), "must not be mirrored, got 'left_knee'"),
        (changed(scaled(0, [-1.0, 1.0, 1.0])), "must not be mirrored, got 'Armature'"),
        (changed(scaled(KNEE, [1.0, 1.5, 1.0])), "must be scaled evenly, got 'left_knee' with 1 x 1.5 x 1"),
        (
            Glb([plain(), mixamo()]).bytes(),
            r"must hold one character, got 2, with the hips 'mixamorig:Hips', 'pelvis'",
        ),
        (changed(lambda content: [node.update(name="x") for node in content["nodes"][2:10]]), "x"),
        (b"glTF\x02\0\0\0", "path must be a whole glTF file"),
        (b'{"asset": {}, "nodes": []}', "must hold a character with joints, got none"),
        (changed(lambda content: content["skins"][0].update(joints=[99])), "path must be a whole glTF file"),
        (changed(lambda content: content["nodes"][0].update(rotation=[1.0])), "path must be a whole glTF file"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*has no skin")
def test_files_that_are_wrong(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "a.glb"
    path.write_bytes(content)
    if message == "x":  # structure still tells the limbs
        assert len(read_character(path).joints) == 22
        return
    with pytest.raises(ValueError, match=message) as error:
        read_character(path)
    assert "\n" not in str(error.value)


def test_a_character_without_legs(tmp_path: Path):
    body = plain()
    legs = {joint for name, joint in body.smpl.items() if name.endswith(("hip", "knee", "ankle", "foot"))}
    kept = [joint for joint in range(22) if joint not in legs]
    less = Body(
        [body.names[joint] for joint in kept],
        [kept.index(body.parents[joint]) if joint else -1 for joint in kept],
        body.rest[kept],
        body.frames[kept],
        {name: kept.index(joint) for name, joint in body.smpl.items() if joint in kept} | {"left_hip": 0},
    )
    less.smpl |= {"left_knee": 1, "left_ankle": 2}
    (tmp_path / "a.glb").write_bytes(less.glb())
    with pytest.raises(ValueError, match=r"a.glb: names must map onto SMPL22, got no legs: no joint for left_hip, "):
        read_character(tmp_path / "a.glb")


def test_several_motions_are_animations_of_one_character(tmp_path: Path, motion: Motion):
    hero = tmp_path / "hero.glb"
    hero.write_bytes(mixamo().glb())
    motions = [motion.replace(caption="walk"), motion.mirror().resample(60).replace(caption="walk")]
    write_motion(motions, tmp_path / "all.glb", body=str(hero))
    names = [animation["name"] for animation in GltfFile(tmp_path / "all.glb").json["animations"]]
    assert names[-2:] == ["walk", "walk 2"]
    for index, each in enumerate(motions, len(names) - 2):
        again = Motion.load(tmp_path / "all.glb", index=index)
        assert (again.num_frames, round(again.fps)) == (each.num_frames, each.fps)
        assert apart(again, each) < 30.0  # feet are placed
    with pytest.raises(ValueError, match=r"must be the .glb file of a .glb character to hold 2 motions, got .*b.bvh"):
        retarget_file(motions, read_character(hero), tmp_path / "b.bvh")
    with pytest.raises(ValueError, match="must not be the character's own file"):
        motion.save(hero, body=str(hero))
    motion.save(tmp_path / "still.glb", body=str(hero), root_motion=False)
    path = Motion.load(tmp_path / "still.glb", index=len(names) - 2).translation
    assert float((path - path[:1])[:, [0, 2]].abs().max()) < 0.05


def test_one_of_two_characters(tmp_path: Path, motion: Motion):
    path = tmp_path / "a.glb"
    path.write_bytes(Glb([plain(), mixamo()]).bytes())
    assert read_character(path, index=0).mapping["pelvis"] == "mixamorig:Hips"
    character = read_character(path, index=1)
    assert character.mapping["pelvis"] == "pelvis"
    retarget_file(motion, character, tmp_path / "b.glb")
    moved = {c["target"]["node"] for c in GltfFile(tmp_path / "b.glb").json["animations"][-1]["channels"]}
    assert moved == set(range(1, 23))
    with pytest.raises(ValueError, match="index must be 0 to 1"):
        read_character(path, index=2)


def test_a_mirrored_bvh_is_refused(tmp_path: Path):
    text = Rig().bvh(*walk(3))
    mirrored = re.sub(r"OFFSET (\S+)", lambda found: f"OFFSET {-float(found[1])}", text)
    (tmp_path / "right.bvh").write_text(text)
    (tmp_path / "mirrored.bvh").write_text(mirrored)
    assert read_character(tmp_path / "right.bvh").target.names
    with pytest.raises(ValueError, match="must not be mirrored, got .* on the right; mirror the file"):
        read_character(tmp_path / "mirrored.bvh")


def two_bodies(kind: str) -> str | bytes:
    """A file of two rigs; in the `.bvh` file the second has other names."""
    if kind == "glb":
        return without_skin([plain(), mixamo()])
    if kind == "fbx":
        return fbx_text(Rig(), *walk(3), bodies=2)
    parts = [rig.bvh(*walk(3)).split("MOTION") for rig in (Rig(), named_rig())]
    rows = [part.split("\n")[3:] for _, part in parts]
    bodies = "".join(body.removeprefix("HIERARCHY\n") for body, _ in parts)
    head = "\n".join(parts[0][1].split("\n")[:3])
    return f"HIERARCHY\n{bodies}MOTION{head}\n" + "\n".join(f"{a} {b}" for a, b in zip(*rows, strict=True))


def named_rig() -> Rig:
    return dataclasses.replace(Rig(), names=tuple(f"mixamorig:{name}" for name in SMPL22.names))


def without_skin(bodies: list[Body]) -> bytes:
    made = Glb(bodies)
    del made.json["skins"]
    for node in made.json["nodes"]:
        node.pop("skin", None)
    return made.bytes()


@pytest.mark.parametrize("kind", ["bvh", "fbx", "glb"])
@pytest.mark.filterwarnings("ignore:.*has no skin")
def test_two_characters_of_every_format(tmp_path: Path, motion: Motion, kind: str):
    if kind == "fbx" and fbx.importlib.util.find_spec("ufbx") is None:
        pytest.skip("ufbx is not installed")
    path, content = tmp_path / f"a.{kind}", two_bodies(kind)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ValueError, match=r"must hold one character, got 2, .*; choose one with index=0 to 1"):
        read_character(path)
    with pytest.raises(ValueError, match=r"index must be 0 to 1 for the characters of .*, got 2"):
        read_character(path, index=2)
    for index in range(2):
        character = read_character(path, index=index)
        written = retarget_file(motion, character, tmp_path / f"b{index}.bvh", options=NO_IK)
        assert apart(Motion.load(written[0]), motion) < 3.0
        if kind == "bvh":
            assert character.mapping["pelvis"].startswith("mixamorig:") == bool(index)


def test_an_animation_is_that_of_the_character_that_it_moves(tmp_path: Path, motion: Motion):
    path = tmp_path / "a.glb"
    path.write_bytes(Glb([plain(), mixamo()]).bytes())
    for index in range(2):
        retarget_file(motion, read_character(path, index=index), tmp_path / "b.glb", options=NO_IK)
        assert apart(Motion.load(tmp_path / "b.glb", index=2), motion) < 3.0


def test_people_of_a_bvh_file_are_read_one_by_one(tmp_path: Path):
    path = tmp_path / "a.bvh"
    path.write_text(str(two_bodies("bvh")), encoding="utf-8")
    with pytest.warns(UserWarning, match="holds 2 people, of which the first is read; index=1 reads the next"):
        first = Motion.load(path)
    second = Motion.load(path, index=1)
    assert (first.positions() - second.positions()).abs().max() < 1e-4  # the rigs move alike
    assert apart(Motion.load(path, mapping={"head": Rig().names[SMPL22.index("head")]}), first) == 0.0
    with pytest.raises(ValueError, match="index must be 0 to 1 for the 2 people"):
        Motion.load(path, index=2)


@pytest.mark.parametrize("picture", ["skin.png", "skin.tga", "missing.png"])
def test_a_gltf_with_its_files_becomes_one_glb(tmp_path: Path, motion: Motion, picture: str):
    """Buffers and pictures beside it are put into the file; the same animation as on the `.glb`."""
    made = Glb([plain()])
    made.bytes()
    made.json["images"] = [{"uri": picture.replace("s", "%73", 1)}]
    made.json["buffers"][0]["uri"] = "hero%20data.bin"
    (tmp_path / "hero data.bin").write_bytes(made.data)
    (tmp_path / picture.replace("missing", "other")).write_bytes(b"\x89PNG...")
    (tmp_path / "hero.gltf").write_text(json.dumps(made.json), encoding="utf-8")
    character, output = read_character(tmp_path / "hero.gltf"), tmp_path / "out.glb"
    if picture != "skin.png":
        with pytest.raises(ValueError, match="pictures of .* must be PNG|existing file"):
            retarget_file(motion, character, output)
        return
    retarget_file(motion, character, output)
    motion.save(tmp_path / "body.glb", body=str(tmp_path / "hero.gltf"))
    assert (tmp_path / "body.glb").read_bytes() == output.read_bytes()
    after = GltfFile(output)
    assert after.json["buffers"] == [{"byteLength": len(after.binary or b"")}]
    image = after.json["images"][0]
    view = after.json["bufferViews"][image["bufferView"]]
    assert image == {"bufferView": image["bufferView"], "mimeType": "image/png"}
    assert (after.binary or b"")[view["byteOffset"] :][: view["byteLength"]] == b"\x89PNG..."
    (tmp_path / "hero.glb").write_bytes(plain().glb())
    retarget_file(motion, read_character(tmp_path / "hero.glb"), tmp_path / "other.glb")
    one, other = (Motion.load(tmp_path / name, index=1) for name in ("out.glb", "other.glb"))
    assert torch.equal(one.rotations, other.rotations)


def test_soles_of_our_own_body_are_those_of_its_file(tmp_path: Path, motion: Motion):
    """However its first frame leans, a file of ours as a character stands as the file of the motion does."""
    lean = motion.replace(rotations=motion.rotations.clone())
    lean.rotations[:, 0] = roma.rotvec_to_rotmat(torch.tensor([0.3, 0.4, 0.1])) @ lean.rotations[:, 0]
    lean.save(tmp_path / "a.glb")
    body = load_body("human", SMPL22)
    character = read_character(tmp_path / "a.glb")
    carried = ToTarget(character.target, character.joints)(motion)
    balls = [SMPL22.index(f"{side}_foot") for side in ("left", "right")]
    expected = body.dress(motion).positions()[:, balls, 1].double().numpy()
    found = carried.positions[:, [character.joints[SMPL22.names[ball]] for ball in balls], 1]
    assert abs(float((found - expected).mean())) < 2e-3


def test_without_a_skin_the_nodes_move(tmp_path: Path, motion: Motion):
    path = tmp_path / "a.glb"
    path.write_bytes(plain().glb(skin=False))
    with pytest.warns(UserWarning, match="has no skin, so that only its nodes will move"):
        character = read_character(path)
    retarget_file(motion, character, tmp_path / "b.glb", options=NO_IK)
    assert apart(Motion.load(tmp_path / "b.glb", index=1), motion) < 3.0


@pytest.mark.parametrize(("rig", "up"), [(Rig(), "y"), (Rig(), "z"), (Rig().along([1.0, 0.0, 0.0]), "y")])
def test_bvh_targets_keep_their_hierarchy(tmp_path: Path, motion: Motion, rig: Rig, up: str):
    source, output = tmp_path / "a.bvh", tmp_path / "b.bvh"
    text = rig.bvh(*walk(20)).replace("Zrotation Xrotation Yrotation", "Yrotation Zrotation Xrotation")
    if up == "z":
        text = turned_bvh(text)
    else:
        text = rig.bvh(*walk(20))
    source.write_text(text)
    character = read_character(source, up="y" if up == "y" else None)
    retarget_file(motion, character, output, tmp_path / "b.glb", options=NO_IK)
    words = [path.read_text().split("MOTION")[0].split() for path in (source, output)]
    names = [[word for word in each if word.isidentifier()] for each in words]
    assert names[0] == names[1]
    numbers = [[float(w) for w in each if not w.isidentifier() and w not in "{}"] for each in words]
    np.testing.assert_allclose(numbers[0], numbers[1], atol=1e-4)
    again = Motion.load(output, up=up)
    assert apart(again, motion) < (3.0 if (rig.frames == np.eye(3)).all() else 35.0)


def turned_bvh(text: str) -> str:
    """A T-pose that stands along z, without a clip."""
    head = text.split("MOTION")[0].splitlines()
    lines = []
    for line in head:
        if line.startswith("OFFSET"):
            x, y, z = map(float, line.split()[1:])
            line = f"OFFSET {x:.6f} {-z:.6f} {y:.6f}"
        lines.append(line)
    count = sum(int(line.split()[1]) for line in lines if line.startswith("CHANNELS"))
    return "\n".join([*lines, "MOTION", "Frames: 1", "Frame Time: 0.033333", " ".join(["0.0"] * count)]) + "\n"


@pytest.mark.skipif(fbx.importlib.util.find_spec("ufbx") is None, reason="ufbx is not installed")
def test_fbx_targets_give_bare_skeletons(tmp_path: Path, motion: Motion):
    source = tmp_path / "a.fbx"
    source.write_text(fbx_text(Rig(), *walk(3)), encoding="utf-8")
    outputs = retarget_file(motion, read_character(source), tmp_path / "b.glb", tmp_path / "b.bvh", options=NO_IK)
    for path in outputs:
        assert apart(Motion.load(path), motion) < 3.0


@pytest.mark.parametrize("name", ["a.npz", "a"])
def test_other_suffixes(tmp_path: Path, motion: Motion, name: str):
    with pytest.raises(ValueError, match=r"target must end in one of \['.glb', '.gltf', '.bvh', '.fbx'\]"):
        read_character(tmp_path / name)
    (tmp_path / "a.glb").write_bytes(plain().glb())
    with pytest.raises(ValueError, match="output must end in one of"):
        retarget_file(motion, read_character(tmp_path / "a.glb"), tmp_path / name)


def test_the_written_file_is_whole(tmp_path: Path, motion: Motion):
    """Lengths in the header and the chunks are those of the bytes, and every view lies in its buffer."""
    (tmp_path / "a.glb").write_bytes(plain().glb())
    retarget_file(motion, read_character(tmp_path / "a.glb"), tmp_path / "b.glb")
    data = (tmp_path / "b.glb").read_bytes()
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size = struct.unpack_from("<I", data, 12)[0]
    content = json.loads(data[20 : 20 + size])
    assert size % 4 == 0 and struct.unpack_from("<I", data, 20 + size)[0] == content["buffers"][0]["byteLength"]
    for view in content["bufferViews"]:
        assert view["byteOffset"] % 4 == 0
        assert view["byteOffset"] + view["byteLength"] <= content["buffers"][0]["byteLength"]
