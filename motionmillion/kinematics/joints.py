"""Joint positions -> Motion: bone lengths from the data, joint rotations from the directions of the bones.

    motion = motion_from_joints(positions, fps=20)                # [T, 22, 3], metres, SMPL's 22 joints in their order

The body is SMPL22's, with bone lengths from the positions: each the median over the frames. Pelvis and upper spine,
which carry three bones each, get the shape that fits all frames best. Forward kinematics reproduces the positions as
far as the bones are rigid.

Rotations are computed for each frame:
- pelvis and upper spine by the Procrustes fit of their three bones; the rotation between the two is distributed over
  the joints between them;
- every other joint by the shortest rotation from its parent's that points its bone to the next joint;
- the remaining twist of upper arms and thighs from the bend of elbows and knees, which are hinges, and from the feet;
  a straight limb is not twisted.

Unusual: positions do not determine the rotations of wrists, head and feet, which follow their parents. On motion
capture data the rotations differ from the recorded ones by about 7 degrees at hips and knees, 9 at shoulders and
elbows, 10 at ankles and 12 to 25 at neck, head, feet and wrists; pelvis and spine agree within 2.

Shapes: T frames; `...` is any leading dimensions.
"""

from typing import NamedTuple

import numpy as np
import roma
import torch
from torch import Tensor
from torch.nn.functional import normalize

from motionmillion.motion import Motion
from motionmillion.precision import widened
from motionmillion.skeleton import SMPL22, Skeleton

_TWIST_WEIGHT = 1e-4
"""Weight of the reference rotation relative to one bone: it determines the twist, the bones the direction."""


_JOINT = {name: index for index, name in enumerate(SMPL22.names)}
_FORK_JOINTS = (_JOINT["pelvis"], _JOINT["spine3"])
_FORKS = torch.tensor([[child for child, parent in enumerate(SMPL22.parents) if parent == j] for j in _FORK_JOINTS])
_SPINE = {_JOINT["spine1"]: 1 / 3, _JOINT["spine2"]: 2 / 3}
_FIT_ROUNDS = 5
_TINY = 1e-8
_LEGS = (0.1, 10.0)
"""Plausible leg length of any body in metres; outside it the unit cannot be metres."""
HUMAN_LEGS = (0.3, 1.3)
"""Leg length of humans, hip to ankle, metres; normalised features, which have no unit, give longer ones."""


class _Limb(NamedTuple):
    """A joint whose twist is determined by the hinge below it.

    Args:
        joint, hinge, end: such as hip, knee, ankle.
        axis: rotation axis of the hinge in the rest pose.
        tip: joint beyond `end` that points forward in the rest pose, or -1.
    """

    joint: int
    hinge: int
    end: int
    axis: tuple[float, float, float]
    tip: int = -1


def _limb(joint: str, hinge: str, end: str, axis: tuple[float, float, float], tip: str = "") -> _Limb:
    return _Limb(_JOINT[joint], _JOINT[hinge], _JOINT[end], axis, _JOINT[tip] if tip else -1)


_LIMBS = {
    limb.joint: limb
    for limb in (
        _limb("left_hip", "left_knee", "left_ankle", (1.0, 0.0, 0.0), "left_foot"),
        _limb("right_hip", "right_knee", "right_ankle", (1.0, 0.0, 0.0), "right_foot"),
        _limb("left_shoulder", "left_elbow", "left_wrist", (0.0, -1.0, 0.0)),
        _limb("right_shoulder", "right_elbow", "right_wrist", (0.0, 1.0, 0.0)),
    )
}
_TIP_WEIGHT = 0.1
_STRAIGHT_WEIGHT = 0.05
"""Weights of the foot's direction (tip) and of zero twist (straight), relative to the squared sine of the bend."""


def motion_from_joints(positions: Tensor | np.ndarray, fps: float, up: str = "y") -> Motion:
    """Motion on a body with the bone lengths of the positions; see the module's docstring.

    Args:
        positions: tensor or array `[T, 22, 3]`, metres, SMPL's 22 body joints in their order, left being the person's
            left.
        fps: frames per second.
        up: the vertical axis, "y" or "z"; z is rotated to y as for AMASS files: x stays, the new z is minus the old y.

    Raises:
        ValueError: for a wrong shape, values that are not finite, an unknown axis, or a body that is not measured
            in metres.
    """
    positions = joints_y_up(check_joints(positions), up)
    skeleton = skeleton_from_joints(positions)
    return Motion(rotations_from_joints(positions, skeleton), positions[:, 0], fps=fps, skeleton=skeleton)


