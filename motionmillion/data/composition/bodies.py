"""Measurements on bodies for the composition of motions: postures, heights, free fall.

Letters: T frames, J joints.
"""

import torch
from torch import Tensor

from motionmillion.motion import Motion, heading, rotation_y

LEGS = ("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_foot", "right_foot")
ARMS = tuple(f"{side}_{part}" for side in ("left", "right") for part in ("collar", "shoulder", "elbow", "wrist"))
TORSO = ("spine1", "spine2", "spine3", "neck", "head")

_STANDING = 0.78
_LYING = 0.45
"""Height of the pelvis above the lowest joint, in leg lengths: minimum for standing, maximum for lying."""
_UPRIGHT = 0.5
"""Cosine between trunk and vertical below which the trunk is horizontal."""
_FEET_BELOW = 0.35
"""Horizontal distance between pelvis and feet, in leg lengths, below which a low body crouches."""


def joints(motion: Motion, names: tuple[str, ...]) -> list[int]:
    """Indices of joints by name."""
    return [motion.skeleton.index(name) for name in names]


def leg_length(motion: Motion) -> float:
    """Hip to ankle in the rest pose, metres."""
    offsets = torch.tensor(motion.skeleton.offsets)
    return float(offsets[joints(motion, ("left_knee", "left_ankle"))].norm(dim=-1).sum())


def trunk(motion: Motion, positions: Tensor) -> Tensor:
    """Cosine between vertical and the line from pelvis to neck, `[T]`."""
    line = positions[:, motion.skeleton.index("neck")] - positions[:, 0]
    return line[:, 1] / line.norm(dim=-1).clamp(min=1e-6)


def postures(motion: Motion, positions: Tensor) -> list[str]:
    """Posture of each frame: standing, bent, crouching, sitting or lying."""
    leg = leg_length(motion)
    height = (positions[:, 0, 1] - positions[..., 1].amin(-1)) / leg
    upright = trunk(motion, positions)
    feet = positions[:, joints(motion, ("left_ankle", "right_ankle"))].mean(1)
    away = (feet - positions[:, 0])[:, [0, 2]].norm(dim=-1) / leg
    names = []
    for tall, straight, aside in zip(height.tolist(), upright.tolist(), away.tolist(), strict=True):
        if tall >= _STANDING:
            names.append("standing" if straight > 0.75 else "bent")
        elif tall < _LYING and straight < _UPRIGHT:
            names.append("lying")
        else:
            names.append("crouching" if aside < _FEET_BELOW else "sitting")
    return names


def local_positions(motion: Motion, frame: int) -> Tensor:
    """Joint positions `[J, 3]` of a frame relative to the pelvis, with the heading rotated to +z."""
    one = motion.slice(frame, frame + 1)
    placed = (one.positions()[0] - one.translation[0]) @ rotation_y(-heading(one.rotations[0, 0])).mT
    return placed


def smoothed(values: Tensor, fps: float, seconds: float = 0.1) -> Tensor:
    """Running mean over time of `[T, ...]`, ends repeated."""
    half = max(round(seconds * fps / 2), 1)
    flat = values.reshape(values.shape[0], -1).mT[None]  # [1, C, T]
    padded = torch.nn.functional.pad(flat, (half, half), mode="replicate")
    return torch.nn.functional.avg_pool1d(padded, 2 * half + 1, stride=1)[0].mT.reshape(values.shape)


def acceleration(path: Tensor, fps: float) -> Tensor:
    """Second differences of a smoothed path `[T, ..., 3]` -> `[T - 2, ..., 3]`, m/s^2."""
    return smoothed(path, fps).diff(n=2, dim=0) * fps**2


def falls_freely(motion: Motion) -> bool:
    """Whether the pelvis is accelerated downwards at nearly g for a tenth of a second."""
    if motion.num_frames < 6:
        return False
    down = acceleration(motion.translation, motion.fps)[:, 1] < -FREE_FALL
    return longest_run(down) >= max(round(FREE_FALL_SECONDS * motion.fps), 2)


FREE_FALL = 6.0
"""m/s^2; lower than g because smoothing attenuates the acceleration."""
FREE_FALL_SECONDS = 0.1


def longest_run(flags: Tensor) -> int:
    """Length of the longest run of True in `[T]`."""
    best = now = 0
    for flag in flags.tolist():
        now = now + 1 if flag else 0
        best = max(best, now)
    return best
