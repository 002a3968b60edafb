"""Writing a skeleton and its motion without a mesh: `.bvh` with the target's own hierarchy, and `.glb`.

    write_bare_bvh(skeleton, carried, fps, "out.bvh")
    write_bare_glb(skeleton, carried, fps, "out.glb")

Shapes: T frames, N joints.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import roma
import torch

from motionmillion.io.bvh import unwrapped
from motionmillion.io.files import atomic_path, write_bytes
from motionmillion.io.gltf_character import add_animation, quaternions
from motionmillion.io.gltf_pack import pack
from motionmillion.kinematics.targets import Carried

_CHANNELS = ("zrotation", "xrotation", "yrotation")
_PLACES = ("xposition", "yposition", "zposition")


@dataclass(frozen=True, eq=False)
class BareSkeleton:
    """A tree of joints as it is written.

    Args:
        names: joint names; End Sites are called `<parent> end`.
        parents: index of each joint's parent, -1 for the root.
        rest: positions `[N, 3]` in the rest pose, in the file's axes and unit.
        frames: rotations `[N, 3, 3]` of the joints in the rest pose; BVH has none.
        channels: each joint's channels in a BVH file, in lower case; others get Zrotation Xrotation Yrotation.
        turn: `[3, 3]`, from the file's axes to y up.
        unit: units of the file per unit of the motion.
    """

    names: Sequence[str]
    parents: Sequence[int]
    rest: np.ndarray
    frames: np.ndarray
    channels: Sequence[Sequence[str]] = ()
    turn: np.ndarray | None = None
    unit: float = 1.0

    def in_file(self, carried: Carried) -> tuple[np.ndarray, np.ndarray]:
        """Global rotations relative to the rest pose, and positions, in the file's axes and unit."""
        turn = np.eye(3) if self.turn is None else self.turn
        return turn.T @ carried.rotations @ turn, carried.positions @ turn * self.unit


def write_bare_bvh(skeleton: BareSkeleton, carried: Carried, fps: float, path: str | Path) -> Path:
    """Write a BVH file with the skeleton's hierarchy, names, offsets and order of channels."""
    rotations, positions = skeleton.in_file(carried)
    lines, columns = ["HIERARCHY"], []
    for root in (joint for joint, parent in enumerate(skeleton.parents) if parent < 0):
        _add_joint(skeleton, root, 0, rotations, positions, lines, columns)
    lines += ["MOTION", f"Frames: {len(rotations)}", f"Frame Time: {1.0 / fps:.10f}"]
    values = np.concatenate(columns, axis=1)
    row = " ".join(["%.6f"] * values.shape[1])
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\n".join(lines) + "\n")
        file.writelines(row % tuple(line) + "\n" for line in values.tolist())
    return Path(path)