def check_joints(positions: Tensor | np.ndarray) -> Tensor:
    """`positions` as a tensor; raises `ValueError` unless it is `[T, 22, 3]`, finite, of a human's size in metres."""
    if not isinstance(positions, Tensor):
        array = np.asarray(positions)
        if array.dtype.kind not in "fiu":
            raise ValueError(f"positions must be numbers of shape [T, 22, 3], got an array of {array.dtype}")
        positions = torch.from_numpy(array.astype(np.float32))
    if positions.ndim != 3 or positions.shape[0] == 0 or positions.shape[1:] != (22, 3):
        raise ValueError(f"positions must have shape [T, 22, 3], got {tuple(positions.shape)}")
    finite = torch.isfinite(positions).flatten(1).all(1)
    if not bool(finite.all()):
        frame = int((~finite).nonzero()[0])
        raise ValueError(f"positions must be finite, got NaN or infinity in frame {frame}; repair or cut it")
    leg = leg_length(positions)
    if not _LEGS[0] <= leg <= _LEGS[1]:
        raise ValueError(
            f"positions must be metres of SMPL's 22 joints, got legs {leg:.3g} long; scale them to metres, and check "
            "the order of the joints"
        )
    return positions


def leg_length(positions: Tensor) -> float:
    """Length from hip to ankle in the median frame of `[T, 22, 3]`, in their unit."""
    chain = [_JOINT[name] for name in ("left_hip", "left_knee", "left_ankle")]
    return float(positions[:, chain].diff(dim=1).norm(dim=-1).sum(-1).median())


def joints_y_up(positions: Tensor, up: str) -> Tensor:
    """Positions `[..., 3]` with y up, rotated about x if z was up.

    Raises:
        ValueError: for an unknown axis.
    """
    if up not in ("y", "z"):
        raise ValueError(f'up must be "y" or "z", got {up!r}')
    if up == "y":
        return positions
    x, y, z = positions.unbind(-1)
    return torch.stack([x, z, -y], dim=-1)


def skeleton_from_joints(positions: Tensor) -> Skeleton:
    """SMPL22's tree and rest pose with the bone lengths of `positions` `[T, 22, 3]`."""
    positions = positions.detach().double().cpu()
    rest = torch.tensor(SMPL22.offsets, dtype=torch.float64)
    # [T, 22, 3] vectors from each joint's parent
    bones = positions - positions[:, [max(parent, 0) for parent in SMPL22.parents]]  # [T, 22, 3]
    offsets = normalize(rest, dim=-1) * bones.norm(dim=-1).median(0).values[:, None]
    shape = offsets[_FORKS]  # [2, 3, 3], one row per bone
    for _ in range(_FIT_ROUNDS):
        turn = _procrustes(bones[:, _FORKS], shape)  # [T, 2, 3, 3]
        shape = (bones[:, _FORKS] @ turn).median(0).values
        shape = shape @ _procrustes(rest[_FORKS], shape).mT  # rotated to best match SMPL22's rest pose
    offsets[_FORKS] = shape
    offsets[0] = 0
    return Skeleton(SMPL22.names, SMPL22.parents, tuple((x, y, z) for x, y, z in offsets.tolist()))


def rotations_from_joints(positions: Tensor, skeleton: Skeleton = SMPL22) -> Tensor:
    """Parent-relative rotations `[..., 22, 3, 3]` that align the bones with joint positions.

    Args:
        positions: `[..., 22, 3]`, y up; only directions of bones are used. Frames are independent.
        skeleton: a body with SMPL22's joints, its rest pose that of SMPL22.

    Returns:
        rotations in the dtype of `positions`, differentiable.
    """
    joints = widened(positions)
    rest = joints.new_tensor(skeleton.offsets)
    parents = [max(parent, 0) for parent in skeleton.parents]
    bones = joints - joints[..., parents, :]  # [..., 22, 3]
    pelvis, chest = _procrustes(bones[..., _FORKS, :], rest[_FORKS]).unbind(-3)  # [..., 3, 3] each
    arc = torch.as_tensor(roma.rotmat_to_rotvec(pelvis.mT @ chest))
    turned: list[Tensor] = []  # global rotations
    for joint, parent in enumerate(skeleton.parents):
        if joint in _FORK_JOINTS:
            turned.append(chest if turned else pelvis)
            continue
        children = _children(joint)
        # rotation inherited from the parent
        above = turned[parent]
        if joint in _SPINE:
            above = pelvis @ roma.rotvec_to_rotmat(arc * _SPINE[joint])
        if children:
            above = _swing(above, rest[children[0]], bones[..., children[0], :])
        if joint in _LIMBS:
            above = above @ _hinge_twist(_LIMBS[joint], above, rest, bones)
        turned.append(above)
    whole = torch.stack(turned, dim=-3)
    local = torch.cat([whole[..., :1, :, :], whole[..., parents[1:], :, :].mT @ whole[..., 1:, :, :]], dim=-3)
    return local.to(positions.dtype)


def rotation_between(start: Tensor, stop: Tensor) -> Tensor:
    """The shortest rotations `[..., 3, 3]` from unit vectors `start` to unit vectors `stop`, both `[..., 3]`.

    For opposite vectors the axis is some perpendicular one. A `stop` of length 0 gives the identity.
    """
    stop = torch.where(stop.abs().sum(-1, keepdim=True) < 0.5, start, stop)
    axis = torch.nn.functional.one_hot(start.abs().argmin(-1), 3).to(start)
    aside = torch.linalg.cross(start, axis.expand_as(start))
    # two half turns about unit vectors compose to the rotation by twice the angle between them
    half = start + stop
    half = normalize(torch.where(half.square().sum(-1, keepdim=True) < 1e-12, aside, half), dim=-1)
    return _half_turn(half) @ _half_turn(start)


