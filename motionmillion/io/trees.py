"""A tree of animated joints, as files of many formats hold it, onto the SMPL22 body.

    motion = motion_of_tree(tree, "walk.bvh", TreeOptions(up="z"))

Joints are mapped by name and place (`motionmillion.kinematics.joint_names`), the vertical axis is checked on the whole
clip (`motionmillion.io.axes`), and the motion is retargeted (`motionmillion.kinematics.retarget`), in pieces, so that
long files fit into memory. Formats only parse: a new one gives a `JointTree`, by the function that the registry of
`motionmillion.io` names.

Shapes: T frames, N joints.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from motionmillion.io.axes import check_up, settle_up
from motionmillion.kinematics.joint_names import map_joints
from motionmillion.kinematics.retarget import Retargeting, sample
from motionmillion.kinematics.rotations import nearest, unit
from motionmillion.kinematics.upright import UP_TURNS
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22, Skeleton

_PIECE = 4096
_SAME_DIRECTION, _SAME_LENGTH = 0.02, 0.002
"""Bones that differ from SMPL22's by less are its own: radians, and metres."""
_UNITS = (1.0, 39.3701, 100.0, 1000.0)
"""Metres, inches, centimetres, millimetres: units per metre."""


class JointTree(Protocol):
    """What a format's parser gives: joints, parents before children, and their motion."""

    names: list[str]
    parents: list[int]
    fps: float

    @property
    def num_frames(self) -> int: ...

    def rest_positions(self) -> np.ndarray:
        """Joint positions `[N, 3]` of the rest pose, in file units."""
        ...

    def forward_kinematics(self, frames: slice | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Global positions `[T, N, 3]` and rotations `[T, N, 3, 3]` relative to the rest pose, of some frames."""
        ...


@dataclass
class PosedTree:
    """A `JointTree` of joints that are posed already, as formats with matrices give them.

    Args:
        rest: joint positions `[N, 3]` of the rest pose.
        positions: global joint positions `[T, N, 3]`.
        rotations: global rotations `[T, N, 3, 3]` relative to the rest pose.
    """

    names: list[str]
    parents: list[int]
    fps: float
    rest: np.ndarray
    positions: np.ndarray
    rotations: np.ndarray

    @classmethod
    def from_matrices(
        cls, names: list[str], parents: list[int], fps: float, rest: np.ndarray, posed: np.ndarray
    ) -> "PosedTree":
        """A tree from global matrices of the rest pose `[N, 4, 4]` and of every frame `[T, N, 4, 4]`; scales go."""
        rotations = nearest(posed[..., :3, :3].astype(np.float64)) @ nearest(rest[:, :3, :3]).swapaxes(-1, -2)
        return cls(names, parents, fps, rest[:, :3, 3], posed[..., :3, 3], rotations)

    @property
    def num_frames(self) -> int:
        return len(self.positions)

    def rest_positions(self) -> np.ndarray:
        return self.rest

    def forward_kinematics(self, frames: slice | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.positions[frames], self.rotations[frames]


@dataclass(frozen=True)
class TreeOptions:
    """How a tree is read; see `motionmillion.io.bvh.read_bvh` for their meaning.

    Raises:
        ValueError: for a value out of range.
    """

    scale: float | None = None
    up: str | None = None
    mapping: Mapping[str, str] | None = None
    align: str = "limbs"

    def __post_init__(self) -> None:
        check_up(self.up)
        if self.align not in ("limbs", "bones"):
            raise ValueError(f'align must be "limbs" or "bones", got {self.align!r}')
        if self.scale is not None:
            check_scale(self.scale)


def check_rate(fps: float | None) -> None:
    """Raise `ValueError` for frames per second to sample at that are not positive, or beyond any recording."""
    if fps is not None and not 0 < fps < 1e4:
        raise ValueError(f"fps must be a positive number, got {fps!r}")


def check_scale(scale: float) -> float:
    """`scale` as a float.

    Raises:
        ValueError: unless it is positive and finite.
    """
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"scale must be a positive number of file units per metre, got {scale!r}")
    return float(scale)


def motion_of_tree(tree: JointTree, path: str, options: TreeOptions, expected_up: str = "y") -> Motion:
    """The motion of a tree on SMPL22, or on its own body if that has SMPL22's joints and rest pose.

    Args:
        path: the file's name for messages.
        expected_up: the vertical axis of the format.

    Raises:
        ValueError: if joints cannot be mapped, listing the missing ones, or the rest pose has no legs.
    """
    rest = tree.rest_positions()
    joints = map_joints(tree.names, tree.parents, options.mapping, path, rest)
    positions, rotations = tree.forward_kinematics(sample(tree.num_frames))
    up = settle_up(_smpl_order(positions, joints), options.up, expected_up, repr(path))
    turn = UP_TURNS[up]
    own = _own_body(tree, rest, joints, options.scale)
    if own is not None:
        return _on_own_body(tree, joints, turn, *own)
    metres = None if options.scale is None else 1.0 / options.scale
    posed = (positions, rotations) if up == "y" else (positions @ turn.T, turn @ rotations)
    retargeting = Retargeting(joints, tree.parents, rest, *posed, metres=metres, align=options.align)
    local = np.empty((tree.num_frames, len(SMPL22), 3, 3), dtype=np.float32)
    root = np.empty((tree.num_frames, 3))
    heights = []
    for start in range(0, len(root), _PIECE):
        part = slice(start, start + _PIECE)
        positions, rotations = tree.forward_kinematics(part)
        if up != "y":
            positions, rotations = positions @ turn.T, turn @ rotations
        local[part], root[part] = placed = retargeting(positions, rotations)
        heights.append(retargeting.heights(positions, *placed))
    source, lowest = np.min(heights, axis=0)
    root[:, 1] += source - lowest
    return Motion(torch.from_numpy(local), torch.from_numpy(root), fps=tree.fps)


def _smpl_order(positions: np.ndarray, joints: Mapping[str, int]) -> np.ndarray:
    """SMPL22's joints `[T, 22, 3]` of those of the file; missing ones at their parents' places."""
    order: list[int] = []
    for name, parent in zip(SMPL22.names, SMPL22.parents, strict=True):
        order.append(joints.get(name, order[parent] if parent >= 0 else 0))
    return positions[:, order]


def _own_body(
    tree: JointTree, rest: np.ndarray, joints: Mapping[str, int], scale: float | None
) -> tuple[Skeleton, float] | None:
    """The file's skeleton and metres per unit, if it differs from SMPL22 in nothing but the lengths of its bones."""
    if len(joints) < len(SMPL22) or any(
        tree.parents[joints[name]] != joints[SMPL22.names[parent]]
        for name, parent in zip(SMPL22.names[1:], SMPL22.parents[1:], strict=True)
    ):
        return None
    order = [joints[name] for name in SMPL22.names]
    offsets = rest[order] - rest[[order[max(parent, 0)] for parent in SMPL22.parents]]
    smpl = np.array(SMPL22.offsets)
    lengths, expected = np.linalg.norm(offsets, axis=1)[1:], np.linalg.norm(smpl, axis=1)[1:]
    apart = np.linalg.norm(unit(offsets) - unit(smpl), axis=1)[1:]
    if lengths.min() <= 0 or apart.max() > _SAME_DIRECTION:
        return None
    ratio = float(np.median(lengths / expected))
    units = _UNITS if scale is None else (scale,)
    per_metre = min(units, key=lambda unit_: abs(np.log(ratio / unit_)))
    if scale is None and not 0.5 < ratio / per_metre < 1.5:
        per_metre = ratio
    if np.abs(lengths / per_metre - expected).max() < _SAME_LENGTH:
        return None
    rows = [(float(x), float(y), float(z)) for x, y, z in offsets / per_metre]
    return Skeleton(SMPL22.names, SMPL22.parents, tuple(rows)), 1.0 / per_metre


def _on_own_body(
    tree: JointTree, joints: Mapping[str, int], turn: np.ndarray, skeleton: Skeleton, metres: float
) -> Motion:
    """The file's own rotations and root path, on its own skeleton."""
    order, parents = [joints[name] for name in SMPL22.names], list(SMPL22.parents)
    local = np.empty((tree.num_frames, len(SMPL22), 3, 3), dtype=np.float32)
    root = np.empty((tree.num_frames, 3))
    for start in range(0, len(root), _PIECE):
        part = slice(start, start + _PIECE)
        positions, rotations = tree.forward_kinematics(part)
        turned = turn @ rotations[:, order]
        local[part, 0], root[part] = turned[:, 0], positions[:, order[0]] @ turn.T * metres
        local[part, 1:] = turned[:, parents[1:]].swapaxes(-1, -2) @ turned[:, 1:]
    return Motion(torch.from_numpy(local), torch.from_numpy(root), fps=tree.fps, skeleton=skeleton)
