"""A source body beside SMPL22: mapped joints, their bones in both rest poses, and the joints that carry them.

Shapes: T frames, N source joints.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from motionmillion.kinematics.rotations import unit
from motionmillion.skeleton import SMPL22

_SAME_PLACE = 1e-3
"""Joints closer than this fraction of the leg length are at one point."""
_SAME_LENGTH = 0.02

SMPL = {name: joint for joint, name in enumerate(SMPL22.names)}
SMPL_REST = np.zeros((len(SMPL22), 3))
for _joint, _parent in enumerate(SMPL22.parents[1:], start=1):
    SMPL_REST[_joint] = SMPL_REST[_parent] + SMPL22.offsets[_joint]

TIPS = {"head": (0.0, 1.0, 0.0), "left_wrist": (1.0, 0.0, 0.0), "right_wrist": (-1.0, 0.0, 0.0)}
TIPS |= {f"{side}_{joint}": (0.0, 0.0, 1.0) for side in ("left", "right") for joint in ("ankle", "foot")}
"""Directions of SMPL's rest pose in which joints at the end of a limb point."""


class Bodies:
    """The two bodies, and the tree of the mapped joints.

    Args:
        mapping: SMPL22 name -> source joint. Feet at the place of the ankle are left out.
        parents: index of each source joint's parent, -1 for the root.
        rest: source joint positions `[N, 3]` of the rest pose, in any unit and orientation.

    Raises:
        ValueError: if the source's legs have no length.
    """

    def __init__(self, mapping: Mapping[str, int], parents: Sequence[int], rest: np.ndarray) -> None:
        self.mapping, self.parents, self.rest = dict(mapping), parents, rest
        self.leg = self._leg(rest, self.mapping)
        if not self.leg > 1e-6:
            raise ValueError(f"rest must have legs with a length, got {self.leg!r}; the OFFSETs are damaged")
        for side in ("left", "right"):
            ankle, foot = self.mapping[f"{side}_ankle"], self.mapping.get(f"{side}_foot")
            # an End Site without an offset is no toe
            if foot is not None and self.at_one_point(ankle, foot):
                del self.mapping[f"{side}_foot"]

    @staticmethod
    def _leg(rest: np.ndarray, mapping: Mapping[str, int]) -> float:
        """Mean length of the legs, hip to knee to ankle."""
        total = 0.0
        for side in ("left", "right"):
            hip, knee, ankle = (rest[mapping[f"{side}_{name}"]] for name in ("hip", "knee", "ankle"))
            total += float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee)) / 2
        return total

    def at_one_point(self, first: int, second: int) -> bool:
        """Whether two source joints are at the same place in the rest pose."""
        return bool(np.linalg.norm(self.rest[first] - self.rest[second]) <= _SAME_PLACE * self.leg)

    @cached_property
    def leg_scale(self) -> float:
        """Metres per source unit that scale the source's legs to the length of SMPL22's."""
        return self._leg(SMPL_REST, SMPL) / self.leg

    def parent(self, name: str) -> str:
        """The nearest mapped ancestor."""
        joint = SMPL22.parents[SMPL[name]]
        while SMPL22.names[joint] not in self.mapping:
            joint = SMPL22.parents[joint]
        return SMPL22.names[joint]

    def children(self, name: str) -> list[str]:
        """The nearest mapped descendants."""
        return [child for child in SMPL22.names[1:] if child in self.mapping and self.parent(child) == name]

    def child(self, name: str) -> str | None:
        """The mapped joint at the end of the joint's bone, None without one; for the chest it is the neck or head."""
        below = self.children(name)
        below = [child for child in below if "collar" not in child and "shoulder" not in child] or below
        if not below or self.at_one_point(self.mapping[name], self.mapping[below[0]]):
            return None
        return below[0]

    def bone(self, name: str, child: str) -> tuple[np.ndarray, np.ndarray]:
        """The bone from `name` to `child` in the rest pose of SMPL and of the source."""
        return (
            SMPL_REST[SMPL[child]] - SMPL_REST[SMPL[name]],
            self.rest[self.mapping[child]] - self.rest[self.mapping[name]],
        )

    def axis(self, name: str) -> np.ndarray:
        """The direction `[3]` of SMPL's bone in the rest pose; for the end of a limb that in which it points."""
        child = self.child(name)
        return unit(np.array(TIPS[name]) if child is None and name in TIPS else self.bone(name, child or name)[0])

    def tip(self, name: str) -> np.ndarray | None:
        """Where a joint at the end of a limb points in the source's rest pose: to its End Site, or its fingers."""
        below = [joint for joint, parent in enumerate(self.parents) if parent == self.mapping[name]]
        if not below:
            return None
        vector = self.rest[below].mean(0) - self.rest[self.mapping[name]]
        return vector if np.linalg.norm(vector) > 0.01 * self.leg else None

    @cached_property
    def chest(self) -> str:
        """The joint from which neck and arms branch off."""
        return next(name for name in ("spine3", "spine2", "spine1", "pelvis") if name in self.mapping)

    @cached_property
    def spine(self) -> list[str]:
        """Mapped joints between pelvis and chest."""
        names = [name for name in ("spine1", "spine2", "spine3") if name in self.mapping]
        return names[:-1]

    def carriers(self, name: str) -> list[int]:
        """The source joints whose rotation is that of the body part: usually the mapped joint itself.

        Joints at the same place in front of its children turn those children too (as in files made from positions,
        and in CMU's, whose pelvis has three such joints).
        """
        ends = {"pelvis": ["left_hip", "right_hip"]}.get(name, self.children(name))
        if name == self.chest and name != "pelvis":
            ends = [child for child in ends if "collar" in child or "shoulder" in child] or ends
        found = []
        for end in ends:
            joint = self.parents[self.mapping[end]]
            while joint != self.mapping[name] and not self.at_one_point(joint, self.mapping[name]):
                joint = self.parents[joint]
            found.append(joint)
        return sorted(set(found)) or [self.mapping[name]]

    @cached_property
    def same_lengths(self) -> bool:
        """Whether the source's bone lengths equal SMPL's up to scale: then its rest pose is a posed SMPL body."""
        for name in SMPL22.names[1:]:
            if name not in self.mapping:
                return False
            smpl, source = (float(np.linalg.norm(bone)) for bone in self.bone(self.parent(name), name))
            if abs(source * self.leg_scale - smpl) > _SAME_LENGTH * smpl:
                return False
        return True
