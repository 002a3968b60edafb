"""BVH files: writing motions, and reading any hierarchy onto the SMPL22 body.

    write_bvh(motion, "wave.bvh")
    motion = read_bvh("cmu_walk.bvh")
    motion = read_bvh("rig.bvh", mapping={"left_hip": "Bone.012", "left_knee": "Bone.013"})

Writing: SMPL22's names and rest pose (a T-pose), y up, rotations as Zrotation Xrotation Yrotation (the first is
applied last), and CENTIMETRES by default, as most tools expect; `scale=1` writes metres.
Reading: joints are mapped by name and by their position in the tree (`motionmillion.kinematics.joint_names`), and the
motion is retargeted to SMPL22 from any rest pose (`motionmillion.kinematics.retarget`). BVH files do not specify their
unit: by default it is inferred by scaling the legs to SMPL22's length, so that centimetres, inches and CMU's own unit
all give the right size and feet are on the floor. Nor do they specify their vertical axis: it is y unless the whole
clip stands about another. A written motion is read back unchanged, also one of a body with bones of other lengths.
Unusual: BVH cannot store a caption. Fingers and faces are dropped.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from motionmillion.io.arrays import exact_rotations
from motionmillion.io.axes import check_up, settle_up
from motionmillion.io.bvh_file import BvhTree, parse_bvh
from motionmillion.io.files import existing_file, write_text
from motionmillion.kinematics.joint_names import map_joints
from motionmillion.kinematics.retarget import Retargeting, sample
from motionmillion.kinematics.rotations import axis_rotation, unit
from motionmillion.kinematics.upright import UP_TURNS
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22, Skeleton

_END_SITES = {
    "head": (0.0, 0.16, 0.03),
    "left_foot": (0.0, 0.0, 0.06),
    "right_foot": (0.0, 0.0, 0.06),
    "left_wrist": (0.09, 0.0, 0.0),
    "right_wrist": (-0.09, 0.0, 0.0),
}
_OTHER_END_SITE = (0.0, 0.05, 0.0)
_PIECE = 4096
_SAME_DIRECTION, _SAME_LENGTH = 0.02, 0.002
"""Bones that differ from SMPL22's by less are its own: radians, and metres."""


def write_bvh(motion: Motion, path: str | Path, scale: float = 100.0) -> Path:
    """Write a motion as BVH.

    Args:
        scale: file units per metre; 100 writes centimetres.

    Raises:
        ValueError: if `scale` is not positive, or the folder cannot be written.
    """
    scale = _checked_scale(scale)
    rotations = exact_rotations(motion)
    angles = np.rad2deg(_continuous(_euler_zxy(rotations)))  # [T, J, 3]
    root = motion.translation.detach().cpu().double().numpy() * scale
    lines = ["HIERARCHY", *_hierarchy(motion.skeleton, scale), "MOTION", f"Frames: {motion.num_frames}"]
    lines.append(f"Frame Time: {1.0 / motion.fps:.10f}")
    # channels follow the hierarchy, depth first
    values = np.concatenate([root, angles[:, _depth_first(motion.skeleton)].reshape(len(root), -1)], axis=1)
    lines += [" ".join(f"{value:.6f}" for value in row) for row in values]
    return write_text("\n".join(lines) + "\n", path)