def _half_turn(axis: Tensor) -> Tensor:
    return 2 * axis[..., :, None] * axis[..., None, :] - torch.eye(3, dtype=axis.dtype, device=axis.device)


def _children(joint: int) -> list[int]:
    return [child for child, parent in enumerate(SMPL22.parents) if parent == joint]


def _procrustes(wanted: Tensor, rest: Tensor) -> Tensor:
    """Rotations `[..., 3, 3]` that best align vectors `rest` `[..., N, 3]` with `wanted` `[..., N, 3]`."""
    fit = wanted.mT @ rest
    return torch.as_tensor(roma.special_procrustes(fit + _TINY * torch.eye(3, dtype=fit.dtype, device=fit.device)))


def _swing(rotation: Tensor, rest: Tensor, wanted: Tensor) -> Tensor:
    """`rotation` followed by the shortest rotation so that `rest` `[3]` points along `wanted` `[..., 3]`."""
    now = rotation @ normalize(rest, dim=-1)
    return rotation_between(now, normalize(wanted, dim=-1, eps=_TINY)) @ rotation


def _hinge_twist(limb: _Limb, rotation: Tensor, rest: Tensor, bones: Tensor) -> Tensor:
    """Twist `[..., 3, 3]` of a limb's upper bone about its own axis, in its own frame.

    The hinge is bent to the observed angle between the bones; then the upper bone is twisted until the lower bone and
    the tip point in their observed directions.
    """
    upper, lower = normalize(rest[limb.hinge], dim=-1), normalize(rest[limb.end], dim=-1)
    axis = rest.new_tensor(limb.axis)
    seen = (rotation.mT @ normalize(bones[..., limb.end, :], dim=-1, eps=_TINY)[..., None])[..., 0]
    # cosine of the angle between the bones: along + cosine * cos(bend) + sine * sin(bend), solved for the bend
    along = (upper @ axis) * (axis @ lower)
    cosine, sine = upper @ lower - along, upper @ torch.linalg.cross(axis, lower)
    reach = (((seen @ upper) - along) / torch.hypot(cosine, sine)).clamp(-1 + 1e-6, 1 - 1e-6)
    bend = roma.rotvec_to_rotmat(axis * (torch.atan2(sine, cosine) + torch.acos(reach))[..., None])
    facing = _facing(upper, bend @ lower, seen)
    if limb.tip >= 0:
        tip = (rotation.mT @ normalize(bones[..., limb.tip, :], dim=-1, eps=_TINY)[..., None])[..., 0]
        facing = facing + _TIP_WEIGHT * _facing(upper, bend @ normalize(rest[limb.tip], dim=-1), tip)
    angle = torch.atan2(facing[..., 1], facing[..., 0] + _STRAIGHT_WEIGHT)
    return roma.rotvec_to_rotmat(upper * angle[..., None])


def _facing(axis: Tensor, start: Tensor, stop: Tensor) -> Tensor:
    """Cosine and sine `[..., 2]` of the angle about `axis` from `start` to `stop`, times their distances from it."""
    start = start - axis * (start @ axis)[..., None]
    stop = stop - axis * (stop @ axis)[..., None]
    return torch.stack([(start * stop).sum(-1), torch.linalg.cross(start, stop) @ axis], dim=-1)


def aim_at_positions(rotations: Tensor, positions: Tensor, skeleton: Skeleton) -> Tensor:
    """Turn each joint so that its children point to their positions, keeping the twist of the reference.

    From the root outwards, each joint's global rotation is the orthogonal Procrustes fit of its bones, with a small
    weight on the reference; joints without children keep their local rotation.

    Args:
        rotations: reference parent-relative rotations `[T, J, 3, 3]`.
        positions: target joint positions `[T, J, 3]`, metres.

    Returns:
        parent-relative rotations `[T, J, 3, 3]` in the dtype of `rotations`.
    """
    dtype = rotations.dtype
    local, positions = widened(rotations), widened(positions)
    offsets = local.new_tensor(skeleton.offsets)
    result, turned = [], []
    for joint, parent in enumerate(skeleton.parents):
        # global rotation of the parent [T, 3, 3]
        above = turned[parent] if parent >= 0 else torch.eye(3, dtype=local.dtype, device=local.device)
        guess = above @ local[:, joint]  # [T, 3, 3]
        children = [c for c, p in enumerate(skeleton.parents) if p == joint]
        if children:
            wanted = torch.nn.functional.normalize(positions[:, children] - positions[:, joint, None], dim=-1)
            rest = torch.nn.functional.normalize(offsets[children], dim=-1)
            # sum of outer products of target and rest directions [T, 3, 3]
            fit = torch.einsum("tcx,cy->txy", wanted, rest) + _TWIST_WEIGHT * guess
            guess = torch.as_tensor(roma.special_procrustes(fit))
        turned.append(guess)
        result.append(above.mT @ guess)
    return torch.stack(result, dim=1).to(dtype)
