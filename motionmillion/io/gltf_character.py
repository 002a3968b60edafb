"""A character in a `.glb` or `.gltf` file: its skeleton as a target, and its file with more animations.

    character = read_glb("hero.glb")
    write_glb_animations(character, [Animation(carried, 30.0, "walk")], character.joints, "out.glb")

The file is kept: meshes, materials, skins, textures, extras and other animations stay as they are, byte for byte, and
the new animations come last; a `.gltf` with the files beside it becomes one `.glb`. The rest pose is the bind pose of
the skins. Armatures may be scaled and turned (Mixamo's 0.01, roots with z up), and nodes may have matrices. Fingers
and other joints without a counterpart are not animated.
Unusual: a node that gets an animation must not have a matrix, so that its matrix is taken apart.

Shapes: T frames, N joints.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import roma
import torch

from motionmillion.io.files import PathError, existing_file, write_bytes
from motionmillion.io.gltf_nodes import (
    GltfError,
    GltfFile,
    animation_keys,
    bind_matrices,
    joint_groups,
    node_matrix,
    node_names,
    ordered,
    posed_matrices,
    rest_matrices,
)
from motionmillion.io.gltf_pack import in_one_piece, pack
from motionmillion.io.people import choose_character
from motionmillion.kinematics.rotations import nearest
from motionmillion.kinematics.targets import Carried, Target

_UNEVEN = 0.02
_POSED = 1e-3
"""Nodes that differ from the bind pose by more, as a share of the size of the body, are posed."""


@dataclass(frozen=True, eq=False)
class GlbCharacter:
    """A character and its file.

    Args:
        target: the body, in metres.
        frames: rotations `[N, 3, 3]` of the joints in the rest pose.
        bones: which joints belong to a skin, `[N]`.
        order: the node of each joint.
        placed: matrices `[N, 4, 4]` of the nodes as they stand in the file.
        joints: SMPL22 name -> joint.
    """

    file: GltfFile
    target: Target
    frames: np.ndarray
    bones: np.ndarray
    order: list[int]
    placed: np.ndarray
    joints: dict[str, int] = field(default_factory=dict)


def read_glb(path: str | Path, index: int | None = None, mapping: dict[str, str] | None = None) -> GlbCharacter:
    """The character of a `.glb` or `.gltf` file.

    Args:
        index: which character of several.
        mapping: SMPL22 name -> name in the file, for joints that are not found automatically.

    Raises:
        ValueError: if the file is damaged, or holds no character, several, or one with mirrored or unevenly scaled
            joints.
    """
    path = existing_file(path)
    file = GltfFile(path)
    try:
        return _read(file, index, mapping or {})
    except (GltfError, PathError) as error:
        raise ValueError(str(error)) from None
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(str(file.damaged(f"{type(error).__name__}: {error}"))) from None


def _read(file: GltfFile, index: int | None, mapping: dict[str, str]) -> GlbCharacter:
    nodes = file.json.get("nodes", [])
    groups, skinned = joint_groups(file, nodes), bool(file.json.get("skins"))
    if not skinned:
        warnings.warn(f"{str(file.path)!r} has no skin, so that only its nodes will move", stacklevel=4)
    made = [_character(file, nodes, joints) for joints in filter(None, groups)]
    try:
        place, found = choose_character([character.target for character in made], mapping, file.path, index)
    except ValueError as error:
        raise GltfError(str(error)) from None
    character = made[place]
    _check_scales(character, set(found.values()), nodes)
    return replace(character, joints=found)


def _character(file: GltfFile, nodes: list[dict[str, Any]], joints: set[int]) -> GlbCharacter:
    order, parents = ordered(file, nodes, joints)
    placed = np.empty((len(order), 4, 4))
    for place, number in enumerate(order):
        own = node_matrix(nodes[number])
        placed[place] = own if parents[place] < 0 else placed[parents[place]] @ own
    rest = rest_matrices(file, order, parents)
    turn = _upright(file, order, rest, placed)
    rest[:, :3] = turn @ rest[:, :3]
    frames = nearest(rest[:, :3, :3])
    clip = _clip(file, order, parents, frames)
    target = Target(
        tuple(node_names(nodes, order)),
        tuple(parents),
        rest[:, :3, 3],
        _floor(file, nodes, order, rest),
        *clip,
        path=str(file.path),
    )
    return GlbCharacter(file, target, frames, np.isin(order, list(joints)), order, placed)


def _upright(file: GltfFile, order: list[int], rest: np.ndarray, placed: np.ndarray) -> np.ndarray:
    """The rotation `[3, 3]` that undoes a turn of the bind pose because the nodes are posed."""
    apart = np.linalg.norm(rest[:, :3, 3] - placed[:, :3, 3], axis=-1).max()
    if apart <= _POSED * np.ptp(rest[:, :3, 3], axis=0).max():
        return np.eye(3)
    binds = (pair for skin in file.json.get("skins", []) for pair in bind_matrices(file, skin) if pair[0] in order)
    node, bind = next(binds)
    # a mesh lies along its axes, in whatever pose the joint is that places it
    turn = nearest(rest[order.index(node), :3, :3] @ np.linalg.inv(bind[:3, :3]))
    axes = np.zeros((3, 3))
    for row in np.argsort(-np.abs(turn).max(1)):
        free = np.where(np.abs(axes).sum(0) == 0, np.abs(turn[row]), -1.0)
        axes[row, free.argmax()] = np.sign(turn[row, free.argmax()]) or 1.0
    return axes @ turn.T if np.linalg.det(axes) > 0 else np.eye(3)


def _clip(file: GltfFile, order: list[int], parents: list[int], frames: np.ndarray) -> tuple[Any, Any]:
    """Positions and rotations of the file's first animation of these joints, if there is one."""
    for animation in file.json.get("animations", []):
        if any(channel["target"].get("node") in order for channel in animation["channels"]):
            try:
                posed = posed_matrices(file, animation_keys(file, animation), order, parents)[1].astype(np.float64)
            except GltfError:
                continue
            return posed[..., :3, 3], nearest(posed[..., :3, :3]) @ frames.swapaxes(-1, -2)
    return None, None


