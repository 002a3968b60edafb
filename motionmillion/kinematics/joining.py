"""Joining of motions: a generated motion continues a given one without a visible seam.

    motion = continue_from(walk, generated, overlap=60)     # generated begins with the last 60 frames of walk
    motion = go_on(walk, new)                               # new begins where walk ends

The generated motion is turned about the vertical axis and moved along the ground to where the given one is. The
remaining offset of pose and velocity at the seam decays over the following frames (inertialization: the offset is
added to the new motion and decays, so no frame is a blend of two poses).

Unusual: the larger a velocity offset is, the faster it decays, so that it never leads far. And where the new motion
leaps in the frames next to a given one, which happens when a model misses its target, the leap is removed and becomes
part of the offset that decays.

Letters: T frames, J joints.
"""

import math
from collections.abc import Sequence

import roma
import torch
from torch import Tensor

from motionmillion.motion import Motion, rotation_y

FADE_SECONDS = 0.4
_SLOW_FADE_SECONDS = 0.6
_SEAM = 2
"""Number of frames that determine a pose and a velocity."""
_CARRIED = 0.6
"""Largest displacement that a velocity offset may add up to, radians or metres."""
_LEAP_SECONDS = 0.3
"""Distance from the given motion within which leaps are removed, seconds."""


def place(motion: Motion, frame: int, like: Motion, like_frame: int) -> Motion:
    """Turn `motion` about y and move it in x and z so that `frame` aligns with frame `like_frame` of `like`."""
    difference = like.rotations[like_frame, 0] @ motion.rotations[frame, 0].mT  # [3, 3]
    # the rotation about y closest to the difference of the two root rotations
    turn = rotation_y(torch.atan2(difference[0, 2] - difference[2, 0], difference[0, 0] + difference[2, 2]))
    path = motion.translation @ turn.mT
    shift = (like.translation[like_frame] - path[frame]) * path.new_tensor([1.0, 0.0, 1.0])
    rotations = motion.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    return motion.replace(rotations=rotations, translation=path + shift)


def continue_from(
    first: Motion,
    generated: Motion,
    overlap: int,
    fade: float = FADE_SECONDS,
    moves: bool = True,
    root_fade: float | None = None,
) -> Motion:
    """`first`, unchanged, followed by the frames of `generated` after the shared ones.

    Args:
        generated: its first `overlap` frames approximate the last ones of `first`.
        overlap: number of shared frames, at least 1.
        fade: seconds over which the offset at the seam decays.
        moves: whether all of `generated` is turned and moved along the ground; else these offsets decay too.
        root_fade: the same for position and orientation of the root; None uses `fade`.

    Raises:
        ValueError: for an overlap longer than either motion, and different frame rates.
    """
    if first.fps != generated.fps:
        raise ValueError(f"generated must have the fps of first, {first.fps:g}, got {generated.fps:g}; resample it")
    if not 1 <= overlap <= min(first.num_frames, generated.num_frames):
        shorter = min(first.num_frames, generated.num_frames)
        raise ValueError(f"overlap must be in 1..{shorter}, the frames of the shorter motion, got {overlap!r}")
    seam, rest = overlap - 1, generated.num_frames - overlap
    if rest == 0:
        return first
    if moves:
        generated = place(generated, seam, first, first.num_frames - 1)
    back = 1 if seam and first.num_frames > 1 else 0  # frames to step back for velocities

    def lag(rotations: Tensor, end: int) -> Tensor:
        return roma.rotmat_to_rotvec(rotations[end] @ rotations[end - back].mT)  # [J, 3]

    last = first.num_frames - 1
    # offsets at the seam: pose and spin [J, 3] as rotation vectors, shift and speed of the root [3]
    turned = first.rotations[last] @ generated.rotations[seam].mT  # [J, 3, 3]
    pose = roma.rotmat_to_rotvec(turned)
    spin = lag(first.rotations, last) - (turned @ lag(generated.rotations, seam)[..., None])[..., 0]
    shift = first.translation[last] - generated.translation[seam]
    speed = shift - (first.translation[last - back] - generated.translation[seam - back])
    frames = pose.new_full((len(pose), 1), fade * first.fps)
    frames[0] = (fade if root_fade is None else root_fade) * first.fps
    turn = roma.rotvec_to_rotmat(_carried(spin, rest, fade * first.fps))  # [rest, J, 3, 3]
    turn = turn @ roma.rotvec_to_rotmat(pose * _weights(rest, frames))
    moved = shift * _weights(rest, frames[0]) + _carried(speed, rest, fade * first.fps)
    rotations = torch.cat([first.rotations, turn @ generated.rotations[overlap:]])
    translation = torch.cat([first.translation, generated.translation[overlap:] + moved])
    return generated.replace(rotations=rotations, translation=translation, skeleton=first.skeleton)


def lead_into(generated: Motion, last: Motion, overlap: int, fade: float = FADE_SECONDS) -> Motion:
    """`continue_from` in reverse: `generated` up to the frames that it shares with `last`, then `last` unchanged."""
    return backwards(continue_from(backwards(last), backwards(generated), overlap, fade))


