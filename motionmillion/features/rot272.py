"""The 272-dimensional representation of MotionStreamer and MotionMillion, 30 frames per second, y up.

| block | size | content |
|---|---|---|
| root_velocity | 2 | pelvis step in x and z, metres per frame, in the heading frame of the previous frame |
| heading_change | 6 | 6D rotation that removes the change of heading since the frame before |
| positions | 66 | joints relative to the pelvis' ground point, in the frame's own heading frame |
| velocities | 66 | difference of `positions` to the previous frame |
| rotations | 132 | 6D joint rotations, parent-relative; the root's without its heading |

6D means the first two ROWS of a rotation matrix. Frame 0 has zero velocities and no heading change, so the initial
position and heading are not encoded: decoding starts at x = z = 0, facing +z. Heights are kept.

Source: Go to Zero (arXiv 2507.07095), section on the motion representation; conventions as in its released data.
Unusual: the heading is decoded as an angle that is summed over time in float64; the published decoder multiplies noisy
3D rotations, so that errors can tilt the whole body.
"""

import roma
import torch
from torch import Tensor

from motionmillion.features.base import Layout, Representation, Route, check_route
from motionmillion.kinematics.joints import aim_at_positions
from motionmillion.motion import Motion, heading, rotation_y
from motionmillion.precision import widened
from motionmillion.skeleton import SMPL22


class Rot272(Representation):
    """Codec between `Motion` and 272-dimensional features; see the module's docstring."""

    name = "rot272"
    fps = 30.0
    skeleton = SMPL22
    layout = Layout(root_velocity=2, heading_change=6, positions=66, velocities=66, rotations=132)

    def encode(self, motion: Motion) -> Tensor:
        """Features `[T, 272]`, float32, of a motion on the SMPL22 skeleton.

        Raises:
            ValueError: if the motion's joints are not SMPL22's.
        """
        motion = self.source(motion)
        rotations, root = widened(motion.rotations), widened(motion.translation)
        joints = motion.skeleton.forward_kinematics(rotations, root)[0]  # [T, 22, 3]
        yaw = heading(rotations[:, 0])
        unturn = rotation_y(-yaw)  # [T, 3, 3], H_t
        ground = root * root.new_tensor([1.0, 0.0, 1.0])
        local = (joints - ground[:, None]) @ unturn.mT  # [T, 22, 3]
        velocity = torch.zeros_like(local)
        velocity[1:] = local[1:] - local[:-1]
        turned = torch.cat([(unturn @ rotations[:, 0])[:, None], rotations[:, 1:]], dim=1)  # [T, 22, 3, 3]
        blocks = [
            *_root_blocks(yaw, root),
            local.flatten(1),
            velocity.flatten(1),
            turned[:, :, :2].flatten(1),
        ]
        return torch.cat(blocks, dim=1).float()

    def root(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Heading `[..., T]` in radians and pelvis positions `[..., T, 3]`, both integrated over time."""
        blocks = self.layout.split(features)
        # the 6D rotation is about y and removes the change: cos in entry 0, minus the sine in entry 2
        change = widened(blocks["heading_change"])
        yaw = torch.cumsum(torch.atan2(-change[..., 2], change[..., 0]), dim=-1)
        before = torch.cat([torch.zeros_like(yaw[..., :1]), yaw[..., :-1]], dim=-1)
        step = widened(blocks["root_velocity"])
        cos, sin = torch.cos(before), torch.sin(before)
        x = torch.cumsum(cos * step[..., 0] + sin * step[..., 1], dim=-1)
        z = torch.cumsum(cos * step[..., 1] - sin * step[..., 0], dim=-1)
        height = widened(blocks["positions"][..., 1])
        return yaw.to(features.dtype), torch.stack([x, height, z], dim=-1).to(features.dtype)

    def with_root(self, features: Tensor, yaw: Tensor, path: Tensor) -> Tensor:
        changed = features.clone()
        step, change = _root_blocks(widened(yaw), widened(path))
        changed[:, self.layout["root_velocity"]] = step.to(features)
        changed[:, self.layout["heading_change"]] = change.to(features)
        return changed

    def rotations(self, features: Tensor) -> tuple[Tensor, Tensor]:
        yaw, root = self.root(features)
        rows = features[..., self.layout["rotations"]].unflatten(-1, (22, 2, 3))
        local = roma.special_gramschmidt(rows.mT).mT  # [..., T, 22, 3, 3]
        turned = rotation_y(yaw) @ local[..., 0, :, :]
        return torch.cat([turned[..., None, :, :], local[..., 1:, :, :]], dim=-3), root

    def positions(self, features: Tensor) -> Tensor:
        yaw, root = self.root(features)
        local = features[..., self.layout["positions"]].unflatten(-1, (22, 3))
        return local @ rotation_y(yaw).mT + (root * root.new_tensor([1.0, 0.0, 1.0]))[..., None, :]

    def decode(self, features: Tensor, route: Route = "rotations") -> Motion:
        """Motion of features `[T, 272]`, starting at x = z = 0.

        Args:
            route: "rotations" reads the 6D rotations; "positions" turns each joint so that its children point to
                where the position block puts them (the twist of a bone comes from the 6D rotation).

        Raises:
            ValueError: for wrong shapes, values that are not finite, or an unknown route.
        """
        self.check(features)
        rotations, root = self.rotations(features)
        if check_route(route) == "positions":
            rotations = aim_at_positions(rotations, self.positions(features), self.skeleton)
        return Motion(rotations, root, fps=self.fps)


def _root_blocks(yaw: Tensor, root: Tensor) -> tuple[Tensor, Tensor]:
    """The blocks root_velocity `[T, 2]` and heading_change `[T, 6]` of headings `[T]` and a pelvis path `[T, 3]`."""
    step = torch.zeros_like(root)
    # in the heading frame of the previous frame
    step[1:] = (rotation_y(-yaw)[:-1] @ (root[1:] - root[:-1])[..., None])[..., 0]
    turn_back = torch.zeros_like(yaw)
    turn_back[1:] = yaw[:-1] - yaw[1:]
    return step[:, [0, 2]], rotation_y(turn_back)[:, :2].flatten(1)
