"""Carrying a motion to a body of other joints, proportions and rest pose: a game character, a rig, a skeleton.

    target = Target(names, parents, rest)                       # any tree of joints, any unit
    carried = ToTarget(target, target.joints(), RetargetOptions())(motion)
    motion = onto_skeleton(motion, skeleton)                    # `Motion.retarget`

This is the inverse of `motionmillion.kinematics.retarget`: a joint takes SMPL's global rotation times the transpose of
the constant rotation between both rest poses (`motionmillion.kinematics.corrections`). Feet are the exception: a sole
that is flat in the rest pose is flat where SMPL's is, whatever the slope of the bone above it. Joints that have no
counterpart (fingers, twist bones, tails) keep the rest pose of what they hang from.

The middle of the hips follows the motion, scaled by the length of the legs, at the height at which the soles meet the
floor. By default the balls of the feet are then put where the motion has them, scaled alike, by two-bone IK: so feet
that stand in the motion stand on the target, whatever the proportions of thigh, shin and hips.

Shapes: T frames, N target joints.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from motionmillion.kinematics.bodies import SMPL, SMPL_REST, Bodies
from motionmillion.kinematics.corrections import Corrections
from motionmillion.kinematics.joint_names import map_joints
from motionmillion.kinematics.limbs import reach
from motionmillion.kinematics.retarget import on_smpl22
from motionmillion.kinematics.rotations import unit
from motionmillion.kinematics.target_options import RetargetOptions
from motionmillion.motion import Motion
from motionmillion.skeleton import Skeleton

_SIDES = ("left", "right")
_UP = np.array([0.0, 1.0, 0.0])
_UPRIGHT = np.cos(np.deg2rad(45.0))
_FLAT = 0.35
"""A foot whose bone is nearer to the vertical than this (the cosine of its slope) is not flat in the rest pose."""
_ANKLE = 0.085
"""Height of the ankle above the ball of a foot without toes, in lengths of the leg."""
_THICKEST = 0.2
"""Soles are at most this thick, in lengths of the leg; what lies lower is no sole."""
_FOOT = {side: SMPL_REST[SMPL[f"{side}_foot"]] - SMPL_REST[SMPL[f"{side}_ankle"]] for side in _SIDES}
_ARM = ("shoulder", "elbow", "wrist")


@dataclass(frozen=True, eq=False)
class Target:
    """A body to carry motions to.

    Args:
        names: joint names; End Sites are called `<parent> end`.
        parents: index of each joint's parent, -1 for roots; parents come first.
        rest: joint positions `[N, 3]` of the rest pose, y up, in any unit.
        floor: height of the lowest point of the skin in the rest pose; None if there is no skin.
        positions, rotations: a clip of the target, `[T, N, 3]` and `[T, N, 3, 3]` relative to the rest pose, if it has
            one: it tells how joints are turned where nobody could hold the rest pose.
        path: the target's name for messages.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    rest: np.ndarray
    floor: float | None = None
    positions: np.ndarray | None = None
    rotations: np.ndarray | None = None
    path: str = "the target"

    @classmethod
    def of_skeleton(cls, skeleton: Skeleton) -> "Target":
        """The body of a skeleton."""
        rest, _ = skeleton.forward_kinematics(
            torch.eye(3, dtype=torch.float64).expand(len(skeleton), 3, 3), torch.zeros(3, dtype=torch.float64)
        )
        return cls(skeleton.names, skeleton.parents, rest.numpy(), path="skeleton")

    def joints(self, mapping: Mapping[str, str] | None = None) -> dict[str, int]:
        """SMPL22 name -> joint, found as in files that are read.

        Raises:
            ValueError: if limbs or head cannot be found, or `mapping` names unknown joints.
        """
        return map_joints(self.names, self.parents, mapping, self.path, self.rest)


class Carried(NamedTuple):
    """A motion on a target.

    Args:
        rotations: global rotations `[T, N, 3, 3]` relative to the rest pose.
        positions: global joint positions `[T, N, 3]`, in the target's unit.
        short: by how much the feet and hands that IK placed are out of reach, `[T]`, the worst of them.
    """

    rotations: np.ndarray
    positions: np.ndarray
    short: np.ndarray


