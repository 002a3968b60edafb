"""The option `root_motion` of writers, and the extra bone on the floor that carries the movement of a character.

    motion.save("walk.glb", root_motion="root")

| value | the pelvis | extra bone |
|---|---|---|
| "hips" (or True) | travels | none |
| "root" | rises, falls and tilts above the bone | "root", travels on the floor below the pelvis and turns with it |
| "none" (or False) | stays above the origin | none |

Unity (as the root node) and Unreal (as root motion) read the movement of a character from such a bone; without it, it
has to be derived from the hips. All joints are at the same places in the world with and without the bone.

Shapes: T frames, J joints.
"""

import dataclasses
from typing import Any

import numpy as np
import torch

from motionmillion.kinematics.roots import headings
from motionmillion.motion import rotation_y
from motionmillion.skeleton import Skeleton

ROOT = "root"
"""Name of the bone."""
ROOT_MOTIONS = ("hips", "root", "none")


def check_root_motion(value: Any) -> str:
    """The kind of root motion; True and False stand for "hips" and "none".

    Raises:
        ValueError: for anything else.
    """
    value = {True: "hips", False: "none"}[value] if isinstance(value, bool) else value
    if value not in ROOT_MOTIONS:
        raise ValueError(f"root_motion must be one of {ROOT_MOTIONS}, got {value!r}")
    return value


def rooted_skeleton(skeleton: Skeleton, height: float) -> Skeleton:
    """The skeleton on a root bone, with its own root `height` metres above it in the rest pose.

    Raises:
        ValueError: for a skeleton that has a joint of that name.
    """
    if ROOT in skeleton.names:
        raise ValueError('root_motion must be "hips" or "none" for a skeleton with a joint "root", got "root"')
    return dataclasses.replace(
        skeleton,
        names=(ROOT, *skeleton.names),
        parents=(-1, *(parent + 1 for parent in skeleton.parents)),
        offsets=((0.0, 0.0, 0.0), (0.0, height, 0.0), *skeleton.offsets[1:]),
    )


def on_root(rotations: np.ndarray, path: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Local rotations `[T, J + 1, 3, 3]` with the bone's first, its path `[T, 3]`, and the pelvis above it `[T, 3]`.

    Args:
        rotations: local rotations `[T, J, 3, 3]` without the bone.
        path: of the pelvis `[T, 3]`.
    """
    turn = rotation_y(headings(torch.from_numpy(rotations[:, 0]))).numpy()
    rotations = np.concatenate([turn[:, None], rotations], axis=1)
    rotations[:, 1] = turn.swapaxes(1, 2) @ rotations[:, 1]
    level = np.array([1.0, 0.0, 1.0])
    return rotations, path * level, path * (1.0 - level)
