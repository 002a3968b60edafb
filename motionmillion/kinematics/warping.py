"""A motion moved onto another path along the floor, its footprints with it.

    moved = warped(motion, base, onto, turn)

In each frame the body is turned about the vertical through `base` and moved so that `base` comes to `onto`. A foot
that touches the floor is held where the frame in the middle of its contact puts it, and comes and goes along a smooth
curve: steps get longer, shorter or turn, and feet do not slide because of it.

Shapes: T frames, F two feet, P two parts of a foot.
"""

import numpy as np
import torch
from torch import Tensor

from motionmillion.kinematics.contacts import find_contacts, floor_level, runs
from motionmillion.kinematics.legs import lowering, move_legs, posed
from motionmillion.kinematics.locking import envelope, find_locks, foot_targets
from motionmillion.kinematics.repair import check_skeleton
from motionmillion.motion import Motion, rotation_y

_LOWERED = 0.08
"""Most that the hips come down for feet to reach their footprints, metres."""
_UP = np.array([0.0, 1.0, 0.0])


def warped(motion: Motion, base: Tensor, onto: Tensor, turn: Tensor) -> Motion:
    """The motion with `base` brought to `onto` in every frame.

    Args:
        motion: a motion on SMPL22's joints.
        base: points on the floor `[T, 3]` that the body moves with, such as its smoothed path, metres.
        onto: where they are to be `[T, 3]`.
        turn: about +y `[T]`, radians.

    Raises:
        ValueError: for another skeleton.
    """
    fps, skeleton = check_skeleton(motion).fps, motion.skeleton
    level = np.array([1.0, 0.0, 1.0])
    base_, onto_ = (value.detach().cpu().double().numpy() * level for value in (base, onto))
    turned = rotation_y(turn.detach().cpu().double()).numpy()  # [T, 3, 3]

    def move(points: np.ndarray, frame: np.ndarray) -> np.ndarray:
        """Points `[T, ..., 3]` as the frames `[T]` move them."""
        own = points - base_[frame].reshape(-1, *[1] * (points.ndim - 2), 3)
        return np.einsum("tij,t...j->t...i", turned[frame], own) + onto_[frame].reshape(
            -1, *[1] * (points.ndim - 2), 3
        )

    rotations, root = (v.detach().cpu().double().numpy().copy() for v in (motion.rotations, motion.translation))
    points, _ = posed(skeleton, rotations, root)
    contacts = find_contacts(points, fps, floor_level(points, fps))
    locks = find_locks(points, contacts, fps)
    every = np.arange(len(root))
    middle = _middles(contacts)
    rotations[:, 0] = turned @ rotations[:, 0]
    root = move(root, every)
    targets = np.stack([move(locks[:, foot], middle[:, foot]) for foot in range(2)], axis=1)
    points = move(points, every)
    ankles, toes = foot_targets(points, targets, fps)
    down = envelope(np.minimum(lowering(points, ankles), _LOWERED), fps, 0.034, 0.1)
    root = root - down[:, None] * _UP
    rotations = move_legs(skeleton, rotations, root, ankles, toes, fps)
    device = motion.rotations.device
    return motion.replace(
        rotations=torch.from_numpy(rotations).to(device), translation=torch.from_numpy(root).to(device)
    )


def _middles(contacts: np.ndarray) -> np.ndarray:
    """For each frame of a contact of a foot, the frame in its middle `[T, F]`; other frames are their own."""
    middle = np.repeat(np.arange(len(contacts))[:, None], 2, axis=1)
    for foot in range(2):
        for start, stop in runs(contacts[:, foot, 0] | contacts[:, foot, 1]):
            middle[start:stop, foot] = (start + stop - 1) // 2
    return middle
