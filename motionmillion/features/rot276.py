"""The 276-dimensional representation of ViMoGen and MBench, 20 frames per second, z up in the features.

    features = get("rot276").encode(motion)                  # [T - 1, 276]
    motion = get("rot276_velocity").decode(features)         # the same features, root and joints integrated from steps

| block | size | content |
|---|---|---|
| rotations | 126 | 6D rotations of the 21 joints below the pelvis, parent-relative |
| positions | 66 | joints in world coordinates |
| velocities | 66 | their differences to the next frame |
| root_rotation | 6 | 6D rotation of the pelvis in the world |
| heading_change | 6 | 6D rotation in the world from it to that of the next frame (all of it, not only the heading) |
| translation | 3 | SMPL-X's translation: the pelvis minus its position in SMPL-X's rest body |
| root_velocity | 3 | its difference to the next frame |

6D means the first two COLUMNS of a rotation matrix, read row by row: r00 r01 r10 r11 r20 r21. The features are z up;
in frame 0 the pelvis is at x = y = 0 and the hips face +y. `Motion` is y up and faces +z: x becomes minus x, and y and
z are swapped. Heights are kept.

Every row includes steps to the next frame, so T frames become T - 1 rows, which are decoded to T - 1 frames.

There are two decoders: "rot276" reads root and positions of each frame directly; "rot276_velocity" starts at frame 0
and integrates the steps (`recover_from_velocity` of the released code, which its renderer and MBench use), which is
smoother but drifts. Unusual: the published data has the joints of SMPL-X bodies; ours has those of the motion's own
skeleton.

Source: ViMoGen (arXiv 2510.26794) after DART (arXiv 2410.05260); layout as in its released data.
"""

import roma
import torch
from torch import Tensor

from motionmillion.features.base import Layout, Representation, Route, check_route
from motionmillion.kinematics.joints import aim_at_positions
from motionmillion.motion import Motion, rotation_y
from motionmillion.precision import widened
from motionmillion.skeleton import SMPL22, SMPLX_PELVIS

