"""The root of a motion on the floor: where the pelvis is above it, and which way it faces.

    yaw = headings(motion.rotations[:, 0])               # [T], radians
    path = floor_path(motion)                            # [T, 3], height 0
    still = in_place(motion)                             # or motion.in_place()

Engines read the movement of a character from a bone on the floor ("root motion"); the writers of GLB, FBX, USD and BVH
files add it with `root_motion="root"`, see `motionmillion.io.root_bone`.
Unusual: the heading is the turn about +y that comes closest to the pelvis' rotation, so that it is defined for a body
that lies or rolls over, too, and is continuous over time.

Shapes: T frames.
"""

import math

import torch
from torch import Tensor

from motionmillion.motion import Motion, rotation_y


def headings(rotations: Tensor) -> Tensor:
    """Yaw `[T]` of rotations `[T, 3, 3]`, radians, without jumps by a full circle."""
    yaw = torch.atan2(rotations[:, 0, 2] - rotations[:, 2, 0], rotations[:, 0, 0] + rotations[:, 2, 2])
    return unwrapped(yaw)


def unwrapped(angles: Tensor) -> Tensor:
    """Angles `[T]` without jumps by a full circle."""
    turns = torch.round(angles.diff() / math.tau).cumsum(0)
    return angles - math.tau * torch.cat([turns.new_zeros(1), turns])


def floor_path(motion: Motion) -> Tensor:
    """The pelvis' place on the floor `[T, 3]`, metres, at height 0."""
    return motion.translation * motion.translation.new_tensor([1.0, 0.0, 1.0])


def in_place(motion: Motion, heading: bool = False) -> Motion:
    """The motion with its pelvis above the origin in every frame; heights stay.

    Args:
        heading: hold the heading as well, facing +z.
    """
    path = motion.translation * motion.translation.new_tensor([0.0, 1.0, 0.0])
    if not heading:
        return motion.replace(translation=path)
    rotations = motion.rotations.clone()
    rotations[:, 0] = rotation_y(-headings(rotations[:, 0].double())).to(rotations) @ rotations[:, 0]
    return motion.replace(rotations=rotations, translation=path)
