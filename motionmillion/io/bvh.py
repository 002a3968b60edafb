"""BVH files: our motions written, any hierarchy read onto the SMPL22 body.

    write_bvh(motion, "wave.bvh")
    motion = read_bvh("cmu_walk.bvh")
    motion = read_bvh("rig.bvh", mapping={"left_hip": "Bone.012", "left_knee": "Bone.013"})

Written: SMPL22's names and rest pose (a T-pose), y up, rotations as Zrotation Xrotation Yrotation (the first turns
last), and CENTIMETRES by default, as most tools expect; `scale=1` writes metres.
Read: joints are mapped by name and by their place in the tree (`motionmillion.kinematics.joint_names`) and the motion
is carried over to SMPL22 whatever the rest pose (`motionmillion.kinematics.retarget`). BVH does not say its unit: by
default it is taken from the body, whose legs get SMPL22's length, so that centimetres, inches or CMU's own unit all
come out right and feet meet the floor. What we write reads back as it was.
Unusual: a caption has no room in a BVH file. Fingers and faces are left out.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from motionmillion.io.arrays import exact_rotations
from motionmillion.io.bvh_file import axis_rotation, parse_bvh
from motionmillion.io.files import existing_file, write_text
from motionmillion.kinematics.joint_names import map_joints
from motionmillion.kinematics.retarget import retarget
from motionmillion.motion import Motion
from motionmillion.skeleton import Skeleton

_END_SITES = {
    "head": (0.0, 0.16, 0.03),
    "left_foot": (0.0, 0.0, 0.06),
    "right_foot": (0.0, 0.0, 0.06),
    "left_wrist": (0.09, 0.0, 0.0),
    "right_wrist": (-0.09, 0.0, 0.0),
}
_OTHER_END_SITE = (0.0, 0.05, 0.0)
_UPS = {
    "y": np.eye(3),
    "z": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]),
}


def write_bvh(motion: Motion, path: str | Path, scale: float = 100.0) -> Path:
    """Write a motion as BVH.

    Args:
        scale: file units a metre; 100 writes centimetres.

    Raises:
        ValueError: if `scale` is not positive, or the folder cannot be written.
    """
    scale = _checked_scale(scale)
    rotations = exact_rotations(motion)
    angles = np.rad2deg(_continuous(_euler_zxy(rotations)))  # [T, J, 3]
    root = motion.translation.detach().cpu().double().numpy() * scale
    lines = ["HIERARCHY", *_hierarchy(motion.skeleton, scale), "MOTION", f"Frames: {motion.num_frames}"]
    lines.append(f"Frame Time: {1.0 / motion.fps:.10f}")
    # Channels stand in the order of the hierarchy, which goes down each branch to its end.
    values = np.concatenate([root, angles[:, _depth_first(motion.skeleton)].reshape(len(root), -1)], axis=1)
    lines += [" ".join(f"{value:.6f}" for value in row) for row in values]
    return write_text("\n".join(lines) + "\n", path)


def read_bvh(
    path: str | Path,
    scale: float | None = None,
    up: str = "y",
    mapping: Mapping[str, str] | None = None,
    align: str = "limbs",
) -> Motion:
    """Read a BVH file of any hierarchy onto the SMPL22 body.

    Args:
        scale: file units a metre, e.g. 100 for centimetres; None gives the body's legs SMPL22's length.
        up: the file's vertical axis, "y" or "z".
        mapping: SMPL22 name -> the file's joint name, for joints that are not found by themselves.
        align: "limbs" makes limbs point where the file's do and the spine bend as the file's does; "bones" makes the
            bones of spine, neck and collars point where the file's do as well.

    Raises:
        ValueError: if the file is missing or damaged (with the line), its joints cannot be mapped (listing the missing
            ones), or an argument is out of range.
    """
    if up not in _UPS:
        raise ValueError(f"up must be one of {sorted(_UPS)}, got {up!r}")
    if align not in ("limbs", "bones"):
        raise ValueError(f'align must be "limbs" or "bones", got {align!r}')
    scale = None if scale is None else _checked_scale(scale)
    text = existing_file(path).read_bytes().decode("utf-8-sig", errors="replace")
    tree = parse_bvh(text, str(path))
    joints = map_joints(tree.names, tree.parents, mapping, str(path))
    positions, rotations = tree.forward_kinematics()
    turn = _UPS[up]
    local, root = retarget(
        joints,
        tree.rest_positions() @ turn.T,
        positions @ turn.T,
        turn @ rotations @ turn.T,
        metres=None if scale is None else 1.0 / scale,
        align=align,
    )
    return Motion(torch.from_numpy(local), torch.from_numpy(root), fps=tree.fps)


def _hierarchy(skeleton: Skeleton, scale: float) -> list[str]:
    lines: list[str] = []

    def joint_lines(joint: int, depth: int) -> None:
        tab = "\t" * depth
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
    # The third angle is read from what the first two leave, so that their errors near a pole cancel.
    rest = (axis_rotation(z, 2) @ axis_rotation(x, 0)).swapaxes(-1, -2) @ rotations
    y = np.arctan2(rest[..., 0, 2], rest[..., 0, 0])
    return np.stack([z, x, y], axis=-1)


def _continuous(angles: np.ndarray) -> np.ndarray:
    """The same rotations with angles `[T, J, 3]` that jump least from frame to frame, so that curves stay editable."""
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
        raise ValueError(f"scale must be a positive number of file units a metre, got {scale!r}")
    return float(scale)
