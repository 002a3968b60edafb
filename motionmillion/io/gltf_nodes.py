"""Reading `.glb` and `.gltf` files: the joints of a skin and one animation, without any package.

    motion = read_gltf("walk.glb")
    motion = read_gltf("moves.glb", index=1)       # the second animation of the file

The rest pose is the bind pose of the skins, where there are any, else that of the nodes. Meshes and materials are
dropped, morph targets too. Times between keys are interpolated as the file says.
Unusual: glTF has no frame rate; None takes the one by which the keys are spaced.

Shapes: T frames, N nodes, K keys. Source: Khronos' specification of glTF 2.0.
"""

import base64
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import roma
import torch

from motionmillion.io.files import existing_file
from motionmillion.io.options import choose
from motionmillion.io.trees import PosedTree, TreeOptions, check_rate, motion_of_tree
from motionmillion.kinematics.rotations import unit
from motionmillion.motion import Motion

_MAGIC, _JSON, _BINARY = b"glTF", b"JSON", b"BIN\0"
_TYPES = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_MOST_NODES, _MOST_FRAMES = 10_000, 500_000
_RATES = (24.0, 25.0, 30.0, 50.0, 60.0, 100.0, 120.0)


def read_gltf(
    path: str | Path,
    scale: float | None = None,
    up: str | None = None,
    mapping: Mapping[str, str] | None = None,
    fps: float | None = None,
    index: int | None = None,
) -> Motion:
    """Read an animation of a glTF file onto SMPL22.

    Args:
        scale, up, mapping: see `motionmillion.io.bvh.read_bvh`; a unit is a metre here.
        fps: frames per second to sample the animation at; None takes that of its keys.
        index: which animation of several; None takes the first, with a warning.

    Raises:
        ValueError: if the file is missing, damaged or without animation, or its joints cannot be mapped.
    """
    options = TreeOptions(scale, up, mapping)
    return motion_of_tree(gltf_tree(path, fps, index), str(path), options)


def gltf_tree(path: str | Path, fps: float | None = None, index: int | None = None) -> PosedTree:
    """The joints of a file as they are in it."""
    path = existing_file(path)
    check_rate(fps)
    file = GltfFile(path)
    try:
        return _posed(file, fps, index)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, RecursionError) as error:
        if isinstance(error, GltfError) or str(error).startswith("index must"):
            raise ValueError(str(error)) from None
        raise file.damaged(f"{type(error).__name__}: {error}") from None


class GltfError(ValueError):
    """An error whose message is complete."""


