"""Clips played backwards, with captions of the opposite action.

    clip = reverse_clip(sit)                    # "a person sits down" becomes "a person stands up"
    opposites = load_opposites("mine.yaml")     # custom word pairs, in the format of opposites.yaml

Not every motion looks right backwards: jumps, blows, falls and the like are rejected by their captions, and by free
fall, speed and acceleration. Captions are reversed by `motionmillion.data.composition.reversed_captions`.
"""

import torch

from motionmillion.data.clips import MotionClip
from motionmillion.data.composition.bodies import acceleration, falls_freely, joints, smoothed
from motionmillion.data.composition.opposites import Opposites, load_opposites
from motionmillion.data.composition.reversed_captions import Changes, reverse_caption
from motionmillion.data.composition.sequence import FEWEST_FRAMES, true_captions
from motionmillion.kinematics.joining import backwards
from motionmillion.motion import Motion

__all__ = ["Opposites", "load_opposites", "reverse_clip"]

FASTEST = 2.2
"""Maximum speed of the pelvis, m/s."""
HARDEST = 40.0
"""Maximum acceleration of hands, feet and head, m/s^2."""
MOST_ASYMMETRIC = 2.5
"""Maximum ratio between the strongest speeding up and the strongest slowing down."""


def reverse_clip(clip: MotionClip, opposites: Opposites | None = None) -> MotionClip | str:
    """Reverse a clip; returns the new clip, or the reason why it cannot be reversed.

    Args:
        opposites: word pairs, by default those of the package.
    """
    opposites = opposites or load_opposites()
    if clip.motion.num_frames < FEWEST_FRAMES:
        return "too few frames"
    captions = true_captions(clip)
    if not captions:
        return "no caption of its own"
    if any(opposites.never_pattern.search(text) for text in (*captions, clip.motion.caption)):
        return "caption names what cannot be reversed"
    reason = _irreversible(clip.motion)
    if reason:
        return reason
    changes = Changes.of(clip.motion)
    turned = tuple(dict.fromkeys(filter(None, (reverse_caption(text, changes, opposites) for text in captions))))
    if not turned:
        return "no caption with a known opposite"
    if set(turned) <= set(captions):
        return "no caption changes"
    return clip.replace(
        name=f"{clip.name}_reversed",
        motion=backwards(clip.motion).replace(caption=turned[0]),
        captions=turned,
        own_captions=turned,
        whole=True,
    )


def _irreversible(motion: Motion) -> str:
    if falls_freely(motion):
        return "falls freely"
    fps = motion.fps
    speed = smoothed(motion.translation, fps).diff(dim=0).norm(dim=-1) * fps
    if float(speed.amax()) > FASTEST:
        return "moves too fast"
    ends = motion.positions()[:, joints(motion, ("left_wrist", "right_wrist", "left_ankle", "right_ankle", "head"))]
    if float(acceleration(ends, fps).norm(dim=-1).amax()) > HARDEST:
        return "accelerates too hard"
    rates = smoothed(ends, fps).diff(dim=0).norm(dim=-1).diff(dim=0) * fps**2  # [T - 2, 5]
    rising, sinking = rates.amax(0).clamp(min=1.0), (-rates).amax(0).clamp(min=1.0)
    strong = torch.maximum(rising, sinking) > HARDEST / 4
    ratio = torch.maximum(rising / sinking, sinking / rising)
    if bool((strong & (ratio > MOST_ASYMMETRIC)).any()):
        return "speeds up and slows down differently"
    return ""
