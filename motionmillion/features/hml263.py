"""The 263-dimensional representation of HumanML3D, 20 frames per second, y up.

    features = get("hml263").encode(motion)                  # [T - 1, 263]
    motion = get("hml263").decode(features)                  # joints, then a motion fitted to them

| block | size | content |
|---|---|---|
| heading_change | 1 | HALF the turn to the next frame's heading, radians, positive to the right |
| root_velocity | 2 | pelvis step to the next frame in x and z, metres, in the NEXT frame's heading |
| root_height | 1 | of the pelvis |
| positions | 63 | the 21 other joints relative to the pelvis' ground point, in the frame's heading |
| rotations | 126 | 6D rotations from HumanML3D's rest bones to the bones, along its five chains |
| velocities | 66 | steps of all 22 joints to the next frame, in this frame's heading |
| contacts | 4 | left ankle and toe, right ankle and toe: 1 where the step to the next frame is below 0.045 m |

The heading is the horizontal normal of hips and shoulders, smoothed over time (Gaussian, 20 frames). 6D means the
first two COLUMNS of a rotation matrix, one after the other. Every row includes steps to the next frame, so T frames
become T - 1 rows, which are decoded to T - 1 frames. Decoding starts at x = z = 0, facing +z; heights are kept.

Unusual: the rotations are fitted to bones and contain no twist, so both routes of decoding go through joint positions
(`motionmillion.kinematics.joints`): "positions" reads the position block and keeps its bone lengths, "rotations"
applies the rotation block to SMPL22's bones. The published data was made with one body's bone lengths and put on the
floor; here a motion keeps its own body and heights (use `Motion.canonicalize`), and is turned by the smoothed heading
of frame 0.

Source: Guo et al., Generating Diverse and Natural 3D Human Motions from Text (CVPR 2022), HumanML3D.
"""

import roma
import torch
from torch import Tensor
from torch.nn.functional import normalize

from motionmillion.features.base import Layout, Representation, Route, check_route
from motionmillion.kinematics.joints import motion_from_joints, rotation_between, rotations_from_joints
from motionmillion.motion import Motion, rotation_y
from motionmillion.precision import widened
from motionmillion.skeleton import SMPL22

_CHAINS = ((0, 2, 5, 8, 11), (0, 1, 4, 7, 10), (0, 3, 6, 9, 12, 15), (9, 14, 17, 19, 21), (9, 13, 16, 18, 20))
_LEFT, _UP, _FRONT = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
_RIGHT, _DOWN = (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)
_REST = (
    *((0.0, 0.0, 0.0), _LEFT, _RIGHT, _UP, _DOWN, _DOWN, _UP, _DOWN, _DOWN, _UP, _FRONT, _FRONT),
    *(_UP, _LEFT, _RIGHT, _FRONT, _DOWN, _DOWN, _DOWN, _DOWN, _DOWN, _DOWN),
)
"""Direction of the bone into each joint in HumanML3D's rest pose, arms down."""

_FEET = [7, 10, 8, 11]
_CONTACT = 0.002  # squared metres per frame
_SMOOTHING = 20.0  # frames
_LEFT_SIDE, _RIGHT_SIDE = [1, 16], [2, 17]  # hips and shoulders