class GltfFile:
    """The JSON of a file, and its arrays."""

    def __init__(self, path: Path) -> None:
        self.path = path
        data = path.read_bytes()
        self.binary: bytes | None = None
        if data[:4] == _MAGIC:
            chunks = self._chunks(data)
            data, self.binary = chunks.get(_JSON, b""), chunks.get(_BINARY)
        try:
            self.json: dict[str, Any] = json.loads(data.decode("utf-8-sig"))
            if not isinstance(self.json, dict) or "asset" not in self.json:
                raise ValueError("it has no asset")
        except (ValueError, RecursionError) as error:
            raise self.damaged(str(error)) from None

    def damaged(self, reason: str) -> GltfError:
        return GltfError(f"path must be a whole glTF file, got {str(self.path)!r} ({' '.join(reason.split())[:120]})")

    def _chunks(self, data: bytes) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        start = 12
        while start + 8 <= len(data):
            length, kind = struct.unpack_from("<I4s", data, start)
            if start + 8 + length > len(data):
                raise self.damaged("it is truncated")
            found.setdefault(kind, data[start + 8 : start + 8 + length])
            start += 8 + length
        return found

    def buffer(self, number: int) -> bytes:
        uri = self.json["buffers"][number].get("uri")
        if uri is None:
            if self.binary is None:
                raise self.damaged("it has no binary part")
            return self.binary
        if uri.startswith("data:"):
            return base64.b64decode(uri.split(",", 1)[1])
        return self.beside(unquote(uri))

    def beside(self, name: str) -> bytes:
        """The bytes of a file that belongs to this one."""
        path = (self.path.parent / name).resolve()
        if self.path.parent.resolve() not in path.parents:
            raise GltfError(f"files of {str(self.path)!r} must lie in its folder, got {name[:80]!r}")
        return existing_file(path).read_bytes()

    def array(self, number: int) -> np.ndarray:
        """The values `[K, width]` of an accessor, integers scaled to -1..1 or 0..1 if they are normalised."""
        accessor = self.json["accessors"][number]
        width, kind = _WIDTHS[accessor["type"]], np.dtype(_TYPES[accessor["componentType"]])
        count = int(accessor["count"])
        if "sparse" in accessor or "bufferView" not in accessor:
            raise GltfError(f"accessors of {str(self.path)!r} must be plain, got a sparse one; export it again")
        view = self.json["bufferViews"][accessor["bufferView"]]
        data = self.buffer(view["buffer"])
        start = int(view.get("byteOffset", 0)) + int(accessor.get("byteOffset", 0))
        stride = int(view.get("byteStride", 0)) or width * kind.itemsize
        end = start + (count - 1) * stride + width * kind.itemsize
        if count < 1 or start < 0 or stride < width * kind.itemsize or end > len(data):
            raise self.damaged(f"accessor {number} is out of range")
        values = np.ndarray((count, width), kind, data, start, (stride, kind.itemsize)).astype(np.float64)
        if accessor.get("normalized"):
            values = np.maximum(values / np.iinfo(kind).max, -1.0)
        if not np.isfinite(values).all():
            raise GltfError(f"accessors of {str(self.path)!r} must be finite, got NaN or infinity in {number}")
        return values


def _posed(file: GltfFile, fps: float | None, index: int | None) -> PosedTree:
    """The nodes of one animation, at every frame."""
    nodes = file.json.get("nodes", [])
    moving = [a for a in file.json.get("animations", []) if any("node" in c["target"] for c in a["channels"])]
    if not moving:
        raise GltfError(f"{str(file.path)!r} must hold an animation, got none; export it with its animation")
    if len(nodes) > _MOST_NODES:
        raise GltfError(f"{str(file.path)!r} must have at most {_MOST_NODES} nodes, got {len(nodes)}")
    animation = moving[choose(len(moving), index, file.path, "animations")]
    moved = {channel["target"]["node"] for channel in animation["channels"] if "node" in channel["target"]}
    groups = joint_groups(file, nodes) if file.json.get("skins") else [moved]
    # of several characters those that the animation moves
    joints = set().union(*([group for group in groups if group & moved] or groups))
    order, parents = ordered(file, nodes, joints)
    keys = animation_keys(file, animation)
    rate, posed = posed_matrices(file, keys, order, parents, fps)
    rest = rest_matrices(file, order, parents)
    return PosedTree.from_matrices(node_names(nodes, order), parents, rate, rest, posed)


def joint_groups(file: GltfFile, nodes: list[dict[str, Any]]) -> list[set[int]]:
    """The joints of each character of a file, the largest first: of skins that share joints or hang on one another.

    Without skins they are the nodes below each topmost one.
    """
    above = {child: number for number, node in enumerate(nodes) for child in node.get("children", [])}
    skins = [set(skin["joints"]) for skin in file.json.get("skins", [])]
    skins = skins or [_below(nodes, node) for node in range(len(nodes)) if node not in above]
    every = set().union(*skins)
    groups: list[tuple[set[int], set[int]]] = []  # topmost joints, and joints
    for skin in skins:
        tops = set()
        for joint in skin:
            top, seen = joint, set()
            while joint in above and joint not in seen:
                seen.add(joint)
                joint = above[joint]
                top = joint if joint in every else top
            tops.add(top)
        alike = [group for group in groups if group[0] & tops]
        groups = [group for group in groups if not group[0] & tops]
        groups.append((tops.union(*(group[0] for group in alike)), skin.union(*(group[1] for group in alike))))
    return sorted((joints for _, joints in groups), key=len, reverse=True)


