"""The figure that images, videos and the web viewer draw: rounded limbs on a skeleton.

    figure = Figure.of(motion.skeleton)
    points = figure.points(motion)                 # [T, P, 3] metres, the ends of the limbs
    for limb in figure.limbs: ...                  # from points[limb.start] to points[limb.stop]

A limb is a tapered capsule. SMPL22 gets a body that looks human; any other skeleton one capsule per bone.
Left is warm, right is cool, the trunk is neutral.

Shapes: T frames, J joints, P points.
"""

from dataclasses import dataclass

import numpy as np
import torch

from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22, Skeleton

COLORS = {"left": (236, 122, 84), "right": (62, 134, 206), "centre": (196, 194, 188), "head": (222, 216, 205)}

# Ends of limbs that are not joints: name -> joint and offset in the joint's frame, metres. Mirrored by name.
_LEFT_TIPS = {
    "left_seat": ("pelvis", (0.056, -0.05, -0.005)),
    "left_loin": ("pelvis", (0.019, -0.05, -0.005)),
    "left_flank": ("spine2", (0.044, -0.03, 0.012)),
    "left_belly": ("spine2", (0.015, -0.03, 0.014)),
    "left_chest": ("spine3", (0.07, 0.075, -0.004)),
    "left_breast": ("spine3", (0.024, 0.075, 0.0)),
    "left_nape": ("neck", (0.018, -0.035, 0.0)),
    "left_heel": ("left_ankle", (0.0, -0.018, -0.03)),
    "left_ball": ("left_foot", (0.0, 0.026, -0.015)),
    "left_toes": ("left_foot", (0.0, 0.02, 0.05)),
    "left_palm": ("left_wrist", (0.05, -0.004, 0.004)),
    "left_fingers": ("left_wrist", (0.14, -0.012, 0.008)),
}
_CENTRE_TIPS = {"skull": ("head", (0.0, 0.05, 0.0)), "crown": ("head", (0.0, 0.09, 0.005))}

# start, stop, radius at either end, metres; mirrored by name. Four columns make a flat trunk without creases.
_LEFT_LIMBS = (
    ("left_seat", "left_flank", 0.096, 0.084),
    ("left_loin", "left_belly", 0.1, 0.09),
    ("left_flank", "left_chest", 0.084, 0.088),
    ("left_belly", "left_breast", 0.09, 0.094),
    ("left_breast", "left_chest", 0.094, 0.088),
    ("left_chest", "left_shoulder", 0.084, 0.058),
    ("left_nape", "left_shoulder", 0.054, 0.052),
    ("left_hip", "left_knee", 0.084, 0.056),
    ("left_knee", "left_ankle", 0.056, 0.036),
    ("left_ankle", "left_heel", 0.036, 0.034),
    ("left_heel", "left_ball", 0.034, 0.032),
    ("left_ankle", "left_ball", 0.036, 0.032),
    ("left_ball", "left_toes", 0.032, 0.026),
    ("left_shoulder", "left_elbow", 0.056, 0.042),
    ("left_elbow", "left_wrist", 0.042, 0.028),
    ("left_wrist", "left_palm", 0.028, 0.034),
    ("left_palm", "left_fingers", 0.034, 0.018),
)
_CENTRE_LIMBS = (
    ("spine3", "neck", 0.07, 0.058),
    ("neck", "head", 0.054, 0.05),
    ("skull", "crown", 0.086, 0.094),
)
_TRUNK = ("seat", "loin", "flank", "belly", "chest", "breast", "nape")
_BONE_RADIUS = 0.035


@dataclass(frozen=True)
class Limb:
    """A tapered capsule between two points; radii in metres, `side` a key of `COLORS`."""

    start: int
    stop: int
    start_radius: float
    stop_radius: float
    side: str


@dataclass(frozen=True)
class Figure:
    """Points (a joint and an offset in its frame) and the limbs between them."""

    anchors: tuple[tuple[int, tuple[float, float, float]], ...]
    limbs: tuple[Limb, ...]

    @staticmethod
    def of(skeleton: Skeleton) -> "Figure":
        """The figure of a skeleton."""
        anchors = {name: (joint, (0.0, 0.0, 0.0)) for joint, name in enumerate(skeleton.names)}
        if skeleton.names != SMPL22.names:
            limbs = [
                Limb(parent, joint, _BONE_RADIUS, _BONE_RADIUS, _side(skeleton.names[joint]))
                for joint, parent in enumerate(skeleton.parents)
                if parent >= 0
            ]
            return Figure(tuple(anchors.values()), tuple(limbs))
        for name, (joint, offset) in _LEFT_TIPS.items():
            anchors[name] = (skeleton.index(joint), offset)
            mirrored = (-offset[0], offset[1], offset[2])
            anchors[_mirrored(name)] = (skeleton.index(_mirrored(joint)), mirrored)
        for name, (joint, offset) in _CENTRE_TIPS.items():
            anchors[name] = (skeleton.index(joint), offset)
        # index of each point
        place = {name: index for index, name in enumerate(anchors)}
        limbs = []
        for start, stop, start_radius, stop_radius in (*_CENTRE_LIMBS, *_LEFT_LIMBS):
            trunk = start.endswith(_TRUNK)
            side = "head" if start == "skull" else "centre" if trunk else _side(start)
            limbs.append(Limb(place[start], place[stop], start_radius, stop_radius, side))
            if start.startswith("left_"):
                other = "centre" if trunk else "right"
                limbs.append(Limb(place[_mirrored(start)], place[_mirrored(stop)], start_radius, stop_radius, other))
        return Figure(tuple(anchors.values()), tuple(limbs))

    def points(self, motion: Motion) -> np.ndarray:
        """Global positions `[T, P, 3]` of the points, metres.

        Raises:
            ValueError: if the motion holds NaN or infinity.
        """
        motion = motion.replace()  # checks again: tensors may have been changed in place
        rotations, translation = motion.rotations.detach().cpu(), motion.translation.detach().cpu()
        positions, turned = motion.skeleton.forward_kinematics(rotations, translation)
        joints = [joint for joint, _ in self.anchors]
        offsets = torch.tensor([offset for _, offset in self.anchors])  # [P, 3]
        # [T, P, 3]
        points = positions[:, joints] + (turned[:, joints] @ offsets[..., None])[..., 0]
        return points.double().numpy()


def _side(name: str) -> str:
    return name.split("_")[0] if name.startswith(("left_", "right_")) else "centre"


def _mirrored(name: str) -> str:
    return "right_" + name.removeprefix("left_") if name.startswith("left_") else name