def _floor(file: GltfFile, nodes: list[dict[str, Any]], order: list[int], rest: np.ndarray) -> float | None:
    """The height of the lowest vertex of the character's meshes in the bind pose; None without any."""
    found = []
    for node in nodes:
        if "mesh" not in node or "skin" not in node:
            continue
        skin = file.json["skins"][node["skin"]]
        if "inverseBindMatrices" not in skin or skin["joints"][0] not in order:
            continue
        inverse = file.array(skin["inverseBindMatrices"])[0].reshape(4, 4).T
        mesh = rest[order.index(skin["joints"][0])] @ inverse  # from the mesh's coordinates
        for primitive in file.json["meshes"][node["mesh"]]["primitives"]:
            try:
                vertices = file.array(primitive["attributes"]["POSITION"])
            except GltfError:
                continue  # compressed
            found.append((vertices @ mesh[1, :3] + mesh[1, 3]).min())
    return float(min(found)) if found else None


def _check_scales(character: GlbCharacter, mapped: set[int], nodes: list[dict[str, Any]]) -> None:
    """Raise `GltfError` for mirrored and unevenly scaled joints, which cannot be turned without shear."""
    parents, path = character.target.parents, str(character.file.path)
    checked = set()
    for joint in mapped:
        while joint >= 0 and joint not in checked:
            checked.add(joint)
            joint = parents[joint]
    for joint in sorted(checked):
        name, matrix = character.target.names[joint], node_matrix(nodes[character.order[joint]])[:3, :3]
        scales = np.linalg.norm(matrix, axis=0)
        if np.linalg.det(matrix) <= 0:
            raise GltfError(
                f"joints of {path!r} must not be mirrored, got {name!r} with a scale below or at 0; apply scales"
            )
        if scales.max() > scales.min() * (1 + _UNEVEN):
            said = " x ".join(f"{scale:.3g}" for scale in scales)
            raise GltfError(f"joints of {path!r} must be scaled evenly, got {name!r} with {said}; apply scales")


class Animation(NamedTuple):
    """A motion on a character, its frame rate, and its name; repeated names are numbered."""

    carried: Carried
    fps: float
    name: str = ""


def write_glb_animations(
    character: GlbCharacter,
    animations: Sequence[Animation],
    mapped: dict[str, int],
    path: str | Path,
    first: bool = False,
) -> Path:
    """Write the character's file with more animations.

    Args:
        mapped: SMPL22 name -> joint, as given to `ToTarget`.
        first: the new animations come before those of the file, for programs that play the first one only.
    """
    content, data = in_one_piece(character.file)
    for carried, fps, name in animations:
        channels = _channels(character, carried, mapped, content["nodes"])
        data = add_animation(content, data, channels, fps, name or "motion")
    if first:
        own = len(content["animations"]) - len(animations)
        content["animations"] = [*content["animations"][own:], *content["animations"][:own]]
    return write_bytes(pack(content, data), path)


