"""Synthetic motions with captions: a person walks, turns, waves, jumps or squats.

    motion = synthesize("walk", seed=0, seconds=4)       # motion.caption says what it shows
    clips = synthetic_clips(1000, seed=0)                # with subjects and splits

Intended for tests, demonstrations and first training runs without a download; no substitute for captured motion. Every
action samples its parameters (side, angle, speed, count, ...) and describes them in several wordings. Unusual: feet
are planned and legs solved by inverse kinematics (`motionmillion.data.synthetic.body`), so planted feet do not slide.
To add an action, add a function and one line to `motionmillion.data.synthetic.actions`.
"""

import math

import torch

from motionmillion.data.clips import MotionClip
from motionmillion.data.synthetic.actions import PERFORMERS, Dice, Style
from motionmillion.data.synthetic.body import solve
from motionmillion.motion import Motion

ACTIONS = tuple(PERFORMERS)
SUBJECTS = 20
MINIMUM_SECONDS = 2.0
_WHO = ("a person", "someone", "the person", "a figure")


def synthesize(action: str, seed: int, seconds: float | None = None, fps: float = 30) -> Motion:
    """Generate a motion with a caption, facing +z at the start; the same arguments give the same motion.

    Args:
        action: one of `ACTIONS`.
        seed: determines the person and the parameters of the action.
        seconds: length, at least 2; between 3 and 6 if None.
        fps: frames per second.

    Raises:
        ValueError: for an unknown action, a length that is too short, or a frame rate that is not positive.
    """
    if action not in ACTIONS:
        raise ValueError(f"action must be one of {ACTIONS}, got {action!r}")
    if seconds is not None and not (math.isfinite(seconds) and seconds >= MINIMUM_SECONDS):
        raise ValueError(f"seconds must be at least {MINIMUM_SECONDS:g}, got {seconds!r}; None samples a length")
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps must be a positive number, got {fps!r}")
    dice = Dice(_mix(seed, ACTIONS.index(action)))
    motion, captions = _perform(action, Style.sample(dice), dice, seconds, fps)
    return motion.replace(caption=dice.choice(captions))


def synthetic_clips(count: int, seed: int) -> list[MotionClip]:
    """Generate clips of 20 synthetic subjects at 30 frames per second, cycling through the actions.

    Of every ten subjects eight are for training, one is for validation and one for testing.

    Args:
        count: number of clips; with at least 10, no split is empty.
        seed: determines the subjects and all parameters.

    Raises:
        ValueError: if `count` is not positive.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count!r}")
    styles = [Style.sample(Dice(_mix(seed, 1000 + subject))) for subject in range(SUBJECTS)]
    clips = []
    for index in range(count):
        subject, round_ = index % SUBJECTS, index // SUBJECTS
        action = ACTIONS[(index + round_) % len(ACTIONS)]
        dice = Dice(_mix(seed, 2000 + index))
        motion, wordings = _perform(action, styles[subject], dice, None, 30)
        first = dice.choice(wordings)
        captions = (first, dice.choice([wording for wording in wordings if wording != first]))
        clips.append(
            MotionClip(
                name=f"synthetic_{index:05d}_{action}",
                motion=motion.replace(caption=first),
                captions=captions,
                split={8: "val", 9: "test"}.get(subject % 10, "train"),
                subject=f"synthetic_{subject:02d}",
                category=action,
            )
        )
    return clips


def _mix(seed: int, stream: int) -> int:
    return (seed * 1_000_003 + stream * 7919) % 2**63


def _perform(action: str, style: Style, dice: Dice, seconds: float | None, fps: float) -> tuple[Motion, list[str]]:
    """The motion of an action and all wordings of its caption."""
    seconds = dice.uniform(3.0, 6.0) if seconds is None else seconds
    time = torch.arange(max(2, round(seconds * fps)), dtype=torch.float64) / fps
    plan, phrases = PERFORMERS[action](style, dice, time)
    return solve(plan, fps), [f"{who} {phrase}" for who in _WHO for phrase in phrases]