def _below(nodes: list[dict[str, Any]], node: int) -> set[int]:
    """A node and all below it."""
    found, waiting = set(), [node]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += nodes[node].get("children", [])
    return found


def node_names(nodes: list[dict[str, Any]], order: list[int]) -> list[str]:
    """The names of nodes; those without one are called by their number."""
    return [str(nodes[number].get("name", f"node{number}")) for number in order]


def posed_matrices(
    file: GltfFile,
    keys: Mapping[tuple[int, str], tuple[np.ndarray, np.ndarray, str]],
    order: list[int],
    parents: list[int],
    fps: float | None = None,
) -> tuple[float, np.ndarray]:
    """The frame rate of an animation, and global matrices `[T, N, 4, 4]` of the nodes in `order` at every frame."""
    nodes = file.json["nodes"]
    times = [key[0] for key in keys.values()]
    begin, end = min(t[0] for t in times), max(t[-1] for t in times)
    rate = _rate(times) if fps is None else fps
    frames = round((end - begin) * rate) + 1
    if frames > _MOST_FRAMES:
        raise GltfError(f"{str(file.path)!r} must have at most {_MOST_FRAMES} frames, got {frames}; pass a lower fps")
    at = begin + np.arange(frames) / rate
    posed = np.empty((frames, len(order), 4, 4), dtype=np.float32)
    for place, number in enumerate(order):
        own = node_matrix(nodes[number])
        moved = {path: _sampled(*keys[number, path], at) for node, path in keys if node == number}
        local = node_matrix({**nodes[number], **moved}, frames) if moved else np.broadcast_to(own, (frames, 4, 4))
        above = parents[place]
        posed[:, place] = local if above < 0 else posed[:, above] @ local
    return rate, posed


def rest_matrices(file: GltfFile, order: list[int], parents: list[int]) -> np.ndarray:
    """Global matrices `[N, 4, 4]` of the nodes in `order` in the rest pose: the bind pose of skins, else the nodes'.

    A bind pose is given in the mesh's coordinates; it is placed where the first joint of its skin is.
    """
    rest = np.empty((len(order), 4, 4))
    for place, number in enumerate(order):
        own, above = node_matrix(file.json["nodes"][number]), parents[place]
        rest[place] = own if above < 0 else rest[above] @ own
    placed = rest.copy()
    for skin in file.json.get("skins", []):
        binds = {order.index(number): matrix for number, matrix in bind_matrices(file, skin) if number in order}
        for place, matrix in binds.items():
            rest[place] = placed[min(binds)] @ np.linalg.inv(binds[min(binds)]) @ matrix
    return rest


def bind_matrices(file: GltfFile, skin: Mapping[str, Any]) -> list[tuple[int, np.ndarray]]:
    """The joints of a skin and their matrices `[4, 4]` in the mesh's coordinates, where the skin has any."""
    if "inverseBindMatrices" not in skin:
        return []
    matrices = file.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).swapaxes(-1, -2)
    pairs = zip(skin["joints"], matrices, strict=False)
    return [(number, np.linalg.inv(matrix)) for number, matrix in pairs if abs(np.linalg.det(matrix)) > 1e-12]


def ordered(file: GltfFile, nodes: list[dict[str, Any]], joints: set[int]) -> tuple[list[int], list[int]]:
    """The joints and what they hang from, parents before children, and the places of their parents."""
    above = {child: number for number, node in enumerate(nodes) for child in node.get("children", [])}
    # tips that do not move are joints too
    joints = joints | {
        child for joint in joints for child in nodes[joint].get("children", []) if "mesh" not in nodes[child]
    }
    depths: dict[int, int] = {}
    for joint in joints:
        chain = [joint]
        while chain[-1] in above:
            chain.append(above[chain[-1]])
            if len(chain) > len(nodes):
                raise file.damaged("its nodes form a ring")
        depths.update({number: len(chain) - place for place, number in enumerate(chain)})
    order = sorted(depths, key=lambda number: (depths[number], number))
    return order, [order.index(above[number]) if number in above else -1 for number in order]


