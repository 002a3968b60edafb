"""Characters as game engines and other tools have them, made from scratch: `.glb` files with a mesh and a skin.

    Path("child.glb").write_bytes(characters()["child"].glb())

Proportions, rest poses, names, extra joints, units and axes differ as in files of Mixamo, MakeHuman and three.js; no
file of theirs is needed. Used by `retarget_table.py` and the tests.
Shapes: N joints; metres, y up.
"""

import dataclasses
import json
import struct
from typing import Any

import numpy as np
import roma
import torch
from rigs import INDEX, SIDES, plain_offsets

from motionmillion.kinematics.rotations import axis_rotation, swing
from motionmillion.skeleton import SMPL22

_MIXAMO = dict(pelvis="Hips", spine1="Spine", spine2="Spine1", spine3="Spine2", neck="Neck", head="Head")
_MIXAMO_SIDE = dict(hip="UpLeg", knee="Leg", ankle="Foot", foot="ToeBase")
_MIXAMO_SIDE |= dict(collar="Shoulder", shoulder="Arm", elbow="ForeArm", wrist="Hand")
_MAKEHUMAN = dict(pelvis="root", spine1="spine05", spine2="spine03", spine3="spine01", neck="neck01", head="head")
_MAKEHUMAN_SIDE = dict(hip="upperleg01", knee="lowerleg01", ankle="foot", foot="toe1-1")
_MAKEHUMAN_SIDE |= dict(collar="clavicle", shoulder="upperarm01", elbow="lowerarm01", wrist="wrist")


@dataclasses.dataclass
class Body:
    """A character in its rest pose; parents come before children.

    Args:
        rest: joint positions `[N, 3]`.
        frames: the joints' own orientations `[N, 3, 3]`.
        armature: matrix `[4, 4]` of the node that the joints hang from; its inverse is in their coordinates.
        smpl: SMPL22 name -> joint.
    """

    names: list[str]
    parents: list[int]
    rest: np.ndarray
    frames: np.ndarray
    smpl: dict[str, int]
    armature: np.ndarray = dataclasses.field(default_factory=lambda: np.eye(4))

    @property
    def leg(self) -> float:
        """Hip to knee to ankle."""
        hip, knee, ankle = (self.rest[self.smpl[f"left_{part}"]] for part in ("hip", "knee", "ankle"))
        return float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee))

    def add(self, name: str, above: str, offset: tuple[float, float, float]) -> None:
        """Hang one more joint on another."""
        parent = self.names.index(above)
        self.names.append(name)
        self.parents.append(parent)
        self.rest = np.concatenate([self.rest, self.rest[parent][None] + offset])
        self.frames = np.concatenate([self.frames, self.frames[parent][None]])

    def between(self, name: str, joint: int) -> None:
        """Put a joint halfway between a joint and its parent."""
        parent = self.parents[joint]
        self.names.insert(joint, name)
        self.parents = [above + (above >= joint) for above in self.parents]
        self.parents.insert(joint, parent)
        self.parents[joint + 1] = joint
        self.rest = np.insert(self.rest, joint, (self.rest[joint] + self.rest[parent]) / 2, axis=0)
        self.frames = np.insert(self.frames, joint, self.frames[parent], axis=0)
        self.smpl = {key: place + (place >= joint) for key, place in self.smpl.items()}

    def arms_down(self, degrees: float) -> None:
        """An A-pose."""
        for side, sign in SIDES:
            top = self.smpl[f"{side}_shoulder"]
            turn = axis_rotation(np.deg2rad(-sign * degrees), 2)
            below = [top]
            for joint, parent in enumerate(self.parents):
                if parent in below:
                    below.append(joint)
            self.rest[below] = (self.rest[below] - self.rest[top]) @ turn.T + self.rest[top]
            self.frames[below] = turn @ self.frames[below]

    def along_bones(self) -> None:
        """Every joint's y axis along its bone, as in Blender and Mixamo."""
        for joint in range(len(self.names)):
            below = [child for child, parent in enumerate(self.parents) if parent == joint]
            parent = self.parents[joint]
            bone = self.rest[below[0]] - self.rest[joint] if below else self.rest[joint] - self.rest[parent]
            self.frames[joint] = swing(np.array([0.0, 1.0, 0.0]), bone)

    def glb(self, skin: bool = True) -> bytes:
        """The file: a box around every bone, one material with a texture, extras, and an animation of a finger."""
        return Glb([self], skin).bytes()