class ToTarget:
    """Carries motions to one target.

    Args:
        mapping: SMPL22 name -> target joint.

    Raises:
        ValueError: if the target's legs have no length, or its left and right cannot be told apart.
    """

    def __init__(self, target: Target, mapping: Mapping[str, int], options: RetargetOptions | None = None) -> None:
        self.target, self.options = target, options or RetargetOptions()
        self.bodies = Bodies(mapping, target.parents, target.rest)
        self.constants = self._constants()
        self._balls = {side: self._ball(side) for side in _SIDES}
        self.sole = self._sole() if self.options.sole is None else self.options.sole
        self._names = {joint: name for name, joint in self.bodies.mapping.items()}

    def __call__(self, motion: Motion) -> Carried:
        """The motion on the target."""
        source = _Source(on_smpl22(motion))
        size = self.bodies.leg / source.leg
        turned = {name: self._source(source, name) @ self.constants[name].T for name in self.bodies.mapping}
        rotations, around = self._posed(turned)
        hips = source.hips * size
        if self.options.scale is not None:
            hips[:, [0, 2]] = source.hips[:, [0, 2]] * self.options.scale
        lift = self.sole + self._drop() - size * source.drop
        mapping = self.bodies.mapping
        middle = around[:, [mapping["left_hip"], mapping["right_hip"]]].mean(1)
        root = hips + lift * _UP - middle
        short = np.zeros(len(root))
        for limb in self._limbs():
            goal = self._goal(limb, source, size, hips, turned) - root
            short = np.maximum(short, self._place(limb, source, turned, around, goal))
        if self._limbs():
            rotations, around = self._posed(turned)
        return Carried(rotations, around + root[:, None], short)

    # Constants

    def _constants(self) -> dict[str, np.ndarray]:
        """SMPL22 name -> `[3, 3]`: the target's rotation relative to its rest pose, times it, is SMPL's."""
        target = self.target
        still = target.rest[None], np.tile(np.eye(3), (1, len(target.names), 1, 1))
        found = Corrections(self.bodies, *still, align="limbs")
        strange = sorted(found.by_clip)
        if strange and target.positions is not None and target.rotations is not None:
            return Corrections(self.bodies, target.positions, target.rotations, align="limbs").matrices
        if strange:
            warnings.warn(
                f"{target.path}: nobody could hold the rest pose of its {' and '.join(strange)}, so joints may be "
                "twisted about their bones; give a file with a posed frame or an animation, or with a T-pose",
                stacklevel=3,
            )
        constants = dict(found.matrices)
        if self._stands(constants) and "legs" not in strange and not self.bodies.same_lengths:
            for side in _SIDES:
                self._flatten(constants, side)
        return constants

    def _stands(self, constants: Mapping[str, np.ndarray]) -> bool:
        """Whether the rest pose is upright, so that its feet may be flat."""
        legs = [self._bone(f"{side}_hip", f"{side}_ankle") for side in _SIDES]
        return bool(constants["pelvis"][1, 1] > _UPRIGHT and min(-unit(leg)[1] for leg in legs) > _UPRIGHT)

    def _flatten(self, constants: dict[str, np.ndarray], side: str) -> None:
        """Let the sole be flat where SMPL's is; the foot still points where SMPL's does, seen from above."""
        ankle, foot = f"{side}_ankle", f"{side}_foot"
        bone = self._bone(ankle, foot) if foot in self.bodies.mapping else constants["pelvis"] @ _FOOT[side]
        if np.linalg.norm(bone[[0, 2]]) > _FLAT * np.linalg.norm(bone):
            constants[ankle] = _facing(bone) @ _facing(_FOOT[side]).T
            if foot in constants:
                constants[foot] = constants[ankle]

    def _bone(self, name: str, child: str) -> np.ndarray:
        rest, mapping = self.target.rest, self.bodies.mapping
        return rest[mapping[child]] - rest[mapping[name]]

    def _ball(self, side: str) -> np.ndarray:
        """The vector `[3]` from the ankle to the ball of the foot in the rest pose; made up without toes."""
        if f"{side}_foot" in self.bodies.mapping:
            return self._bone(f"{side}_ankle", f"{side}_foot")
        longer = _ANKLE * self.bodies.leg / -_FOOT[side][1]
        return self.constants[f"{side}_ankle"] @ _FOOT[side] * longer

    def _drop(self) -> float:
        """The height of the ankles above the balls of the feet where SMPL's feet are as in its rest pose."""
        return float(np.mean([-(self.constants[f"{side}_ankle"].T @ self._balls[side])[1] for side in _SIDES]))

    def _sole(self) -> float:
        """The height of the balls of the feet above the lowest point of the rest pose; 0 if that is no floor."""
        mapping, rest = self.bodies.mapping, self.target.rest
        if not self._stands(self.constants):
            return 0.0
        ankles, floor = [mapping[f"{side}_ankle"] for side in _SIDES], self.target.floor
        balls = [rest[joint, 1] + self._balls[side][1] for joint, side in zip(ankles, _SIDES, strict=True)]
        if floor is None:
            below = set(ankles)
            for joint, parent in enumerate(self.target.parents):
                if parent in below:
                    below.add(joint)
            floor = float(rest[sorted(below), 1].min())
        sole = float(np.mean(balls)) - floor
        return sole if 0.0 <= sole <= _THICKEST * self.bodies.leg else 0.0

    # Frames

    def _source(self, source: "_Source", name: str) -> np.ndarray:
        """SMPL's rotations `[T, 3, 3]` for a joint; the chest has those of SMPL's, however many joints there are."""
        chest = name == self.bodies.chest and name != "pelvis"
        return source.turned[:, SMPL["spine3" if chest else name]]

    def _posed(self, turned: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Rotations `[T, N, 3, 3]` and positions `[T, N, 3]` of all joints, the pelvis at the origin."""
        rest, parents = self.target.rest, self.target.parents
        rotations = np.empty((len(turned["pelvis"]), len(parents), 3, 3))
        positions = np.empty(rotations.shape[:-1])
        for joint, parent in enumerate(parents):
            name = self._names.get(joint)
            if name is not None:
                rotations[:, joint] = turned[name]
            else:
                rotations[:, joint] = np.eye(3) if parent < 0 else rotations[:, parent]
            step = rest[joint] - (rest[parent] if parent >= 0 else 0.0)
            positions[:, joint] = step if parent < 0 else positions[:, parent] + rotations[:, parent] @ step
        return rotations, positions - positions[:, None, self.bodies.mapping["pelvis"]]

    def _limbs(self) -> list[tuple[str, ...]]:
        legs = [tuple(f"{side}_{part}" for part in ("hip", "knee", "ankle")) for side in _SIDES]
        arms = [tuple(f"{side}_{part}" for part in _ARM) for side in _SIDES]
        return legs * self.options.feet + arms * self.options.hands

    def _goal(
        self, limb: tuple[str, ...], source: "_Source", size: float, hips: np.ndarray, turned: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        """Where a limb is to end, `[T, 3]`: the motion's place about the hips, scaled."""
        end, side = limb[-1], limb[-1].split("_")[0]
        placed = source.positions - source.hips[:, None]
        if not end.endswith("ankle"):
            lift = self.sole + self._drop() - size * source.drop
            return hips + placed[:, SMPL[end]] * size + lift * _UP
        goal = hips + placed[:, SMPL[f"{side}_foot"]] * size - turned[end] @ self._balls[side]
        # a foot that is longer than SMPL's must not put its heel below the motion's
        drop = self._drop()
        heel = turned[end] @ (self.constants[end] @ (-drop * _UP))
        least = (source.positions[:, SMPL[end], 1] - source.turned[:, SMPL[end], 1, 1] * source.drop) * size
        goal[:, 1] += self.sole
        goal[:, 1] += np.maximum(least + self.sole - goal[:, 1] - heel[:, 1], 0.0)
        return goal

    def _place(
        self,
        limb: tuple[str, ...],
        source: "_Source",
        turned: dict[str, np.ndarray],
        around: np.ndarray,
        goal: np.ndarray,
    ) -> np.ndarray:
        """Turn the two bones of a limb to a goal; returns by how much `[T]` it was missed."""
        upper, lower, end = limb
        start, middle, tip = (around[:, self.bodies.mapping[name]] for name in limb)
        bends = 1.0 if end.endswith("ankle") else -1.0
        ahead = source.turned[:, SMPL[upper]] @ np.array([0.0, 0.0, bends])
        found = reach(start, middle, tip, goal, ahead)
        turned[upper], turned[lower] = found.upper @ turned[upper], found.lower @ turned[lower]
        return found.short


class _Source:
    """A motion on SMPL22: global rotations `[T, 22, 3, 3]`, positions, the middle of the hips and measures."""

    def __init__(self, motion: Motion) -> None:
        places, turned = motion.skeleton.forward_kinematics(
            motion.rotations.detach().cpu().double(), motion.translation.detach().cpu().double()
        )
        self.positions, self.turned = places.numpy(), turned.numpy()
        self.hips = self.positions[:, [SMPL["left_hip"], SMPL["right_hip"]]].mean(1)
        offsets = np.array(motion.skeleton.offsets)
        lengths = np.linalg.norm(offsets, axis=-1)
        self.leg = float(np.mean([lengths[SMPL[f"{side}_knee"]] + lengths[SMPL[f"{side}_ankle"]] for side in _SIDES]))
        self.drop = float(-np.mean([offsets[SMPL[f"{side}_foot"], 1] for side in _SIDES]))


def onto_skeleton(
    motion: Motion,
    skeleton: Skeleton,
    options: RetargetOptions | None = None,
    mapping: Mapping[str, str] | None = None,
) -> Motion:
    """A motion on a skeleton of any names and proportions, in metres.

    Args:
        mapping: SMPL22 name -> name in the skeleton, for joints that are not found automatically.

    Raises:
        ValueError: if the skeleton's joints cannot be mapped, listing the missing ones, or it has no legs.
    """
    target = Target.of_skeleton(skeleton)
    carried = ToTarget(target, target.joints(mapping), options)(motion)
    local = local_rotations(carried.rotations, skeleton.parents)
    return Motion(
        torch.from_numpy(local), torch.from_numpy(carried.positions[:, 0]), motion.fps, skeleton, motion.caption
    )


def local_rotations(rotations: np.ndarray, parents: tuple[int, ...]) -> np.ndarray:
    """Parent-relative rotations `[T, N, 3, 3]` of global ones."""
    local = rotations.copy()
    for joint, parent in enumerate(parents):
        if parent >= 0:
            local[:, joint] = rotations[:, parent].swapaxes(-1, -2) @ rotations[:, joint]
    return local


def _facing(direction: np.ndarray) -> np.ndarray:
    """The upright frame `[3, 3]` whose z axis is below or above `direction`."""
    ahead = unit(np.array([direction[0], 0.0, direction[2]]))
    return np.stack([np.cross(_UP, ahead), _UP, ahead], axis=1)


__all__ = ["Carried", "RetargetOptions", "Target", "ToTarget", "local_rotations", "onto_skeleton"]