def animation_keys(
    file: GltfFile, animation: dict[str, Any]
) -> dict[tuple[int, str], tuple[np.ndarray, np.ndarray, str]]:
    """Times `[K]`, values and interpolation of each node's translation, rotation and scale."""
    found = {}
    for channel in animation["channels"]:
        target, sampler = channel["target"], animation["samplers"][channel["sampler"]]
        if "node" not in target or target["path"] not in ("translation", "rotation", "scale"):
            continue
        times, values = file.array(sampler["input"])[:, 0], file.array(sampler["output"])
        way = sampler.get("interpolation", "LINEAR")
        if (np.diff(times) <= 0).any() or len(values) != len(times) * (3 if way == "CUBICSPLINE" else 1):
            raise file.damaged("an animation has times or values that do not fit")
        found[target["node"], target["path"]] = times, values, way
    if not found:
        raise GltfError(f"{str(file.path)!r} must hold moving nodes, got morph targets only")
    return found


def _rate(times: list[np.ndarray]) -> float:
    """The frame rate by which the keys are spaced, a common one if it is near; 30 for keys of any spacing."""
    steps = np.concatenate([np.diff(t) for t in times if len(t) > 1] or [np.array([1 / 30])])
    rate = 1.0 / float(np.median(steps))
    near = min(_RATES, key=lambda common: abs(common - rate))
    if abs(near - rate) < 0.02 * near:
        return near
    return rate if 5.0 < rate < 500.0 else 30.0


def _sampled(times: np.ndarray, values: np.ndarray, way: str, at: np.ndarray) -> np.ndarray:
    """Values `[T, width]` between keys."""
    after = np.clip(np.searchsorted(times, at, side="right"), 1, max(len(times) - 1, 1))
    before = after - 1
    if len(times) == 1:
        return np.repeat(values[1:2] if way == "CUBICSPLINE" else values[:1], len(at), axis=0)
    span = (times[after] - times[before])[:, None]
    share = np.clip((at - times[before])[:, None] / span, 0.0, 1.0)
    if way == "STEP":
        return np.where(share > 0.999, values[after], values[before])  # keys are float32
    if way == "CUBICSPLINE":
        incoming, value, outgoing = values[0::3], values[1::3], values[2::3]
        square, cube = share**2, share**3
        return (
            (2 * cube - 3 * square + 1) * value[before]
            + span * (cube - 2 * square + share) * outgoing[before]
            + (3 * square - 2 * cube) * value[after]
            + span * (cube - square) * incoming[after]
        )
    first, last = values[before], values[after]
    if values.shape[1] == 4:
        # the shorter way between quaternions
        last = np.where((first * last).sum(-1, keepdims=True) < 0, -last, last)
        first, last = torch.from_numpy(unit(first)), torch.from_numpy(unit(last))
        return _slerp(first, last, torch.from_numpy(share[:, 0])).numpy()
    return first + (last - first) * share


def _slerp(first: torch.Tensor, last: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    relative = roma.quat_product(roma.quat_conjugation(first), last)
    return roma.quat_product(first, roma.rotvec_to_unitquat(roma.unitquat_to_rotvec(relative) * share[:, None]))


def node_matrix(node: Mapping[str, Any], frames: int | None = None) -> np.ndarray:
    """The matrix `[4, 4]` of a node's transform, or `[T, 4, 4]` if some of it moves."""
    shape = () if frames is None else (frames,)
    if frames is None and "matrix" in node:
        return np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
    result = np.zeros((*shape, 4, 4))
    quaternion = unit(np.asarray(node.get("rotation", [0.0, 0.0, 0.0, 1.0]), dtype=np.float64))
    turned = roma.unitquat_to_rotmat(torch.from_numpy(quaternion)).numpy()
    result[..., :3, :3] = turned * np.asarray(node.get("scale", [1.0, 1.0, 1.0]), dtype=np.float64)[..., None, :]
    result[..., :3, 3] = node.get("translation", [0.0, 0.0, 0.0])
    result[..., 3, 3] = 1.0
    return result