class Glb:
    """A file of one or several characters; `json` and `data` may be changed before `bytes()`."""

    def __init__(self, bodies: list[Body], skin: bool = True) -> None:
        self.data = b""
        self.json: dict[str, Any] = {"asset": {"version": "2.0", "extras": {"author": "Zoë"}}, "nodes": []}
        self.json |= {
            "scene": 0,
            "scenes": [{"nodes": []}],
            "bufferViews": [],
            "accessors": [],
            "extras": {"a": [1.0]},
        }
        for body in bodies:
            self.add_body(body, skin)

    def array(self, values: np.ndarray, kind: str, component: int = 5126, **more: Any) -> int:
        data = np.ascontiguousarray(values, dtype={5126: "<f4", 5123: "<u2", 5121: "u1"}[component])
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": data.nbytes}
        self.json["bufferViews"].append(view)
        accessor = {"bufferView": len(self.json["bufferViews"]) - 1, "componentType": component}
        self.json["accessors"].append(accessor | {"count": len(data), "type": kind} | more)
        self.data += data.tobytes() + b"\0" * (-data.nbytes % 4)
        return len(self.json["accessors"]) - 1

    def add_body(self, body: Body, skin: bool) -> None:
        nodes, first = self.json["nodes"], len(self.json["nodes"]) + 1
        scale = np.linalg.norm(body.armature[:3, 0])
        turn = roma.rotmat_to_unitquat(torch.from_numpy(body.armature[:3, :3] / scale)).tolist()
        roots = [first + joint for joint, parent in enumerate(body.parents) if parent < 0]
        armature = {"name": "Armature", "rotation": turn, "scale": [float(scale)] * 3, "children": roots}
        self.json["scenes"][0]["nodes"].append(first - 1)
        nodes.append(armature)
        bind = np.tile(np.eye(4), (len(body.names), 1, 1))
        bind[:, :3, :3], bind[:, :3, 3] = body.frames, body.rest
        inside = np.linalg.inv(body.armature) @ bind  # in the armature's coordinates
        inside[:, :3, :3] *= scale
        for joint, parent in enumerate(body.parents):
            local = inside[joint] if parent < 0 else np.linalg.inv(inside[parent]) @ inside[joint]
            node: dict[str, Any] = {"name": body.names[joint], "translation": local[:3, 3].tolist()}
            node["rotation"] = roma.rotmat_to_unitquat(torch.from_numpy(local[:3, :3].copy())).tolist()
            node["children"] = [first + child for child, above in enumerate(body.parents) if above == joint]
            nodes.append({key: value for key, value in node.items() if value != []})
        if skin:
            self.add_skin(body, first, inside)
        turns = np.array([[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.6, 0.8]])
        sampler = {"input": self.array(np.array([[0.0], [1.0]]), "SCALAR", min=[0.0], max=[1.0])}
        sampler["output"] = self.array(turns, "VEC4")
        channel = {"sampler": 0, "target": {"node": first + len(body.names) - 1, "path": "rotation"}}
        animation = {"name": "fist", "channels": [channel], "samplers": [sampler]}
        self.json.setdefault("animations", []).append(animation)

    def add_skin(self, body: Body, first: int, inside: np.ndarray) -> None:
        corners = np.indices((2, 2, 2)).reshape(3, 8).T * 2.0 - 1.0
        scale = float(np.linalg.norm(body.armature[:3, 0]))
        size = 0.025 * body.leg / scale
        boxes = np.concatenate([corners * size + place for place in inside[:, :3, 3]])
        joints = np.zeros((len(boxes), 4))
        joints[:, 0] = np.repeat(np.arange(len(inside)), 8)
        weights = np.tile([1.0, 0.0, 0.0, 0.0], (len(boxes), 1))
        faces = np.array([0, 1, 3, 0, 3, 2, 4, 7, 5, 4, 6, 7, 0, 5, 1, 0, 4, 5, 2, 3, 7, 2, 7, 6, 0, 2, 6, 0, 6, 4])
        faces = np.concatenate([faces, [1, 5, 7, 1, 7, 3]])
        indices = (faces + 8 * np.arange(len(inside))[:, None]).reshape(-1, 1)
        place = self.array(boxes, "VEC3", min=boxes.min(0).tolist(), max=boxes.max(0).tolist())
        attributes = {"POSITION": place, "JOINTS_0": self.array(joints, "VEC4", 5123)}
        attributes["WEIGHTS_0"] = self.array(weights, "VEC4")
        # the bind pose is in the armature's coordinates, in which bones have no scale
        bind = inside.copy()
        bind[:, :3, :3] /= np.linalg.norm(bind[:, :3, :1], axis=1, keepdims=True)
        inverse = self.array(np.linalg.inv(bind).swapaxes(1, 2).reshape(-1, 16), "MAT4")
        primitive = {"attributes": attributes, "indices": self.array(indices, "SCALAR", 5123), "material": 0}
        self.json.setdefault(
            "materials", [{"name": "skin", "extensions": {"KHR_materials_unlit": {}}, "extras": {"b": 2}}]
        )
        self.json.setdefault("meshes", []).append({"name": "body", "primitives": [primitive]})
        skins = self.json.setdefault("skins", [])
        skins.append({"joints": list(range(first, first + len(inside))), "inverseBindMatrices": inverse})
        self.json["nodes"].append({"name": "body", "mesh": len(self.json["meshes"]) - 1, "skin": len(skins) - 1})
        self.json["nodes"][first - 1]["children"].append(len(self.json["nodes"]) - 1)

    def bytes(self) -> bytes:
        self.json["buffers"] = [{"byteLength": len(self.data)}]
        text = json.dumps(self.json, ensure_ascii=False).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text
        chunks += struct.pack("<I4s", len(self.data), b"BIN\0") + self.data
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def plain(**factors: float) -> Body:
    """The plain rig of `rigs.py`, standing on y = 0, with parts lengthened: `legs`, `shins`, `arms`, `trunk`, `hips`,
    `shoulders`, `feet` or all of it (`size`)."""
    offsets = plain_offsets() / 100
    parts = dict(legs=("knee", "ankle"), shins=("ankle",), arms=("elbow", "wrist"), hips=("hip",), feet=("foot",))
    parts |= dict(trunk=("spine1", "spine2", "spine3", "neck"), shoulders=("shoulder",), size=("",), head=("head",))
    for part, factor in factors.items():
        for name, joint in INDEX.items():
            if name.split("_")[-1] in parts[part] or part == "size":
                offsets[joint] *= factor
    rest = np.zeros((22, 3))
    for joint, parent in enumerate(SMPL22.parents[1:], start=1):
        rest[joint] = rest[parent] + offsets[joint]
    rest[:, 1] -= rest[:, 1].min() - 0.03 * factors.get("size", 1.0)
    return Body(list(SMPL22.names), list(SMPL22.parents), rest, np.tile(np.eye(3), (22, 1, 1)), dict(INDEX))


