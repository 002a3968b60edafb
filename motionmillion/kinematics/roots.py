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


def smooth_path(path: Tensor, fps: float, seconds: float = 0.25) -> Tensor:
    """A path `[T, D]` without the sway of single steps: a Gaussian of that sigma; the ends go on as they came."""
    reach = min(math.ceil(2.5 * seconds * fps), len(path) - 1)
    if reach < 1:
        return path
    time = torch.arange(-reach, reach + 1, dtype=path.dtype) / (seconds * fps)
    weights = torch.exp(-0.5 * time**2)
    # odd continuation: a straight path stays as it is
    before = 2 * path[:1] - path[1 : reach + 1].flip(0)
    after = 2 * path[-1:] - path[-reach - 1 : -1].flip(0)
    windows = torch.cat([before, path, after]).unfold(0, 2 * reach + 1, 1)  # [T, D, W]
    return windows @ (weights / weights.sum())


def mean_speed(motion: Motion) -> float:
    """Mean speed along the floor, metres per second, without the sway of single steps."""
    path = smooth_path(floor_path(motion).double().cpu(), motion.fps)
    return float(path.diff(dim=0).norm(dim=-1).sum()) * motion.fps / max(motion.num_frames - 1, 1)


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