def read_bvh(
    path: str | Path,
    scale: float | None = None,
    up: str | None = None,
    mapping: Mapping[str, str] | None = None,
    align: str = "limbs",
) -> Motion:
    """Read a BVH file of any hierarchy onto the SMPL22 body.

    Args:
        scale: file units per metre, e.g. 100 for centimetres; None scales the legs to SMPL22's length.
        up: the file's vertical axis, "y" or "z" ("-y" and "-z" point down); None takes y, unless the whole clip
            stands about another axis (with a warning).
        mapping: SMPL22 name -> the file's joint name, for joints that are not found automatically.
        align: "limbs" matches the directions of the limbs and the bending of the spine; "bones" also matches the
            directions of the bones of spine, neck and collars.

    Returns:
        a motion on SMPL22; on the file's own body if that has SMPL22's joints and rest pose and only its bones are of
        other lengths.

    Raises:
        ValueError: if the file is missing or damaged (with the line), its joints cannot be mapped (listing the missing
            ones), or an argument is out of range.
    """
    check_up(up)
    if align not in ("limbs", "bones"):
        raise ValueError(f'align must be "limbs" or "bones", got {align!r}')
    scale = None if scale is None else _checked_scale(scale)
    tree = parse_bvh(existing_file(path).read_bytes(), str(path))
    rest = tree.rest_positions()
    joints = map_joints(tree.names, tree.parents, mapping, str(path), rest)
    some = sample(len(tree.values))
    positions, rotations = tree.forward_kinematics(some)
    turn = UP_TURNS[settle_up(_smpl_order(positions, joints), up, "y", repr(str(path)))]
    own = _own_body(tree, joints, scale)
    if own is not None:
        return _on_own_body(tree, joints, turn, *own)
    retargeting = Retargeting(
        joints,
        tree.parents,
        rest,
        positions @ turn.T,
        turn @ rotations,
        metres=None if scale is None else 1.0 / scale,
        align=align,
    )
    local = np.empty((len(tree.values), len(SMPL22), 3, 3), dtype=np.float32)
    root = np.empty((len(tree.values), 3))
    heights = []
    # long files fit into memory in pieces
    for start in range(0, len(root), _PIECE):
        part = slice(start, start + _PIECE)
        positions, rotations = tree.forward_kinematics(part)
        local[part], root[part] = placed = retargeting(positions @ turn.T, turn @ rotations)
        heights.append(retargeting.heights(positions @ turn.T, *placed))
    source, lowest = np.min(heights, axis=0)
    root[:, 1] += source - lowest
    return Motion(torch.from_numpy(local), torch.from_numpy(root), fps=tree.fps)


def _smpl_order(positions: np.ndarray, joints: Mapping[str, int]) -> np.ndarray:
    """SMPL22's joints `[T, 22, 3]` of those of the file; missing ones at their parents' places."""
    order: list[int] = []
    for name, parent in zip(SMPL22.names, SMPL22.parents, strict=True):
        order.append(joints.get(name, order[parent] if parent >= 0 else 0))
    return positions[:, order]


def _own_body(tree: BvhTree, joints: Mapping[str, int], scale: float | None) -> tuple[Skeleton, float] | None:
    """The file's skeleton and its metres per unit, if it differs from SMPL22 in nothing but the lengths of its bones."""
    if len(joints) < len(SMPL22) or any(
        tree.parents[joints[name]] != joints[SMPL22.names[parent]]
        for name, parent in zip(SMPL22.names[1:], SMPL22.parents[1:], strict=True)
    ):
        return None
    offsets = np.array([tree.offsets[joints[name]] for name in SMPL22.names])
    offsets[0] = 0.0
    smpl = np.array(SMPL22.offsets)
    lengths, expected = np.linalg.norm(offsets, axis=1)[1:], np.linalg.norm(smpl, axis=1)[1:]
    apart = np.linalg.norm(unit(offsets) - unit(smpl), axis=1)[1:]
    if lengths.min() <= 0 or apart.max() > _SAME_DIRECTION:
        return None
    ratio = float(np.median(lengths / expected))
    units = [1.0, 39.3701, 100.0, 1000.0] if scale is None else [scale]
    per_metre = min(units, key=lambda unit_: abs(np.log(ratio / unit_)))
    if scale is None and not 0.5 < ratio / per_metre < 1.5:
        per_metre = ratio
    if np.abs(lengths / per_metre - expected).max() < _SAME_LENGTH:
        return None
    rows = [(float(x), float(y), float(z)) for x, y, z in offsets / per_metre]
    return Skeleton(SMPL22.names, SMPL22.parents, tuple(rows)), 1.0 / per_metre