def named(body: Body, middle: dict[str, str], side: dict[str, str], form: str, sides: tuple[str, str]) -> Body:
    """Other names: `form` has the places {side} and {name}."""
    for name, joint in body.smpl.items():
        own, _, part = name.rpartition("_")
        label = sides[own == "right"] if own else ""
        body.names[joint] = form.format(side=label, name=side[part]) if own else middle[name]
    return body


def mixamo(prefix: str = "mixamorig:") -> Body:
    """In centimetres below an armature of scale 0.01 with z up; fingers; bones along y; a steep foot."""
    body = plain(shins=1.05, shoulders=0.9, feet=1.2)
    for own, _ in SIDES:
        body.rest[body.smpl[f"{own}_foot"]] += [0.0, -0.02, -0.03]
    named(body, _MIXAMO, _MIXAMO_SIDE, "{side}{name}", ("Left", "Right"))
    body.names = [prefix + name for name in body.names]
    body.add(f"{prefix}HeadTop_End", f"{prefix}Head", (0.0, 0.18, 0.0))
    for label, sign in (("Left", 1.0), ("Right", -1.0)):
        body.add(f"{prefix}{label}Toe_End", f"{prefix}{label}ToeBase", (0.0, 0.0, 0.07))
        for finger, z in (("Thumb", 0.03), ("Index", 0.02), ("Pinky", -0.02)):
            body.add(f"{prefix}{label}Hand{finger}1", f"{prefix}{label}Hand", (sign * 0.08, 0.0, z))
            body.add(f"{prefix}{label}Hand{finger}2", f"{prefix}{label}Hand{finger}1", (sign * 0.03, -0.005, 0.0))
    body.along_bones()
    body.armature = np.diag([0.01, 0.01, 0.01, 1.0])
    body.armature[:3, :3] = 0.01 * axis_rotation(np.array(-np.pi / 2), 0)
    return body


def makehuman() -> Body:
    """Five spine joints and limbs of two joints a bone, in an A-pose."""
    body = named(plain(arms=0.95, hips=1.2), _MAKEHUMAN, _MAKEHUMAN_SIDE, "{name}.{side}", ("L", "R"))
    for name, label in (("spine2", "spine04"), ("spine3", "spine02")):
        body.between(label, body.smpl[name])
    for own, label in (("left", "L"), ("right", "R")):
        for below, name in (("knee", "upperleg02"), ("ankle", "lowerleg02"), ("elbow", "upperarm02")):
            body.between(f"{name}.{label}", body.smpl[f"{own}_{below}"])
        body.between(f"lowerarm02.{label}", body.smpl[f"{own}_wrist"])
    body.arms_down(40.0)
    body.along_bones()
    return body


def characters() -> dict[str, Body]:
    """The characters of the table in `docs/files.md`, by what they are."""
    threejs = mixamo("mixamorig")
    threejs.armature = np.eye(4)
    return {
        "plain T-pose": plain(),
        "child (0.6 m legs, large head)": plain(size=0.7, legs=0.85, head=1.6),
        "giant (3.4 m)": plain(size=2.0),
        "long arms, short shins": plain(arms=1.4, shins=0.8, hips=1.3),
        "wide hips, long feet": plain(hips=1.6, feet=1.5),
        "as Mixamo's: centimetres, z up, fingers": mixamo(),
        "as MakeHuman's: A-pose, two joints a bone": makehuman(),
        "as three.js' examples": threejs,
    }
