"""Skeleton: joint names, parents and rest offsets of a body, with forward kinematics.

`SMPL22` is the body of the whole library: the 22 body joints of SMPL in SMPL's order, y up, facing +z, left on +x,
metres. Joint rotations are parent-relative rotation matrices.

Shapes: T frames, J joints; `...` is any leading dimensions.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

SMPLX_PELVIS = (0.003, -0.351, 0.012)
"""Pelvis of the neutral rest bodies in the axes of the model, metres."""


@dataclass(frozen=True)
class Skeleton:
    """A tree of joints in parent-before-child order.

    Args:
        names: J joint names; mirrored pairs are called `left_x` and `right_x`.
        parents: index of each joint's parent, -1 for the root (joint 0).
        offsets: position of each joint relative to its parent in the rest pose, metres; the root's is unused.

    Raises:
        ValueError: if the lengths differ, a parent does not come before its child, or a mirror image is missing.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: tuple[tuple[float, float, float], ...]

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.parents) == len(self.offsets):
            raise ValueError(
                f"names, parents and offsets must have one entry per joint, got {len(self.names)}, "
                f"{len(self.parents)} and {len(self.offsets)}"
            )
        if not self.parents or self.parents[0] != -1:
            raise ValueError(f"parents must begin with -1 for the root, got {self.parents[:1]!r}")
        for joint, parent in enumerate(self.parents[1:], start=1):
            if not 0 <= parent < joint:
                raise ValueError(f"parents must name an earlier joint, got {parent} for {self.names[joint]!r}")
        # needed by `Motion.mirror`
        for name in self.names:
            if _mirror_name(name) not in self.names:
                raise ValueError(f"names must hold the mirror image of {name!r}; add {_mirror_name(name)!r}")

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def mirror_order(self) -> tuple[int, ...]:
        """For each joint the index of its left/right mirror image."""
        return tuple(self.names.index(_mirror_name(name)) for name in self.names)

    @cached_property
    def levels(self) -> tuple[tuple[int, ...], ...]:
        """Joints grouped by depth below the root, without the root itself."""
        depth = [0]
        for parent in self.parents[1:]:
            depth.append(depth[parent] + 1)
        return tuple(tuple(j for j, d in enumerate(depth) if d == level) for level in range(1, max(depth) + 1))

    def index(self, name: str) -> int:
        """Index of the joint called `name`."""
        if name not in self.names:
            raise ValueError(f"name must be a joint of the skeleton, got {name!r}; the joints are {self.names}")
        return self.names.index(name)

    def rest_positions(self) -> Tensor:
        """Joint positions `[J, 3]` of the rest pose with the root at the origin, metres, float64."""
        identity = torch.eye(3, dtype=torch.float64).repeat(len(self), 1, 1)
        return self.forward_kinematics(identity, identity.new_zeros(3))[0]

    def forward_kinematics(self, rotations: Tensor, translation: Tensor) -> tuple[Tensor, Tensor]:
        """Global joint positions and rotations; batched and differentiable, one step per depth of the tree.

        Args:
            rotations: parent-relative rotation matrices `[..., J, 3, 3]`.
            translation: root joint positions `[..., 3]`, metres.

        Returns:
            positions `[..., J, 3]` and global rotations `[..., J, 3, 3]`.
        """
        if rotations.shape[-3:] != (len(self), 3, 3):
            raise ValueError(f"rotations must have shape [..., {len(self)}, 3, 3], got {tuple(rotations.shape)}")
        offsets = torch.tensor(self.offsets, dtype=rotations.dtype, device=rotations.device)
        # every entry but the root's is overwritten, level by level
        global_rotations: list[Tensor] = [rotations[..., 0, :, :]] * len(self)
        positions: list[Tensor] = [translation] * len(self)
        for level in self.levels:
            joints = list(level)
            parents = [self.parents[j] for j in joints]
            parent_rotations = torch.stack([global_rotations[p] for p in parents], dim=-3)  # [..., level, 3, 3]
            turned = parent_rotations @ rotations[..., joints, :, :]
            shift = (parent_rotations @ offsets[joints].unsqueeze(-1)).squeeze(-1)  # [..., level, 3]
            for slot, (joint, parent) in enumerate(zip(joints, parents, strict=True)):
                global_rotations[joint] = turned[..., slot, :, :]
                positions[joint] = positions[parent] + shift[..., slot, :]
        return torch.stack(positions, dim=-2), torch.stack(global_rotations, dim=-3)


def _mirror_name(name: str) -> str:
    if name.startswith("left_"):
        return "right_" + name.removeprefix("left_")
    if name.startswith("right_"):
        return "left_" + name.removeprefix("right_")
    return name


SMPL22 = Skeleton(
    names=(
        *("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle"),
        *("right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head"),
        *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    ),
    parents=(-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19),
    offsets=(
        (0.0, 0.0, 0.0),
        (0.069, -0.091, -0.006),
        (-0.069, -0.091, -0.006),
        (0.0, 0.109, -0.027),
        (0.036, -0.379, -0.007),
        (-0.036, -0.379, -0.007),
        (0.0, 0.135, 0.001),
        (-0.015, -0.398, -0.043),
        (0.015, -0.398, -0.043),
        (0.0, 0.053, 0.025),
        (0.026, -0.052, 0.121),
        (-0.026, -0.052, 0.121),
        (0.0, 0.214, -0.043),
        (0.08, 0.12, -0.036),
        (-0.08, 0.12, -0.036),
        (0.0, 0.065, 0.051),
        (0.094, 0.032, -0.009),
        (-0.094, 0.032, -0.009),
        (0.257, -0.013, -0.024),
        (-0.257, -0.013, -0.024),
        (0.252, 0.008, -0.003),
        (-0.252, 0.008, -0.003),
    ),
)
"""The 22 body joints of SMPL with the rest offsets of one neutral adult body (pelvis about 0.95 m above the floor)."""
