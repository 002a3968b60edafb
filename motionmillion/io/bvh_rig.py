"""The rig that a BVH file is written on: joint names, rest pose, and unit.

    rig = BvhRig.of(motion.skeleton, names="mixamo", rest="A")
    local = rig.rotations(exact_rotations(motion))     # [T, J, 3, 3] relative to the rig's rest pose
    scale = units_per_metre(unit="m")

Shapes: T frames, J joints.
"""

from dataclasses import dataclass

import numpy as np

from motionmillion.io.root_bone import ROOT
from motionmillion.io.trees import check_scale
from motionmillion.kinematics.naming import joint_names
from motionmillion.kinematics.rotations import axis_rotation, swing
from motionmillion.skeleton import SMPL22, Skeleton

UNITS = {"m": 1.0, "cm": 100.0, "inch": 1 / 0.0254}
"""File units per metre."""
RESTS = ("T", "A")
_A_POSE = np.deg2rad(45.0)
"""How far the upper arms of the A-pose hang below those of the T-pose, radians."""


@dataclass(frozen=True)
class BvhRig:
    """Names and rest pose of the joints of a skeleton.

    Args:
        names: as written.
        offsets: `[J, 3]` in the rest pose, metres.
        turns: `[J, 3, 3]`, from the T-pose to the rest pose, in the world.
        parents: index of each joint's parent, -1 for the root.
    """

    names: tuple[str, ...]
    offsets: np.ndarray
    turns: np.ndarray
    parents: tuple[int, ...]

    @staticmethod
    def of(skeleton: Skeleton, names: str = "smpl", rest: str = "T") -> "BvhRig":
        """The rig of a skeleton.

        Args:
            names: a key of `motionmillion.kinematics.naming.NAMINGS`.
            rest: "T", or "A" with the arms 45 degrees lower.

        Raises:
            ValueError: for an unknown naming or rest pose, or one that the skeleton does not have.
        """
        if rest not in RESTS:
            raise ValueError(f"rest must be one of {list(RESTS)}, got {rest!r}")
        if rest != "T" and skeleton.names != SMPL22.names:
            raise ValueError(f'rest must be "T" for a skeleton without SMPL22\'s joints, got {rest!r}')
        turns = np.tile(np.eye(3), (len(skeleton), 1, 1))
        if rest == "A":
            for side, sign in (("left", -1.0), ("right", 1.0)):
                arm = [skeleton.index(f"{side}_{joint}") for joint in ("shoulder", "elbow", "wrist")]
                bone = np.array(skeleton.offsets[arm[1]])
                # the smallest rotation, as readers assume that know rest poses only by their bones
                turns[arm] = swing(bone, axis_rotation(np.array(sign * _A_POSE), 2) @ bone)
        above = turns[np.maximum(skeleton.parents, 0)]
        offsets = (above @ np.array(skeleton.offsets)[:, :, None])[..., 0]
        return BvhRig(joint_names(skeleton, names), offsets, turns, skeleton.parents)

    def on_root(self, height: float) -> "BvhRig":
        """The rig on a root bone, `height` metres below its root; see `motionmillion.io.root_bone`."""
        offsets = np.concatenate([[[0.0, 0.0, 0.0], [0.0, height, 0.0]], self.offsets[1:]])
        parents = (-1, *(parent + 1 for parent in self.parents))
        return BvhRig((ROOT, *self.names), offsets, np.concatenate([np.eye(3)[None], self.turns]), parents)

    def rotations(self, local: np.ndarray) -> np.ndarray:
        """Local rotations `[T, J, 3, 3]` relative to the rest pose, of those relative to the T-pose."""
        return self.turns[np.maximum(self.parents, 0)] @ local @ self.turns.swapaxes(1, 2)


def units_per_metre(scale: float | None = None, unit: str | None = None) -> float:
    """File units per metre: `scale` itself, or those of a unit; centimetres without either.

    Raises:
        ValueError: for both, an unknown unit, or a scale that is not positive.
    """
    if unit is not None and unit not in UNITS:
        raise ValueError(f"unit must be one of {list(UNITS)}, got {unit!r}")
    if scale is None:
        return UNITS["cm" if unit is None else unit]
    if unit is not None:
        raise ValueError(f"unit must be left out with scale, got {unit!r} and {scale!r}")
    return check_scale(scale)


def with_t_pose(local: np.ndarray, root: np.ndarray, height: float) -> tuple[np.ndarray, np.ndarray]:
    """Rotations `[T + 1, J, 3, 3]` and root positions `[T + 1, 3]` behind one frame in a T-pose.

    Args:
        height: of the root in the T-pose, in the unit of `root`.
    """
    pose = np.tile(np.eye(3), (1, local.shape[1], 1, 1))
    place = np.array([[root[0, 0], height, root[0, 2]]])
    return np.concatenate([pose, local]), np.concatenate([place, root])