def _channels(
    character: GlbCharacter, carried: Carried, mapped: dict[str, int], nodes: list[dict[str, Any]]
) -> list[tuple[int, str, np.ndarray]]:
    """Channels of an animation as `add_animation` takes them; takes the matrices of the moved `nodes` apart."""
    parents = character.target.parents
    moving = set()
    for joint in mapped.values():
        while joint != mapped["pelvis"]:
            moving.add(joint)
            joint = parents[joint]
    rotations = carried.rotations @ character.frames
    channels: list[tuple[int, str, np.ndarray]] = []
    for joint in [mapped["pelvis"], *sorted(moving)]:
        node, parent = character.order[joint], parents[joint]
        _take_apart(nodes[node])
        static = joint == mapped["pelvis"]
        above = np.eye(4) if parent < 0 else character.placed[parent]
        turn = nearest(above[None, :3, :3]) if static else rotations[:, parent]
        channels.append((node, "rotation", quaternions(turn.swapaxes(-1, -2) @ rotations[:, joint])))
        if static:
            inverse = np.linalg.inv(above)
            channels.append((node, "translation", carried.positions[:, joint] @ inverse[:3, :3].T + inverse[:3, 3]))
    return channels


def quaternions(rotations: np.ndarray) -> np.ndarray:
    """Quaternions `[T, 4]`, x y z w, of rotations `[T, 3, 3]`, without jumps of sign."""
    found = roma.rotmat_to_unitquat(torch.from_numpy(np.ascontiguousarray(rotations))).numpy()
    signs = np.sign((found[1:] * found[:-1]).sum(-1))
    found[1:] *= np.cumprod(np.where(signs == 0, 1, signs))[:, None]
    return found


def _take_apart(node: dict[str, Any]) -> None:
    """Replace the matrix of a node by translation, rotation and scale."""
    if "matrix" not in node:
        return
    matrix = node_matrix(node)
    del node["matrix"]
    scales = np.linalg.norm(matrix[:3, :3], axis=0)
    node["translation"], node["scale"] = matrix[:3, 3].tolist(), scales.tolist()
    node["rotation"] = quaternions(nearest(matrix[None, :3, :3] / scales))[0].tolist()


def add_animation(
    content: dict[str, Any], binary: bytes, channels: list[tuple[int, str, np.ndarray]], fps: float, name: str
) -> bytes:
    """Add an animation to a file's JSON; returns its binary part with the values at the end.

    Args:
        channels: node, "rotation" or "translation", and values `[T, 4]` or `[T, 3]`.
    """
    buffers = content["buffers"] = content.get("buffers") or [{"byteLength": 0}]
    data = bytearray(binary + b"\0" * (-len(binary) % 4))
    views, accessors = content.setdefault("bufferViews", []), content.setdefault("accessors", [])

    def added(values: np.ndarray, **more: Any) -> int:
        values = np.ascontiguousarray(values, dtype="<f4")
        kind = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}[values[0].size]
        views.append({"buffer": 0, "byteOffset": len(data), "byteLength": values.nbytes})
        accessor = {"bufferView": len(views) - 1, "componentType": 5126, "count": len(values), "type": kind}
        accessors.append(accessor | more)
        data.extend(values.tobytes())
        return len(accessors) - 1

    times = np.arange(len(channels[0][2]), dtype="<f4") / np.float32(fps)
    clock = added(times, min=[float(times[0])], max=[float(times[-1])])
    animations = content.setdefault("animations", [])
    taken, number, unique = {animation.get("name") for animation in animations}, 1, name
    while unique in taken:
        number, unique = number + 1, f"{name} {number + 1}"
    made: dict[str, Any] = {"name": unique, "channels": [], "samplers": []}
    for node, path, values in channels:
        made["channels"].append({"sampler": len(made["samplers"]), "target": {"node": node, "path": path}})
        made["samplers"].append({"input": clock, "output": added(values), "interpolation": "LINEAR"})
    animations.append(made)
    buffers[0]["byteLength"] = len(data)
    return bytes(data)
