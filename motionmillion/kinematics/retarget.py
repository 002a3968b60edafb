"""Retargeting of motions of other bodies to SMPL22.

A joint takes the global rotation of its source joint relative to the rest pose, times a constant rotation from the
SMPL rest bone to the direction of the source's rest bone. So rest poses may differ (arms down, legs splayed) and limbs
still point in the source's directions in every frame, whatever joints are in between. Spine, neck and collars bend
like the source's but keep SMPL's own curvature, since the position of those joints within the trunk is a property of
the rig, not of the pose. (They also match the source's directions if these differ by more than `_ANATOMY`, if the
source has SMPL's own bone lengths, or with `align="bones"`.)

Unusual: a rest pose that no human could hold (every bone along one axis, as in LAFAN) does not define the twist of a
limb; in this case the twist is fitted over the whole clip to minimise the twist of limbs.

Shapes: T frames, N source joints, J = 22 joints.
"""

from collections.abc import Mapping

import numpy as np
import torch

from motionmillion.kinematics.joint_names import map_joints
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22

_LIMB_BONES = ("hip", "knee", "ankle", "shoulder", "elbow")
_ANATOMY = np.deg2rad(40.0)
_HUMAN = np.deg2rad(100.0)
_SAME_LENGTH = 0.02
_TINY = 1e-6


def retarget(
    mapping: Mapping[str, int],
    rest: np.ndarray,
    positions: np.ndarray,
    rotations: np.ndarray,
    metres: float | None = None,
    align: str = "limbs",
) -> tuple[np.ndarray, np.ndarray]:
    """Retarget a source motion: local rotations `[T, 22, 3, 3]` and pelvis positions `[T, 3]` in metres, y up.

    Args:
        mapping: SMPL22 name -> source joint.
        rest: source joint positions `[N, 3]` in the rest pose, in any unit and orientation.
        positions: source joint positions `[T, N, 3]`.
        rotations: global rotations `[T, N, 3, 3]` relative to the rest pose.
        metres: metres per source unit; None scales the source's legs to the length of SMPL22's, so that feet stay on
            the floor and steps stay in proportion to the body.
        align: "limbs" or "bones", see the module's docstring.

    Raises:
        ValueError: if the source's legs have no length.
    """
    body = _Bodies(mapping, rest)
    if body.leg(rest) <= _TINY:
        raise ValueError(f"rest must have legs with a length, got {body.leg(rest)!r}; the OFFSETs are damaged")
    scale = body.leg_scale() if metres is None else metres
    turned = _global_rotations(body, positions, rotations, align)  # [T, 22, 3, 3]
    local = turned.copy()
    for joint, parent in enumerate(SMPL22.parents[1:], start=1):
        local[:, joint] = turned[:, parent].swapaxes(-1, -2) @ turned[:, joint]
    # forward kinematics around the pelvis, to find where the hips are
    offsets = np.array(SMPL22.offsets)
    joints = np.zeros(turned.shape[:-1])  # [T, 22, 3], around the pelvis
    for joint, parent in enumerate(SMPL22.parents[1:], start=1):
        joints[:, joint] = joints[:, parent] + turned[:, parent] @ offsets[joint]
    hips = [body.smpl["left_hip"], body.smpl["right_hip"]]
    # the middle of the hips is matched, since rigs disagree on the position of the pelvis joint
    source_hips = positions[:, [mapping["left_hip"], mapping["right_hip"]]].mean(1) * scale
    root = source_hips - joints[:, hips].mean(1)
    # keep the height of the clip's lowest foot joint: proportions of shins, feet and hips may differ
    feet = [n for side in ("left", "right") for n in (f"{side}_ankle", f"{side}_foot") if n in mapping]
    lowest = (joints[:, [body.smpl[n] for n in feet], 1] + root[:, None, 1]).min()
    root[:, 1] += positions[:, [mapping[n] for n in feet], 1].min() * scale - lowest
    return local, root


def on_smpl22(motion: Motion, align: str = "limbs") -> Motion:
    """Retarget a motion of any human skeleton to SMPL22, mapped as in BVH files; unchanged if it has SMPL22's joints.

    Args:
        align: see `retarget`.

    Raises:
        ValueError: if its joints cannot be mapped, listing the missing ones.
    """
    skeleton = motion.skeleton
    if skeleton.names == SMPL22.names:
        return motion
    joints = map_joints(skeleton.names, skeleton.parents, path="motion")
    rest, _ = skeleton.forward_kinematics(torch.eye(3).expand(len(skeleton), 3, 3), torch.zeros(3))
    positions, rotations = skeleton.forward_kinematics(motion.rotations.double(), motion.translation.double())
    bodies = [array.detach().cpu().double().numpy() for array in (rest, positions, rotations)]
    local, root = retarget(joints, bodies[0], bodies[1], bodies[2], align=align)
    return motion.replace(rotations=torch.from_numpy(local), translation=torch.from_numpy(root), skeleton=SMPL22)