_AXES = torch.tensor([[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
"""From y up, facing +z to z up, facing +y; it is its own inverse."""

_LEFT_HIP, _RIGHT_HIP = SMPL22.names.index("left_hip"), SMPL22.names.index("right_hip")


class Rot276(Representation):
    """Codec between `Motion` and 276-dimensional features; see the module's docstring."""

    name = "rot276"
    fps = 20.0
    skeleton = SMPL22
    layout = Layout(
        rotations=126, positions=66, velocities=66, root_rotation=6, heading_change=6, translation=3, root_velocity=3
    )
    ahead = ("velocities", "heading_change", "root_velocity")
    reference_blocks = ("rotations", "root_rotation", "heading_change")
    edited_blocks = {
        "rotations": "rotations",
        **dict.fromkeys(("positions", "velocities"), "descendants"),
        **dict.fromkeys(("root_rotation", "heading_change", "translation", "root_velocity"), "root"),
    }
    floor_channels = dict.fromkeys(("positions", "velocities", "translation", "root_velocity"), (0, 1))
    heading_blocks = ("root_rotation",)
    from_velocity = False
    """Whether root and positions are integrated from the velocities."""

    def encode(self, motion: Motion) -> Tensor:
        """Features `[T - 1, 276]`, float32, of a motion on the SMPL22 skeleton.

        Raises:
            ValueError: if the motion's joints are not SMPL22's, or it has fewer than two frames at 20 per second.
        """
        motion = self.source(motion, frames=2)
        rotations, root = widened(motion.rotations), widened(motion.translation)
        joints = motion.skeleton.forward_kinematics(rotations, root)[0]
        across = joints[0, _RIGHT_HIP] - joints[0, _LEFT_HIP]
        axes = _AXES.to(root)
        # to z up, with the hips of frame 0 facing +y
        turn = axes @ rotation_y(-torch.atan2(across[2], -across[0]))
        joints = (joints - joints[0, 0] * root.new_tensor([1.0, 0.0, 1.0])) @ turn.mT  # [T, 22, 3]
        orientation = turn @ rotations[:, 0]
        translation = joints[:, 0] - _pelvis(joints)
        blocks = [
            _to_6d(rotations[:-1, 1:]),
            joints[:-1].flatten(1),
            joints.diff(dim=0).flatten(1),
            _to_6d(orientation[:-1]),
            _to_6d(orientation[1:] @ orientation[:-1].mT),
            translation[:-1],
            translation.diff(dim=0),
        ]
        return torch.cat([block.flatten(1) for block in blocks], dim=1).float()

    def window(self, features: Tensor, start: int, stop: int) -> Tensor:
        """Features `[stop - start, D]` of a window of frames, moved and turned so that it begins like a motion."""
        blocks = self.layout.split(widened(features[start:stop]))
        joints, steps = (blocks[name].unflatten(1, (22, 3)) for name in ("positions", "velocities"))
        across = joints[0, _RIGHT_HIP] - joints[0, _LEFT_HIP]
        # hips of the first frame face +y, pelvis at x = y = 0
        turn = _rotation_z(-torch.atan2(across[1], across[0]))
        origin = joints[0, 0] * joints.new_tensor([1.0, 1.0, 0.0])
        orientation, change = (_from_6d(blocks[name], 1)[:, 0] for name in ("root_rotation", "heading_change"))
        moved = [
            blocks["rotations"],
            (joints - origin) @ turn.mT,
            steps @ turn.mT,
            _to_6d(turn @ orientation),
            _to_6d(turn @ change @ turn.mT),
            # the rest offset of the pelvis does not rotate with the world
            (blocks["translation"] + _pelvis(joints) - origin) @ turn.mT - _pelvis(joints),
            blocks["root_velocity"] @ turn.mT,
        ]
        return torch.cat([block.flatten(1) for block in moved], dim=1).to(features.dtype)

    def rotations(self, features: Tensor) -> tuple[Tensor, Tensor]:
        blocks = self.layout.split(features)
        body = _from_6d(blocks["rotations"], 21)
        orientation = _from_6d(widened(blocks["root_rotation"]), 1)[..., 0, :, :]  # [..., T, 3, 3]
        translation = widened(blocks["translation"])
        if self.from_velocity:
            steps = _from_6d(widened(blocks["heading_change"]), 1)[..., 0, :, :]
            chain = [orientation[..., 0, :, :]]
            for frame in range(features.shape[-2] - 1):
                chain.append(steps[..., frame, :, :] @ chain[-1])
            orientation = torch.stack(chain, dim=-3)
            translation = _sum_up(translation, widened(blocks["root_velocity"]))
        axes = _AXES.to(translation)
        root = (translation + _pelvis(translation)) @ axes.mT
        turned = (axes @ orientation).to(features.dtype)
        return torch.cat([turned[..., None, :, :], body], dim=-3), root.to(features.dtype)

    def positions(self, features: Tensor) -> Tensor:
        joints = widened(features[..., self.layout["positions"]])
        if self.from_velocity:
            joints = _sum_up(joints, widened(features[..., self.layout["velocities"]]))
        return (joints.unflatten(-1, (22, 3)) @ _AXES.to(joints).mT).to(features.dtype)

    def decode(self, features: Tensor, route: Route = "rotations") -> Motion:
        """Motion of features `[T, 276]`, T frames, y up.

        Args:
            route: "rotations" reads the 6D rotations and the translation; "positions" puts the pelvis where the
                position block has it and turns each joint so that its children point to theirs (the twist of a bone
                comes from the 6D rotation).

        Raises:
            ValueError: for wrong shapes, values that are not finite, or an unknown route.
        """
        self.check(features)
        rotations, root = self.rotations(features)
        if check_route(route) == "positions":
            positions = self.positions(features)
            rotations, root = aim_at_positions(rotations, positions, self.skeleton), positions[:, 0]
        return Motion(rotations, root, fps=self.fps)


class Rot276Velocity(Rot276):
    """The same features, with root and positions integrated from their velocities."""

    name = "rot276_velocity"
    from_velocity = True
    edited_blocks = {}  # no frame is decoded by itself


def _pelvis(like: Tensor) -> Tensor:
    """Position of the pelvis in SMPL-X's rest body `[3]`; never rotated, whichever axis is up."""
    return like.new_tensor(SMPLX_PELVIS)


def _rotation_z(angle: Tensor) -> Tensor:
    """Matrix `[3, 3]` that turns by `angle` about z."""
    return _AXES.to(angle) @ rotation_y(angle) @ _AXES.to(angle)


def _to_6d(rotations: Tensor) -> Tensor:
    return rotations[..., :2].flatten(-2)


def _from_6d(values: Tensor, joints: int) -> Tensor:
    """Rotations `[..., joints, 3, 3]` of `[..., 6 * joints]`."""
    return roma.special_gramschmidt(values.unflatten(-1, (joints, 3, 2)))


def _sum_up(values: Tensor, steps: Tensor) -> Tensor:
    """Integrate `steps` `[..., T, D]` from the first frame of `values` `[..., T, D]`."""
    return torch.cat([values[..., :1, :], values[..., :1, :] + steps[..., :-1, :].cumsum(-2)], dim=-2)
