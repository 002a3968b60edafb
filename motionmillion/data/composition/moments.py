"""Short clips cut around one event of a longer one: a kick out of a fight, a raised hand out of a dance.

    for start, stop, action in find_moments(clip.motion, generator):
        moment = cut_moment(clip, start, stop, action, generator, wordings=6)

Long clips mention a kick among many other things, if at all; a model that is to follow short instructions learns them
from windows in which little else happens. Windows contain an event of `motionmillion.data.describing` with some time
before and after it, and are captioned by what can be measured on the window itself.

Unusual: the category of a moment is the plainest wording of its event, "kick forward with the left foot", so that
sampling can be balanced between kicks and walks, and between left and right.
"""

import torch

from motionmillion.data.clips import MotionClip
from motionmillion.data.describing import describe_motion
from motionmillion.data.describing.measures import measure_facts
from motionmillion.data.describing.phrases import phrases
from motionmillion.data.describing.words import command
from motionmillion.motion import Motion

BEFORE = (0.3, 1.2)
AFTER = (0.4, 1.8)
"""Range of the time before and after an event that belongs to its window, seconds."""
LONGEST = 6.0
"""Maximum length of a window, seconds; longer events lose their end."""
SHORTEST = 1.5


def find_moments(motion: Motion, generator: torch.Generator) -> list[tuple[int, int, str]]:
    """Windows around the events of a motion: first frame, end frame, and the plainest wording of the event.

    Events that fill most of the motion already have no window of their own.
    """
    found = []
    for event in measure_facts(motion).events:
        said = phrases(event)
        if not said:
            continue
        before, after = (low + (high - low) * _draw(generator) for low, high in (BEFORE, AFTER))
        start = max(0.0, event.start - before)
        stop = min(motion.seconds, event.end + after, start + LONGEST)
        if stop - start < SHORTEST or stop - start > 0.9 * motion.seconds:
            continue
        found.append((int(start * motion.fps), int(stop * motion.fps), command(said[0])))
    return found


def cut_moment(
    clip: MotionClip, start: int, stop: int, action: str, generator: torch.Generator, wordings: int
) -> MotionClip | str:
    """The window as a clip of its own; returns the reason if nothing can be said about it.

    Args:
        start, stop: frames of the window.
        action: wording of the event, which becomes the category.
        wordings: maximum number of captions.
    """
    motion = clip.motion.slice(start, stop)
    captions = tuple(describe_motion(motion, generator, wordings))
    if not captions:
        return "nothing to say about the window"
    return clip.replace(
        name=f"{clip.name}_{start}-{stop}",
        motion=motion.replace(caption=captions[0]),
        captions=captions,
        own_captions=captions,
        category=action,
        whole=True,
        ends=False,
    )


def _draw(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))
