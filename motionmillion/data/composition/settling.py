"""Motions that come to rest: a stretch of stillness from another clip follows them.

    stills = find_stills(motion)                               # stretches in which the body keeps still
    motion = settle(turn, stills, generator)                   # turns, then stands

Somebody who asks for a turn to the left expects one turn and then nothing more. Recordings seldom show that: people go
on to the next action at once, and so does a model that has only seen recordings.

The stretch must have the posture, and nearly the pose, in which the motion ends. The transition is smoothed by
inertialization (`motionmillion.kinematics.joining`).

Shapes: T frames, J joints.
"""

from collections.abc import Sequence

import torch

from motionmillion.data.composition.bodies import smoothed
from motionmillion.data.composition.sequence import seam_reason
from motionmillion.data.describing.timeline import spans
from motionmillion.kinematics.joining import go_on
from motionmillion.motion import Motion

STILL_SPEED = 0.15
"""Maximum speed of every joint in a stretch of stillness, metres per second."""
SHORTEST = 1.0
LONGEST = 4.0
"""Range of the length of a stretch, seconds."""
_TRIES = 30


def find_stills(motion: Motion) -> list[Motion]:
    """The stretches of a motion in which every joint nearly keeps its place; long ones are cut to `LONGEST`."""
    if motion.num_frames < SHORTEST * motion.fps:
        return []
    path = smoothed(motion.positions(), motion.fps)  # [T, J, 3]
    speed = path.diff(dim=0).norm(dim=-1).amax(dim=-1) * motion.fps  # [T - 1]
    found = spans((speed < STILL_SPEED).numpy(), shortest=SHORTEST * motion.fps)
    longest = round(LONGEST * motion.fps)
    return [motion.slice(start, min(stop, start + longest)) for start, stop in found]


def settle(motion: Motion, stills: Sequence[Motion], generator: torch.Generator) -> Motion | str:
    """`motion`, followed by one of the `stills`; returns the most frequent reason if none that was tried fits."""
    reasons: list[str] = []
    for number in torch.randint(len(stills), (_TRIES,), generator=generator).tolist() if stills else ():
        still = stills[number].resample(motion.fps)
        reason = "skeletons differ" if still.skeleton != motion.skeleton else seam_reason(motion, still)
        if not reason:
            return go_on(motion, still)
        reasons.append(reason)
    return max(reasons, key=reasons.count) if reasons else "no clip keeps still"
