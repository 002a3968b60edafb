"""Joining of motions: a generated motion goes on from a given one without a jump.

    motion = continue_from(walk, generated, overlap=60)     # generated begins with the last 60 frames of walk

The generated motion is turned about the vertical axis and moved along the ground to where the given one stands, and
what still differs in the last common frame, pose and velocity, fades out over the following ones (inertialization: the
offset is carried on and decays, so that no frame is a mixture of two poses).

Letters: T frames, J joints.
"""

import math

import roma
import torch
from torch import Tensor

from motionmillion.motion import Motion, rotation_y

FADE_SECONDS = 0.4


def place(motion: Motion, frame: int, like: Motion, like_frame: int) -> Motion:
    """`motion` turned about y and moved in x and z, so that its pose `frame` stands where that of `like` does."""
    difference = like.rotations[like_frame, 0] @ motion.rotations[frame, 0].mT  # [3, 3]
    # the rotation about y that is nearest to the difference of the two root rotations
    turn = rotation_y(torch.atan2(difference[0, 2] - difference[2, 0], difference[0, 0] + difference[2, 2]))
    path = motion.translation @ turn.mT
    shift = (like.translation[like_frame] - path[frame]) * path.new_tensor([1.0, 0.0, 1.0])
    rotations = motion.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    return motion.replace(rotations=rotations, translation=path + shift)


def continue_from(first: Motion, generated: Motion, overlap: int, fade: float = FADE_SECONDS) -> Motion:
    """`first`, unchanged, and what `generated` holds after the frames that they share.

    Args:
        generated: its first `overlap` frames are about the last ones of `first`.
        overlap: frames, at least 1.
        fade: seconds in which the difference at the seam fades out.

    Raises:
        ValueError: for an overlap that is longer than either motion, and different frame rates.
    """
    if first.fps != generated.fps:
        raise ValueError(f"generated must have the fps of first, {first.fps:g}, got {generated.fps:g}; resample it")
    if not 1 <= overlap <= min(first.num_frames, generated.num_frames):
        shorter = min(first.num_frames, generated.num_frames)
        raise ValueError(f"overlap must be in 1..{shorter}, the frames of the shorter motion, got {overlap!r}")
    seam, rest = overlap - 1, generated.num_frames - overlap
    if rest == 0:
        return first
    generated = place(generated, seam, first, first.num_frames - 1)
    back = 1 if seam and first.num_frames > 1 else 0  # frames to look back for velocities

    def lag(rotations: Tensor, end: int) -> Tensor:
        return roma.rotmat_to_rotvec(rotations[end] @ rotations[end - back].mT)  # [J, 3]

    last = first.num_frames - 1
    pose = roma.rotmat_to_rotvec(first.rotations[last] @ generated.rotations[seam].mT)
    spin = lag(first.rotations, last) - lag(generated.rotations, seam)
    shift = first.translation[last] - generated.translation[seam]
    speed = shift - (first.translation[last - back] - generated.translation[seam - back])
    turn = roma.rotvec_to_rotmat(_fading(pose, spin, rest, fade * first.fps))  # [rest, J, 3, 3]
    moved = _fading(shift, speed, rest, fade * first.fps)
    rotations = torch.cat([first.rotations, turn @ generated.rotations[overlap:]])
    translation = torch.cat([first.translation, generated.translation[overlap:] + moved])
    return generated.replace(rotations=rotations, translation=translation, skeleton=first.skeleton)


def lead_into(generated: Motion, last: Motion, overlap: int, fade: float = FADE_SECONDS) -> Motion:
    """`continue_from` in reverse: `generated` up to the frames that it shares with `last`, then `last` unchanged."""
    return backwards(continue_from(backwards(last), backwards(generated), overlap, fade))


def backwards(motion: Motion) -> Motion:
    """The motion played from its end to its start."""
    return motion.replace(rotations=motion.rotations.flip(0), translation=motion.translation.flip(0))


def _fading(offset: Tensor, speed: Tensor, count: int, frames: float) -> Tensor:
    """`offset` `[...]`, moving on at `speed` a frame, down to 0 within `frames` frames `[count, ...]`."""
    time = torch.arange(1, count + 1, dtype=offset.dtype).view(-1, *[1] * offset.ndim)
    weight = (1 + torch.cos(math.pi * (time / max(frames, 1.0)).clamp(max=1.0))) / 2
    return (offset + speed * time) * weight