def _add_joint(
    skeleton: BareSkeleton,
    joint: int,
    depth: int,
    rotations: np.ndarray,
    positions: np.ndarray,
    lines: list[str],
    columns: list[np.ndarray],
) -> None:
    """The lines of a joint and all below it, and the columns of their channels."""
    tab, name, parent = "\t" * depth, skeleton.names[joint], skeleton.parents[joint]
    offset = skeleton.rest[joint] - (skeleton.rest[parent] if parent >= 0 else skeleton.rest[joint])
    if name.endswith(" end") and joint not in skeleton.parents:
        lines.extend([f"{tab}End Site", f"{tab}{{", f"{tab}\t{_offset(offset)}", f"{tab}}}"])
        return
    channels = list(skeleton.channels[joint]) if skeleton.channels else []
    if sum(channel.endswith("rotation") for channel in channels) != 3:
        channels = list(_CHANNELS)
    if parent < 0 and not set(_PLACES) <= set(channels):
        channels = [*_PLACES, *(channel for channel in channels if channel not in _PLACES)]
    order = "".join(channel[0] for channel in channels if channel.endswith("rotation")).upper()
    own = rotations[:, joint] if parent < 0 else rotations[:, parent].swapaxes(-1, -2) @ rotations[:, joint]
    turns = _angles(order, own)
    place = positions[:, joint] if parent < 0 else np.broadcast_to(offset, (len(own), 3))
    columns.extend(
        place[:, ["xyz".index(channel[0])]]
        if channel.endswith("position")
        else turns[:, [order.index(channel[0].upper())]]
        for channel in channels
    )
    shown = " ".join(channel[0].upper() + channel[1:] for channel in channels)
    lines.extend([f"{tab}{'JOINT' if depth else 'ROOT'} {name}", f"{tab}{{", f"{tab}\t{_offset(offset)}"])
    lines.append(f"{tab}\tCHANNELS {len(channels)} {shown}")
    below = [child for child, above in enumerate(skeleton.parents) if above == joint]
    for child in below:
        _add_joint(skeleton, child, depth + 1, rotations, positions, lines, columns)
    if not below:
        lines.extend([f"{tab}\tEnd Site", f"{tab}\t{{", f"{tab}\t\t{_offset(offset / 2)}", f"{tab}\t}}"])
    lines.append(f"{tab}}}")


def _angles(order: str, rotations: np.ndarray) -> np.ndarray:
    """Angles `[T, 3]`, degrees, whose curves have no jumps; the first channel is outermost."""
    angles = roma.rotmat_to_euler(order, torch.from_numpy(np.ascontiguousarray(rotations)))
    return np.rad2deg(unwrapped(torch.as_tensor(angles).numpy()[:, None]))[:, 0]


def _offset(values: np.ndarray) -> str:
    return "OFFSET " + " ".join(f"{value:.6f}" for value in values)


def write_bare_glb(skeleton: BareSkeleton, carried: Carried, fps: float, path: str | Path, name: str = "") -> Path:
    """Write a `.glb` file of the joints and their motion, in metres, with a skin for tools that look for one."""
    carried = carried._replace(positions=carried.positions * skeleton.unit)
    frames, rest, parents = skeleton.frames, skeleton.rest, skeleton.parents
    nodes: list[dict[str, Any]] = []
    channels: list[tuple[int, str, np.ndarray]] = []
    rotations = carried.rotations @ frames
    for joint, parent in enumerate(parents):
        above = np.eye(3) if parent < 0 else frames[parent]
        step = rest[joint] - (rest[parent] if parent >= 0 else 0.0)
        node = {"name": skeleton.names[joint], "translation": (above.T @ step).tolist()}
        node["rotation"] = quaternions((above.T @ frames[joint])[None])[0].tolist()
        node["children"] = [child for child, other in enumerate(parents) if other == joint]
        nodes.append({key: value for key, value in node.items() if value != []})
        posed = rotations[:, joint] if parent < 0 else rotations[:, parent].swapaxes(-1, -2) @ rotations[:, joint]
        channels.append((joint, "rotation", quaternions(posed)))
        if parent < 0:
            channels.append((joint, "translation", carried.positions[:, joint]))
    bind = np.tile(np.eye(4), (len(nodes), 1, 1))
    bind[:, :3, :3], bind[:, :3, 3] = frames, rest
    inverse = np.linalg.inv(bind).swapaxes(-1, -2).astype("<f4")
    roots = [joint for joint, parent in enumerate(parents) if parent < 0]
    content: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "motionmillion"},
        "scene": 0,
        "scenes": [{"nodes": roots}],
        "nodes": nodes,
        "skins": [{"joints": list(range(len(nodes))), "inverseBindMatrices": 0}],
        "bufferViews": [{"buffer": 0, "byteOffset": 0, "byteLength": inverse.nbytes}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": len(nodes), "type": "MAT4"}],
    }
    data = add_animation(content, inverse.tobytes(), channels, fps, name or "motion")
    return write_bytes(pack(content, data), path)
