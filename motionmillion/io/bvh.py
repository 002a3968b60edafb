"""BVH files: writing motions, and reading any hierarchy onto the SMPL22 body.

    write_bvh(motion, "wave.bvh")
    write_bvh(motion, "wave.bvh", unit="m", names="mixamo", rest="A")
    motion = read_bvh("cmu_walk.bvh")
    motion = read_bvh("rig.bvh", mapping={"left_hip": "Bone.012", "left_knee": "Bone.013"})

Writing: SMPL22's names and rest pose (a T-pose), y up, rotations as Zrotation Xrotation Yrotation (the first is
applied last), and CENTIMETRES by default, as most tools expect; other units, joint names (Mixamo's, CMU's, Unreal's)
and an A-pose on request (`motionmillion.io.bvh_rig`).
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

from motionmillion.io.arrays import exact_rotations
from motionmillion.io.bvh_file import BvhTree, parse_hierarchies
from motionmillion.io.bvh_rig import BvhRig, units_per_metre, with_t_pose
from motionmillion.io.files import atomic_path, existing_file
from motionmillion.io.people import choose_person
from motionmillion.io.root_bone import check_root_motion, on_root, rooted_skeleton
from motionmillion.io.trees import TreeOptions, motion_of_tree
from motionmillion.kinematics.rotations import axis_rotation
from motionmillion.motion import Motion
from motionmillion.skeleton import Skeleton

_END_SITES = {
    "head": (0.0, 0.16, 0.03),
    "left_foot": (0.0, 0.0, 0.06),
    "right_foot": (0.0, 0.0, 0.06),
    "left_wrist": (0.09, 0.0, 0.0),
    "right_wrist": (-0.09, 0.0, 0.0),
}
_CHUNK = 1024
_OTHER_END_SITE = (0.0, 0.05, 0.0)


def write_bvh(
    motion: Motion,
    path: str | Path,
    scale: float | None = None,
    unit: str | None = None,
    names: str = "smpl",
    rest: str = "T",
    t_pose_first_frame: bool = False,
    root_motion: bool | str = True,
) -> Path:
    """Write a motion as BVH.

    Args:
        scale: file units per metre, instead of `unit`.
        unit: "cm" (the default), "m" or "inch".
        names: joint names, "smpl", "mixamo", "cmu" or "unreal".
        rest: pose of the hierarchy without rotations: "T", or "A" with the arms 45 degrees lower.
        t_pose_first_frame: add a frame in a T-pose before the motion, which some programs need for retargeting; it is
            read back as a frame of the motion.
        root_motion: what travels, see `motionmillion.io.root_bone`; with "root" the pelvis has position channels, too,
            which replace its offset.

    Raises:
        ValueError: for an unknown option or one that the skeleton does not have, `scale` that is not positive or given
            with `unit`, or a folder that cannot be written.
    """
    scale = units_per_metre(scale, unit)
    kind, skeleton = check_root_motion(root_motion), motion.skeleton
    rig = BvhRig.of(skeleton, names, rest)
    rotations = exact_rotations(motion)
    root = motion.translation.detach().cpu().double().numpy()
    standing = -float(skeleton.rest_positions()[:, 1].min())  # feet on the floor
    if kind == "none":
        root = root * np.array([0.0, 1.0, 0.0])
    if t_pose_first_frame:
        rotations, root = with_t_pose(rotations, root, standing)
    places = [root]
    if kind == "root":
        rotations, *places = on_root(rotations, root)
        rig, skeleton = rig.on_root(standing), rooted_skeleton(skeleton, standing)
    angles = np.empty((*rotations.shape[:2], 3))
    for start in range(0, len(angles), _CHUNK):
        angles[start : start + _CHUNK] = _euler_zxy(rig.rotations(rotations[start : start + _CHUNK]))
    angles = np.rad2deg(unwrapped(angles))[:, _depth_first(skeleton)]  # [T, J, 3]
    lines = ["HIERARCHY", *_hierarchy(skeleton, rig, scale, len(places)), "MOTION", f"Frames: {len(root)}"]
    lines.append(f"Frame Time: {1.0 / motion.fps:.10f}\n")
    # channels follow the hierarchy, depth first: positions and angles of the first joints, angles of the others
    columns = [part for number, place in enumerate(places) for part in (place * scale, angles[:, number])]
    columns.append(angles[:, len(places) :].reshape(len(root), -1))
    row = " ".join(["%.6f"] * sum(part.shape[1] for part in columns)) + "\n"
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\n".join(lines))
        for start in range(0, len(root), _CHUNK):
            part = slice(start, start + _CHUNK)
            values = np.concatenate([own[part] for own in columns], axis=1)
            file.write(row * len(values) % tuple(values.ravel().tolist()))
    return Path(path)


def read_bvh(
    path: str | Path,
    scale: float | None = None,
    up: str | None = None,
    mapping: Mapping[str, str] | None = None,
    align: str = "limbs",
    index: int | None = None,
) -> Motion:
    """Read a BVH file of any hierarchy onto the SMPL22 body.

    Args:
        scale: file units per metre, e.g. 100 for centimetres; None scales the legs to SMPL22's length.
        up: the file's vertical axis, "y" or "z" ("-y" and "-z" point down); None takes y, unless the whole clip
            stands about another axis (with a warning).
        mapping: SMPL22 name -> the file's joint name, for joints that are not found automatically.
        align: "limbs" matches the directions of the limbs and the bending of the spine; "bones" also matches the
            directions of the bones of spine, neck and collars.
        index: which person of several; None takes the first, with a warning.

    Returns:
        a motion on SMPL22; on the file's own body if that has SMPL22's joints and rest pose and only its bones are of
        other lengths.

    Raises:
        ValueError: if the file is missing or damaged (with the line), its joints cannot be mapped (listing the missing
            ones), or an argument is out of range.
    """
    options = TreeOptions(scale, up, mapping, align)
    return motion_of_tree(bvh_tree(path, mapping, index), str(path), options)


def bvh_tree(path: str | Path, mapping: Mapping[str, str] | None = None, index: int | None = None) -> BvhTree:
    """The joints of a file as they are in it."""
    trees = parse_hierarchies(existing_file(path).read_bytes(), str(path))
    return choose_person(trees, mapping or {}, path, index)


def _hierarchy(skeleton: Skeleton, rig: BvhRig, scale: float, placed: int) -> list[str]:
    """Lines of the hierarchy; the first `placed` joints have position channels."""
    lines: list[str] = []

    def joint_lines(joint: int, depth: int) -> None:
        tab = "\t" * depth
        # the root's position is animated
        offset = rig.offsets[joint] * scale if joint else np.zeros(3)
        channels = "CHANNELS 3 Zrotation Xrotation Yrotation"
        if joint < placed:
            channels = "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
        name = skeleton.names[joint]
        lines.extend([f"{tab}{'JOINT' if joint else 'ROOT'} {rig.names[joint]}", f"{tab}{{"])
        lines.extend([f"{tab}\t{_offset(offset)}", f"{tab}\t{channels}"])
        children = [child for child, parent in enumerate(skeleton.parents) if parent == joint]
        for child in children:
            joint_lines(child, depth + 1)
        if not children:
            # leaf joints need an End Site
            tip = rig.turns[joint] @ np.array(_END_SITES.get(name, _OTHER_END_SITE)) * scale
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


def unwrapped(angles: np.ndarray) -> np.ndarray:
    """Unwrap angles `[T, J, 3]` to minimise jumps from frame to frame, so that curves stay editable."""
    flip = np.array([1.0, -1.0, 1.0])
    result = np.empty_like(angles)
    for joint in range(angles.shape[1]):
        own = angles[:, joint]  # [T, 3]
        other = own * flip + np.pi  # (z + pi, pi - x, y + pi) is the same rotation
        # the jump from frame to frame if the other angles are taken from now on
        stay, change = (np.abs(_turn(after[1:] - own[:-1])).sum(-1) for after in (own, other))
        taken = np.concatenate([[0], np.cumsum(change < stay) % 2]).astype(bool)
        chosen = np.where(taken[:, None], other, own)
        turns = np.round((chosen[:-1] - chosen[1:]) / (2 * np.pi)).cumsum(0)
        result[0, joint] = chosen[0]
        result[1:, joint] = chosen[1:] + 2 * np.pi * turns
    return result


def _turn(angles: np.ndarray) -> np.ndarray:
    """Angles brought to -pi to pi."""
    return angles - 2 * np.pi * np.round(angles / (2 * np.pi))