def go_on(
    first: Motion,
    new: Motion,
    moves: bool = True,
    fade: float = _SLOW_FADE_SECONDS,
    root_fade: float | None = None,
) -> Motion:
    """`first`, unchanged, followed by `new`, which is adjusted until pose and velocity match at the seam.

    Args:
        fade, moves, root_fade: see `continue_from`.
    """
    led = backwards(extended(_without_leaps(backwards(new), first), _SEAM, steps=_SEAM))
    overlap = min(_SEAM, first.num_frames)
    return continue_from(first, led.slice(_SEAM - overlap, led.num_frames), overlap, fade, moves, root_fade)


def fill_in(first: Motion | None, new: Motion, last: Motion | None, moves: bool = True) -> Motion:
    """`new` between two motions (either may be missing), adjusted until pose and velocity match at both seams.

    Args:
        moves: whether `new` and `last` are turned and moved along the ground to where `first` ends; else the
            difference is spread over all of `new`.
    """
    fade, whole = _SLOW_FADE_SECONDS, new.num_frames / new.fps
    if first is not None and last is not None:  # the adjustment of one seam must not reach the other
        fade = min(fade, whole)
    root_fade = None if moves else max(fade, whole)
    if last is not None:
        new = backwards(go_on(backwards(last), backwards(new), moves, fade, root_fade))
    return new if first is None else go_on(first, new, moves, fade, root_fade)


def _without_leaps(motion: Motion, other: Motion) -> Motion:
    """Limit the last steps of a motion to 1.5 times the longest step before them or at the end of `other`."""
    count = min(round(_LEAP_SECONDS * motion.fps), motion.num_frames // 3)
    if not count:
        return motion

    def limited(steps: Tensor, usual: Tensor) -> Tensor:
        length = steps.norm(dim=-1, keepdim=True)  # [T - 1, ..., 1]
        most = 1.5 * torch.cat([length[:-count], usual.norm(dim=-1, keepdim=True)]).amax(0)
        return (steps * (most / length.clamp(min=1e-9)).clamp(max=1))[-count:]

    ends = other.slice(max(other.num_frames - 1 - count, 0), other.num_frames)
    turns = [roma.rotmat_to_rotvec(m.rotations[1:] @ m.rotations[:-1].mT) for m in (motion, ends)]
    rotations, path = motion.rotations.clone(), motion.translation.clone()
    # integrate the limited steps from the last frame before them
    for frame, turn in enumerate(roma.rotvec_to_rotmat(limited(*turns)), start=motion.num_frames - count):
        rotations[frame] = turn @ rotations[frame - 1]
    moves = limited(path.diff(dim=0), ends.translation.diff(dim=0))
    path[-count:] = path[-count - 1] + moves.cumsum(0)
    return motion.replace(rotations=rotations, translation=path)


def extended(motion: Motion, frames: int, steps: int = 1) -> Motion:
    """Extrapolate a motion by `frames` frames at the mean velocity of its last `steps` steps, or of all it has."""
    rotations, path = motion.rotations, motion.translation
    steps = min(steps, motion.num_frames - 1)
    ahead = torch.arange(1, frames + 1, dtype=path.dtype) / max(steps, 1)
    spin = roma.rotmat_to_rotvec(rotations[-1] @ rotations[-1 - steps].mT)  # [J, 3]
    turned = roma.rotvec_to_rotmat(ahead[:, None, None] * spin) @ rotations[-1]
    moved = path[-1] + ahead[:, None] * (path[-1] - path[-1 - steps])
    return motion.replace(rotations=torch.cat([rotations, turned]), translation=torch.cat([path, moved]))


def joined(pieces: Sequence[Motion]) -> Motion:
    """Concatenate motions unchanged; frame rate, skeleton and caption are those of the first."""
    rotations, translation = (torch.cat([getattr(p, name) for p in pieces]) for name in ("rotations", "translation"))
    return pieces[0].replace(rotations=rotations, translation=translation)


def backwards(motion: Motion) -> Motion:
    """The motion played from its end to its start."""
    return motion.replace(rotations=motion.rotations.flip(0), translation=motion.translation.flip(0))


def _weights(count: int, frames: Tensor) -> Tensor:
    """Cosine decay `[count, ...]` from 1 (at frame 0, not included) to 0 within `frames` frames `[...]`."""
    time = torch.arange(1, count + 1, dtype=frames.dtype).view(-1, *[1] * frames.ndim)
    return (1 + torch.cos(math.pi * (time / frames.clamp(min=1.0)).clamp(max=1.0))) / 2


def _carried(speed: Tensor, count: int, frames: float) -> Tensor:
    """Displacement of `count` frames by a velocity offset `[..., 3]` that decays within at most `frames` frames."""
    # a velocity that decays within n frames adds up to at most 0.27 n times itself
    length = speed.norm(dim=-1, keepdim=True).clamp(min=1e-9)
    time = torch.arange(1, count + 1, dtype=speed.dtype).view(-1, *[1] * speed.ndim)
    return speed * time * _weights(count, (_CARRIED / (0.27 * length)).clamp(max=frames))
