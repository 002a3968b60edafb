"""Augmentation: mirrored, faster or slower, and shortened copies of clips, with captions that stay true."""

import torch

from motionmillion.data.clips import MotionClip
from motionmillion.data.mirror_words import mirror_caption

__all__ = ["change_speed", "mirror_caption", "mirror_clip", "mix_bodies", "random_variant", "random_variants"]

_LOWER_BODY = (
    "pelvis",
    *(f"{side}_{part}" for side in ("left", "right") for part in ("hip", "knee", "ankle", "foot")),
)

_END_CUT = 0.3
"""Maximum seconds that a clip may lose at its end and still count as ending with its motion."""


def mirror_clip(clip: MotionClip) -> MotionClip:
    """The left/right mirrored clip, with sides swapped in its captions."""
    return clip.replace(
        name=f"{clip.name}_mirrored",
        motion=clip.motion.mirror().replace(caption=mirror_caption(clip.motion.caption)),
        captions=tuple(mirror_caption(c) for c in clip.captions),
        own_captions=tuple(mirror_caption(c) for c in clip.own_captions),
        sources=clip.sources,
    )


def change_speed(clip: MotionClip, factor: float) -> MotionClip:
    """The clip played `factor` times as fast, at the same frame rate."""
    if not factor > 0:
        raise ValueError(f"factor must be positive, got {factor!r}")
    fps = clip.motion.fps
    return clip.replace(motion=clip.motion.replace(fps=fps * factor).resample(fps))


def mix_bodies(lower: MotionClip, upper: MotionClip) -> MotionClip:
    """Root and legs of one clip with torso, arms and head of another, which is repeated if it is too short.

    Such poses were never recorded but are plausible: a tokenizer trained on them generalises better to new people. The
    captions are dropped, because they no longer apply.
    """
    motion, other = lower.motion, upper.motion.resample(lower.motion.fps)
    joints = [motion.skeleton.index(name) for name in motion.skeleton.names if name not in _LOWER_BODY]
    frames = torch.arange(motion.num_frames) % other.num_frames
    rotations = motion.rotations.clone()
    rotations[:, joints] = other.rotations[frames][:, joints]
    mixed = motion.replace(rotations=rotations, caption="")
    return lower.replace(name=f"{lower.name}+{upper.name}", motion=mixed, captions=(), own_captions=())


def random_variants(
    clip: MotionClip, count: int, generator: torch.Generator, speed: float = 0.1, trim: float = 0.15
) -> list[MotionClip]:
    """`count` random variants, see `random_variant`; for 0 the clip itself."""
    return [random_variant(clip, generator, speed, trim) for _ in range(count)] or [clip]


def random_variant(
    clip: MotionClip, generator: torch.Generator, speed: float = 0.1, trim: float = 0.15, shortest: int = 32
) -> MotionClip:
    """A random variant: mirrored with probability 0.5, speed within 1 +- `speed`, ends cut by up to `trim` in total.

    Args:
        generator: the only source of randomness.
        shortest: number of frames below which nothing is cut.

    A clip that loses more than 0.3 s at its end no longer counts as ending (`MotionClip.ends`).
    """
    draws = torch.rand(4, generator=generator).tolist()
    if draws[0] < 0.5:
        clip = mirror_clip(clip)
    clip = change_speed(clip, 1 + speed * (2 * draws[1] - 1))
    frames = clip.motion.num_frames
    removed = min(int(frames * trim * draws[2]), max(frames - shortest, 0))
    start = int(removed * draws[3])
    ends = clip.ends and removed - start <= _END_CUT * clip.motion.fps
    return clip.replace(motion=clip.motion.slice(start, frames - removed + start), ends=ends)
