"""Augmentation: mirrored, faster or slower, and shortened copies of clips, with captions that stay true."""

import re

import torch

from motionmillion.data.clips import MotionClip

_SIDES = re.compile(r"\b(left|right|clockwise|counterclockwise|anticlockwise)\b", re.IGNORECASE)
_OPPOSITE = {
    "left": "right",
    "right": "left",
    "clockwise": "counterclockwise",
    "counterclockwise": "clockwise",
    "anticlockwise": "clockwise",
}


def mirror_caption(text: str) -> str:
    """The caption of the mirrored motion: left and right exchanged, capitals kept.

    Only whole words are exchanged; "right at a right angle" becomes "left at a right angle".
    """

    def opposite(match: re.Match[str]) -> str:
        word = match.group(0)
        if word.lower() == "right" and re.match(r"[ -]angle", text[match.end() :]):
            return word
        other = _OPPOSITE[word.lower()]
        return other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other

    return _SIDES.sub(opposite, text)


def mirror_clip(clip: MotionClip) -> MotionClip:
    """The left/right mirrored clip, sides exchanged in its captions."""
    return clip.replace(
        name=f"{clip.name}_mirrored",
        motion=clip.motion.mirror().replace(caption=mirror_caption(clip.motion.caption)),
        captions=tuple(mirror_caption(c) for c in clip.captions),
        own_captions=tuple(mirror_caption(c) for c in clip.own_captions),
    )


def change_speed(clip: MotionClip, factor: float) -> MotionClip:
    """The clip played `factor` times as fast, at the same frame rate."""
    if not factor > 0:
        raise ValueError(f"factor must be positive, got {factor!r}")
    fps = clip.motion.fps
    return clip.replace(motion=clip.motion.replace(fps=fps * factor).resample(fps))


def random_variant(
    clip: MotionClip, generator: torch.Generator, speed: float = 0.1, trim: float = 0.15, shortest: int = 32
) -> MotionClip:
    """A random variant: mirrored half of the time, speed within 1 +- `speed`, ends cut by up to `trim` in all.

    Args:
        generator: the only source of randomness.
        shortest: frames below which nothing is cut away.
    """
    draws = torch.rand(4, generator=generator).tolist()
    if draws[0] < 0.5:
        clip = mirror_clip(clip)
    clip = change_speed(clip, 1 + speed * (2 * draws[1] - 1))
    frames = clip.motion.num_frames
    removed = min(int(frames * trim * draws[2]), max(frames - shortest, 0))
    start = int(removed * draws[3])
    return clip.replace(motion=clip.motion.slice(start, frames - removed + start))