class _Bodies:
    """The two rest poses, and the tree of mapped joints."""

    def __init__(self, mapping: Mapping[str, int], rest: np.ndarray) -> None:
        self.mapping, self.rest = mapping, rest
        self.smpl = {name: joint for joint, name in enumerate(SMPL22.names)}
        self.smpl_rest = np.zeros((len(SMPL22), 3))
        for joint, parent in enumerate(SMPL22.parents[1:], start=1):
            self.smpl_rest[joint] = self.smpl_rest[parent] + SMPL22.offsets[joint]

    def parent(self, name: str) -> str:
        """The nearest mapped ancestor."""
        joint = SMPL22.parents[self.smpl[name]]
        while SMPL22.names[joint] not in self.mapping:
            joint = SMPL22.parents[joint]
        return SMPL22.names[joint]

    def child(self, name: str) -> str | None:
        """The nearest mapped descendant, where the joint's bone ends; for the chest it is the neck or head."""
        below = [n for n in SMPL22.names[1:] if n in self.mapping and self.parent(n) == name]
        below = [n for n in below if "collar" not in n and "shoulder" not in n] or below
        return below[0] if below else None

    def bone(self, name: str, child: str) -> tuple[np.ndarray, np.ndarray]:
        """The bone from `name` to `child` in the rest pose of SMPL and of the source."""
        return (
            self.smpl_rest[self.smpl[child]] - self.smpl_rest[self.smpl[name]],
            self.rest[self.mapping[child]] - self.rest[self.mapping[name]],
        )

    def leg(self, rest: np.ndarray) -> float:
        """Mean length of the source's legs, hip to knee to ankle."""
        total = 0.0
        for side in ("left", "right"):
            hip, knee, ankle = (rest[self.mapping[f"{side}_{name}"]] for name in ("hip", "knee", "ankle"))
            total += float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee)) / 2
        return total

    def leg_scale(self) -> float:
        """Metres per source unit that scale the source's legs to the length of SMPL22's."""
        same = _Bodies(self.smpl, self.smpl_rest)
        return same.leg(self.smpl_rest) / self.leg(self.rest)

    def torso_frame(self, positions: np.ndarray, index: Mapping[str, int], across: str) -> np.ndarray:
        """Columns left, up, forward of the trunk, `[3, 3]`; `across` is "hip" or "shoulder"."""
        left, right = positions[index[f"left_{across}"]], positions[index[f"right_{across}"]]
        middle = [(positions[index[f"left_{n}"]] + positions[index[f"right_{n}"]]) / 2 for n in ("hip", "shoulder")]
        up = _unit(middle[1] - middle[0])
        sideways = left - right
        sideways = _unit(sideways - up * (sideways @ up))
        return np.stack([sideways, up, np.cross(sideways, up)], axis=1)

    def torso(self, across: str) -> np.ndarray:
        """The rotation from SMPL's rest trunk to the source's."""
        source = self.torso_frame(self.rest, self.mapping, across)
        return source @ self.torso_frame(self.smpl_rest, self.smpl, across).T

    def fit(self, name: str) -> np.ndarray:
        """The rotation from SMPL's rest bones below `name` to the source's, by least squares."""
        bones = [self.bone(name, n) for n in SMPL22.names[1:] if n in self.mapping and self.parent(n) == name]
        left, _, right = np.linalg.svd(sum(np.outer(source, smpl) for smpl, source in bones))
        return left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right

    def chest(self) -> str:
        """The joint from which neck and arms branch off."""
        return next(name for name in ("spine3", "spine2", "spine1", "pelvis") if name in self.mapping)

    def same_lengths(self) -> bool:
        """Whether the source's bone lengths equal SMPL's up to scale: then its rest pose is a posed SMPL body."""
        scale = self.leg_scale()
        for name in SMPL22.names[1:]:
            if name not in self.mapping:
                return False
            smpl, source = (float(np.linalg.norm(bone)) for bone in self.bone(self.parent(name), name))
            if abs(source * scale - smpl) > _SAME_LENGTH * smpl:
                return False
        return True


