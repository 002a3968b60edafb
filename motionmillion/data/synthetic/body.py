"""Body model of the synthetic motions: joint angles for the upper body, planned footsteps for the legs.

A motion is planned as a `Plan`: angles of the upper body, the path of the pelvis and the position of each foot;
`solve` finds the legs by two-bone inverse kinematics, so that planted feet do not slide, and lowers the pelvis where a
leg would be too short. Unusual: a foot is positioned by its toe joint (SMPL22's `left_foot`), at height 0 when it is
on the floor; the heel rises by pitching the foot about this joint.

Angles in radians, lengths in metres. Pitch rotates about +x (positive leans forward, swings a limb backward), yaw
about +y (positive turns left), roll about +z. Shapes: T frames, J joints, 2 sides in the order left, right.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import roma
import torch
from torch import Tensor

from motionmillion.motion import Motion, rotation_y
from motionmillion.skeleton import SMPL22

SIDES = (("left", 1.0), ("right", -1.0))
SIDE_SIGNS = torch.tensor([1.0, -1.0], dtype=torch.float64)
REST_TOE_Z = 0.065  # toe joints in front of the pelvis when standing
_STRAIGHTEST = 0.99  # fraction of a leg's full length that standing and walking use
_OFFSETS = torch.tensor(SMPL22.offsets, dtype=torch.float64)


class Pose:
    """Joint angles `[T, J, 4]` (yaw, pitch, roll, twist), initially zero; `R = Ry Rx Rz Rx(twist)`."""

    def __init__(self, frames: int) -> None:
        self.angles = torch.zeros(frames, len(SMPL22), 4, dtype=torch.float64)

    def add(
        self,
        joint: str,
        yaw: Tensor | float = 0.0,
        pitch: Tensor | float = 0.0,
        roll: Tensor | float = 0.0,
        twist: Tensor | float = 0.0,
    ) -> None:
        """Add angles, each a number or `[T]`, to a joint."""
        for channel, angle in enumerate((yaw, pitch, roll, twist)):
            self.angles[:, SMPL22.index(joint), channel] += angle

    def add_spine(self, yaw: Tensor | float = 0.0, pitch: Tensor | float = 0.0, roll: Tensor | float = 0.0) -> None:
        """Spread angles evenly over the three spine joints."""
        for joint in ("spine1", "spine2", "spine3"):
            self.add(joint, yaw / 3, pitch / 3, roll / 3)

    def add_arm(
        self,
        side: str,
        lower: Tensor | float = 0.0,
        swing: Tensor | float = 0.0,
        twist: Tensor | float = 0.0,
        flex: Tensor | float = 0.0,
    ) -> None:
        """Add to an arm: `lower` below the T-pose, `swing` backward, `twist` about the upper arm, elbow `flex`."""
        sign = dict(SIDES)[side]
        self.add(f"{side}_collar", roll=-sign * 0.12 * lower)
        self.add(f"{side}_shoulder", pitch=swing, roll=-sign * 0.88 * lower, twist=twist)
        self.add(f"{side}_elbow", yaw=-sign * flex)

    def rotations(self) -> Tensor:
        """Local rotations `[T, J, 3, 3]`."""
        yaw, pitch, roll, twist = self.angles.unbind(-1)
        return rotation_y(yaw) @ rotation_x(pitch) @ _rotation_z(roll) @ rotation_x(twist)


@dataclass
class Plan:
    """A planned motion, the input of `solve`.

    Args:
        pose: angles of all joints except the legs; the pelvis yaw is the heading.
        root: floor position (x, z) of the pelvis `[T, 2]`.
        toes: positions of the toe joints `[T, 2, 3]`.
        toe_yaw: heading of the feet `[T, 2]`.
        heel: pitch of the feet about the toe joints `[T, 2]`, positive with the heel up.
        crouch: how far the pelvis is lowered `[T]`, from standing height or, if that is less, what the legs can reach.
        flight: height of the whole body above the floor `[T]`, already part of `toes`.
    """

    pose: Pose
    root: Tensor
    toes: Tensor
    toe_yaw: Tensor
    heel: Tensor
    crouch: Tensor
    flight: Tensor


def rotation_x(angle: Tensor) -> Tensor:
    """Rotation matrices about +x by `angle` radians, `[...]` -> `[..., 3, 3]`."""
    return roma.rotvec_to_rotmat(torch.stack([angle, torch.zeros_like(angle), torch.zeros_like(angle)], dim=-1))


def _rotation_z(angle: Tensor) -> Tensor:
    return roma.rotvec_to_rotmat(torch.stack([torch.zeros_like(angle), torch.zeros_like(angle), angle], dim=-1))


def keyframes(time: Tensor, keys: Sequence[tuple[float, float] | tuple[float, float, float]]) -> Tensor:
    """Cubic Hermite curve through keys `(time, value)` or `(time, value, slope)`, evaluated at times of any shape.

    The slope defaults to 0. Before the first and after the last key the curve is constant.
    """
    table = torch.tensor([(*key, 0.0)[:3] for key in keys], dtype=torch.float64)
    knots, values, slopes = table.T.contiguous()
    time = time.clamp(knots[0], knots[-1])
    left = (torch.searchsorted(knots, time.contiguous(), right=True) - 1).clamp(0, len(knots) - 2)
    span = knots[left + 1] - knots[left]
    x = (time - knots[left]) / span
    rise = x * x * (3 - 2 * x)
    value = torch.lerp(values[left], values[left + 1], rise)
    return value + span * x * (1 - x) * (slopes[left] * (1 - x) - slopes[left + 1] * x)


def smooth(values: Tensor, frames: float) -> Tensor:
    """Gaussian filter over time of `[T]` or `[T, C]`, standard deviation in frames; end values are repeated."""
    reach = max(1, int(3 * frames))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / frames).square())
    columns = values.reshape(values.shape[0], -1).T[:, None]  # [C, 1, T]
    padded = torch.nn.functional.pad(columns, (reach, reach), mode="replicate")
    filtered = torch.nn.functional.conv1d(padded, (kernel / kernel.sum())[None, None])
    return filtered[:, 0].T.reshape(values.shape)


def turn(vectors: Tensor, yaw: Tensor) -> Tensor:
    """Turn floor vectors (x, z) `[..., 2]` left by `yaw` `[...]`."""
    x, z = vectors.unbind(-1)
    cos, sin = torch.cos(yaw), torch.sin(yaw)
    return torch.stack([cos * x + sin * z, cos * z - sin * x], dim=-1)


def solve(plan: Plan, fps: float) -> Motion:
    """The motion of a plan: pelvis height and legs by inverse kinematics."""
    rotations = plan.pose.rotations()
    pelvis = rotations[:, 0]  # [T, 3, 3]
    hips = (pelvis[:, None] @ _OFFSETS[[1, 2]][..., None])[..., 0]  # [T, 2, 3], relative to the pelvis
    feet = rotation_y(plan.toe_yaw) @ rotation_x(plan.heel)  # [T, 2, 3, 3]
    ankles = plan.toes - (feet @ _OFFSETS[[10, 11]][..., None])[..., 0]
    length = _STRAIGHTEST * float(_bend(torch.tensor([[9.9, 9.9]], dtype=torch.float64))[1].min())

    away = ankles[..., [0, 2]] - hips[..., [0, 2]] - plan.root[:, None]
    vertical = (length**2 - away.square().sum(-1)).clamp(min=0.05).sqrt()
    ceiling = (ankles[..., 1] + vertical - hips[..., 1]).amin(1) - plan.flight
    # The lowest ceiling around each frame, then smoothed: the pelvis stays within the legs' reach.
    lowest = -torch.nn.functional.max_pool1d(-ceiling[None], 2 * _near(fps) + 1, 1, _near(fps))[0]
    height = smooth(lowest, 0.05 * fps) - plan.crouch + plan.flight
    translation = torch.stack([plan.root[:, 0], height, plan.root[:, 1]], dim=-1)  # [T, 3]

    reach = ankles - hips - translation[:, None]  # [T, 2, 3]
    knee, _ = _bend(reach.norm(dim=-1))
    thigh = _aim(reach, rotation_y(plan.toe_yaw)[..., 0]) @ _aim(_leg(knee), torch.eye(3, dtype=torch.float64)[0]).mT
    shin = rotation_x(knee)
    rotations[:, [1, 2]] = pelvis.mT[:, None] @ thigh
    rotations[:, [4, 5]] = shin
    rotations[:, [7, 8]] = (thigh @ shin).mT @ feet
    rotations[:, [10, 11]] = rotation_x(-plan.heel.clamp(min=0))
    return Motion(rotations, translation, fps=fps)


def _near(fps: float) -> int:
    return max(1, round(0.05 * fps))


def _leg(knee: Tensor) -> Tensor:
    """Hip to ankle `[T, 2, 3]` in the thigh's frame for knee angles `[T, 2]`."""
    return _OFFSETS[[4, 5]] + (rotation_x(knee) @ _OFFSETS[[7, 8]][..., None])[..., 0]


def _bend(distance: Tensor) -> tuple[Tensor, Tensor]:
    """Knee angles `[T, 2]` that put the ankle at `distance` from the hip, and the greatest distance `[2]`."""
    upper, lower = _OFFSETS[[4, 5]], _OFFSETS[[7, 8]]
    along = (upper[:, 1:] * lower[:, 1:]).sum(1)
    across = upper[:, 2] * lower[:, 1] - upper[:, 1] * lower[:, 2]
    fixed = upper.square().sum(1) + lower.square().sum(1) + 2 * upper[:, 0] * lower[:, 0]
    span = 2 * torch.hypot(along, across)
    cosine = ((distance.square() - fixed) / span).clamp(-1, 1)
    return torch.atan2(across, along) + torch.acos(cosine), (fixed + span).sqrt()


def _aim(direction: Tensor, hinge: Tensor) -> Tensor:
    """Frames `[..., 3, 3]` with first column `direction` `[..., 3]` and the third as close to `hinge` as possible."""
    first = torch.nn.functional.normalize(direction, dim=-1)
    third = torch.nn.functional.normalize(hinge - (hinge * first).sum(-1, keepdim=True) * first, dim=-1)
    return torch.stack([first, torch.linalg.cross(third, first), third], dim=-1)