class Hml263(Representation):
    """Codec between `Motion` and 263-dimensional features; see the module's docstring."""

    name = "hml263"
    fps = 20.0
    skeleton = SMPL22
    layout = Layout(
        heading_change=1, root_velocity=2, root_height=1, positions=63, rotations=126, velocities=66, contacts=4
    )

    def encode(self, motion: Motion) -> Tensor:
        """Features `[T - 1, 263]`, float32, of a motion on the SMPL22 skeleton.

        Raises:
            ValueError: if the motion's joints are not SMPL22's, or it has fewer than two frames at 20 per second.
        """
        motion = self.source(motion, frames=2)
        joints = motion.skeleton.forward_kinematics(widened(motion.rotations), widened(motion.translation))[0]
        # frame 0 faces +z
        joints = joints @ rotation_y(-_heading(joints)[0]).mT
        yaw = _heading(joints)  # [T]
        unturn = rotation_y(-yaw)
        steps = joints.diff(dim=0)  # [T - 1, 22, 3]
        # wrapped to -pi..pi
        turn = torch.remainder(yaw.diff() + torch.pi, 2 * torch.pi) - torch.pi
        ground = joints[:, :1] * joints.new_tensor([1.0, 0.0, 1.0])
        local = (joints - ground) @ unturn.mT
        blocks = [
            -turn[:, None] / 2,
            (unturn[1:] @ steps[:, 0, :, None])[:, [0, 2], 0],
            joints[:-1, 0, 1:2],
            local[:-1, 1:].flatten(1),
            _chain_rotations(joints, unturn)[:-1, :, :, :2].mT.flatten(1),
            (steps @ unturn[:-1].mT).flatten(1),
            (steps[:, _FEET].square().sum(-1) < _CONTACT).to(steps),
        ]
        return torch.cat(blocks, dim=1).float()

    def root(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Heading `[..., T]` in radians and pelvis positions `[..., T, 3]`, both integrated over time."""
        blocks = self.layout.split(features)
        turn = -2 * widened(blocks["heading_change"][..., :-1, 0])
        yaw = torch.cat([widened(torch.zeros_like(features[..., :1, 0])), turn.cumsum(-1)], dim=-1)
        step = widened(blocks["root_velocity"][..., :-1, :])
        cos, sin = torch.cos(yaw[..., 1:]), torch.sin(yaw[..., 1:])
        x = (cos * step[..., 0] + sin * step[..., 1]).cumsum(-1)
        z = (cos * step[..., 1] - sin * step[..., 0]).cumsum(-1)
        start = torch.zeros_like(yaw[..., :1])
        path = [torch.cat([start, x], -1), widened(blocks["root_height"][..., 0]), torch.cat([start, z], -1)]
        return yaw.to(features.dtype), torch.stack(path, dim=-1).to(features.dtype)

    def rotations(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Local rotations `[..., T, 22, 3, 3]` on SMPL22, fitted to the rotation block, and the pelvis path."""
        yaw, root = self.root(features)
        columns = features[..., self.layout["rotations"]].unflatten(-1, (21, 2, 3))
        local = roma.special_gramschmidt(columns.mT)  # [..., T, 21, 3, 3]
        lengths = torch.tensor(self.skeleton.offsets, dtype=torch.float64).norm(dim=-1)
        bones = torch.tensor(_REST, dtype=torch.float64) * lengths[:, None]
        bones = bones.to(features)
        joints = [root] * 22
        for chain in _CHAINS:
            turned = rotation_y(-yaw)
            for parent, joint in zip(chain, chain[1:], strict=False):
                turned = turned @ local[..., joint - 1, :, :]
                joints[joint] = joints[parent] + turned @ bones[joint]
        return rotations_from_joints(torch.stack(joints, dim=-2), self.skeleton), root

    def positions(self, features: Tensor) -> Tensor:
        yaw, root = self.root(features)
        local = features[..., self.layout["positions"]].unflatten(-1, (21, 3))
        others = local @ rotation_y(yaw).mT + (root * root.new_tensor([1.0, 0.0, 1.0]))[..., None, :]
        return torch.cat([root[..., None, :], others], dim=-2)

    def decode(self, features: Tensor, route: Route = "positions") -> Motion:
        """Motion of features `[T, 263]`, T frames, rotations fitted to joint positions.

        Args:
            route: "positions" (the default here) fits the joints of the position block, with their bone lengths;
                "rotations" fits the joints that the rotation block gives on the SMPL22 body.

        Raises:
            ValueError: for wrong shapes, values that are not finite, joints of implausible size, or an unknown route.
        """
        self.check(features)
        if check_route(route) == "positions":
            return motion_from_joints(self.positions(features), fps=self.fps)
        return Motion(*self.rotations(features), fps=self.fps)


def _heading(joints: Tensor) -> Tensor:
    """Yaw `[T]` of the smoothed horizontal normal of hips and shoulders, radians."""
    across = normalize(joints[:, _RIGHT_SIDE].sum(1) - joints[:, _LEFT_SIDE].sum(1), dim=-1)
    front = torch.stack([across[:, 2], -across[:, 0]], dim=0)  # y cross `across`, its x and z, [2, T]
    reach = int(4 * _SMOOTHING + 0.5)
    window = torch.exp(-0.5 * (torch.arange(-reach, reach + 1).to(front) / _SMOOTHING) ** 2)
    front = torch.nn.functional.pad(front, (reach, reach), mode="replicate")
    x, z = torch.nn.functional.conv1d(front[:, None], (window / window.sum())[None, None])[:, 0]
    return torch.atan2(x, z)


def _chain_rotations(joints: Tensor, start: Tensor) -> Tensor:
    """Rotations `[T, 21, 3, 3]` from HumanML3D's rest bones to the bones, each relative to the previous one.

    Args:
        joints: `[T, 22, 3]`.
        start: rotations `[T, 3, 3]` at the start of each chain, which undo the heading.
    """
    rest = torch.tensor(_REST, dtype=joints.dtype, device=joints.device)
    result = [start] * 22
    for chain in _CHAINS:
        before = start
        for parent, joint in zip(chain, chain[1:], strict=False):
            bone = normalize(joints[:, joint] - joints[:, parent], dim=-1)
            turned = rotation_between(rest[joint].expand_as(bone), bone)
            result[joint] = before.mT @ turned
            before = turned
    return torch.stack(result[1:], dim=1)