def _global_rotations(body: _Bodies, positions: np.ndarray, rotations: np.ndarray, align: str) -> np.ndarray:
    """SMPL's global rotations `[T, 22, 3, 3]`; joints without a source move with their parent."""
    corrections, swung = _corrections(body, align)
    fit_twist = any(angle > _HUMAN for angle in swung.values())
    turned = np.zeros((len(positions), len(SMPL22), 3, 3))
    for joint, name in enumerate(SMPL22.names):
        if name not in body.mapping:
            turned[:, joint] = turned[:, SMPL22.parents[joint]]
            continue
        correction = corrections[name]
        source = rotations[:, body.mapping[name]]  # [T, 3, 3]
        if name not in swung:
            turned[:, joint] = source @ correction
            continue
        child = body.child(name) or name
        bone = _unit(body.bone(name, child)[0])
        wanted = positions[:, body.mapping[child]] - positions[:, body.mapping[name]]
        if fit_twist:
            above = turned[:, body.smpl[body.parent(name)]]
            correction = correction @ _clip_twist(source @ correction, swing(above @ bone, wanted) @ above, bone)
            corrections[name] = correction
        guess = source @ correction
        turned[:, joint] = swing(guess @ bone, wanted) @ guess
    return turned


def _corrections(body: _Bodies, align: str) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Each joint's constant rotation from SMPL's rest bone to the source's; angles of the joints aligned by bone."""
    same = body.same_lengths()
    chest = body.chest()
    corrections = {"pelvis": body.fit("pelvis") if same else body.torso("hip")}
    swung: dict[str, float] = {}
    for name in body.mapping:
        if name == "pelvis":
            continue
        if name == chest:
            corrections[name] = body.fit(name) if same else body.torso("shoulder")
            continue
        # without a bone of its own a joint inherits the correction of its parent
        corrections[name] = base = corrections[chest if name == "head" else body.parent(name)]
        child = body.child(name)
        if child is None:
            continue
        smpl, source = body.bone(name, child)
        if np.linalg.norm(source) <= _TINY * body.leg(body.rest):
            continue
        angle = float(np.arccos(np.clip(_unit(base @ smpl) @ _unit(source), -1.0, 1.0)))
        if same or align == "bones" or name.split("_")[-1] in _LIMB_BONES or angle > _ANATOMY:
            swung[name] = angle
            corrections[name] = swing((base @ smpl)[None], source[None])[0] @ base
    return corrections, swung


def swing(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The smallest rotations `[T, 3, 3]` from vectors `start` to the directions `end`, both `[T, 3]`."""
    a, b = np.broadcast_arrays(_unit(start), _unit(end))
    axis = np.cross(a, b)
    cos = (a * b).sum(-1)[:, None, None]
    skew = np.zeros((*a.shape, 3))
    skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0] = axis.T
    skew -= skew.swapaxes(-1, -2)
    result = np.eye(3) + skew + skew @ skew / np.maximum(1.0 + cos, _TINY)
    opposite = cos[:, 0, 0] < -1.0 + _TINY
    if opposite.any():  # half a turn about any perpendicular axis
        helper = np.eye(3)[np.abs(a[opposite]).argmin(-1)]
        across = _unit(np.cross(a[opposite], helper))
        result[opposite] = 2.0 * across[:, :, None] * across[:, None, :] - np.eye(3)
    return result


def _clip_twist(turned: np.ndarray, wanted: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """The rotation about `axis` that brings `turned` closest to `wanted` over all frames (least squares)."""
    fit = (turned.swapaxes(-1, -2) @ wanted).sum(0)
    sin = axis @ np.array([fit[2, 1] - fit[1, 2], fit[0, 2] - fit[2, 0], fit[1, 0] - fit[0, 1]])
    angle = np.arctan2(sin, np.trace(fit) - axis @ fit @ axis)
    frame = swing(np.array([[1.0, 0.0, 0.0]]), axis[None])[0]
    return frame @ axis_rotation(angle, 0) @ frame.T


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors `[..., 3]` scaled to length 1; zero vectors stay."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def axis_rotation(angle: np.ndarray, axis: int) -> np.ndarray:
    """Rotations `[T, 3, 3]` by `angle` `[T]`, radians, about x, y or z (`axis` 0, 1 or 2)."""
    matrix = np.zeros((*angle.shape, 3, 3))
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix[..., axis, axis] = 1.0
    matrix[..., first, first] = matrix[..., second, second] = np.cos(angle)
    matrix[..., second, first] = np.sin(angle)
    matrix[..., first, second] = -matrix[..., second, first]
    return matrix