def _on_own_body(
    tree: BvhTree, joints: Mapping[str, int], turn: np.ndarray, skeleton: Skeleton, metres: float
) -> Motion:
    """The file's own rotations and root path, on its own skeleton."""
    order, parents = [joints[name] for name in SMPL22.names], list(SMPL22.parents)
    local = np.empty((len(tree.values), len(SMPL22), 3, 3), dtype=np.float32)
    root = np.empty((len(tree.values), 3))
    for start in range(0, len(root), _PIECE):
        part = slice(start, start + _PIECE)
        positions, rotations = tree.forward_kinematics(part)
        turned = turn @ rotations[:, order]
        local[part, 0], root[part] = turned[:, 0], positions[:, order[0]] @ turn.T * metres
        local[part, 1:] = turned[:, parents[1:]].swapaxes(-1, -2) @ turned[:, 1:]
    return Motion(torch.from_numpy(local), torch.from_numpy(root), fps=tree.fps, skeleton=skeleton)


def _hierarchy(skeleton: Skeleton, scale: float) -> list[str]:
    lines: list[str] = []

    def joint_lines(joint: int, depth: int) -> None:
        tab = "\t" * depth
        # the root's position is animated
        offset = np.array(skeleton.offsets[joint]) * scale if joint else np.zeros(3)
        channels = "CHANNELS 3 Zrotation Xrotation Yrotation"
        if joint == 0:
            channels = "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
        name = skeleton.names[joint]
        lines.extend([f"{tab}{'JOINT' if joint else 'ROOT'} {name}", f"{tab}{{"])
        lines.extend([f"{tab}\t{_offset(offset)}", f"{tab}\t{channels}"])
        children = [child for child, parent in enumerate(skeleton.parents) if parent == joint]
        for child in children:
            joint_lines(child, depth + 1)
        if not children:
            # leaf joints need an End Site
            tip = np.array(_END_SITES.get(name, _OTHER_END_SITE)) * scale
            lines.extend([f"{tab}\tEnd Site", f"{tab}\t{{", f"{tab}\t\t{_offset(tip)}", f"{tab}\t}}"])
        lines.append(f"{tab}}}")

    joint_lines(0, 0)
    return lines


def _offset(values: np.ndarray) -> str:
    return "OFFSET " + " ".join(f"{value:.6f}" for value in values)


def _depth_first(skeleton: Skeleton) -> list[int]:
    order = [0]

    def visit(joint: int) -> None:
        for child, parent in enumerate(skeleton.parents):
            if parent == joint:
                order.append(child)
                visit(child)

    visit(0)
    return order


def _euler_zxy(rotations: np.ndarray) -> np.ndarray:
    """Angles `[..., 3]`, radians, with rotation = Rz(first) Rx(second) Ry(third); exact near the poles too."""
    z = np.arctan2(-rotations[..., 0, 1], rotations[..., 1, 1])
    x = np.arctan2(rotations[..., 2, 1], np.hypot(rotations[..., 0, 1], rotations[..., 1, 1]))
    # the third angle comes from the remaining rotation, so that errors of the first two cancel near a pole
    rest = (axis_rotation(z, 2) @ axis_rotation(x, 0)).swapaxes(-1, -2) @ rotations
    y = np.arctan2(rest[..., 0, 2], rest[..., 0, 0])
    return np.stack([z, x, y], axis=-1)


def _continuous(angles: np.ndarray) -> np.ndarray:
    """Unwrap angles `[T, J, 3]` to minimise jumps from frame to frame, so that curves stay editable."""
    result = angles.copy()
    flip = np.array([1.0, -1.0, 1.0])
    for frame in range(1, len(result)):
        before = result[frame - 1]
        other = result[frame] * flip + np.pi  # (z + pi, pi - x, y + pi) is the same rotation
        choices = [a + 2 * np.pi * np.round((before - a) / (2 * np.pi)) for a in (result[frame], other)]
        costs = [np.abs(choice - before).sum(-1, keepdims=True) for choice in choices]
        result[frame] = np.where(costs[0] <= costs[1], *choices)
    return result


def _checked_scale(scale: float) -> float:
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"scale must be a positive number of file units per metre, got {scale!r}")
    return float(scale)
