"""Short clips cut around one event of a longer one: a kick out of a fight, a raised hand out of a dance.

    for moment in find_moments(clip.motion, generator):
        short = cut_moment(clip, moment, generator, wordings=6)

Long clips mention a kick among many other things, if at all; a model that is to follow short instructions learns them
from windows in which little else happens. Windows contain an event of `motionmillion.data.describing` with some time
before and after it, and are captioned by what can be measured on the window itself.

Unusual: the category of a moment is the plainest wording of its event, "kick forward with the left foot", so that
sampling can be balanced between kicks and walks, and between left and right.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from motionmillion.data.clips import MotionClip
from motionmillion.data.composition.settling import settle
from motionmillion.data.describing import describe_motion
from motionmillion.data.describing.facts import Stop, Travel
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
SETTLED = (0.1, 0.5)
"""Range of the time between the end of an event and the stillness that may follow it, seconds."""


class Moment(NamedTuple):
    """A window around an event.

    Args:
        start, stop: frames of the window.
        end: frame in which the event ends.
        action: plainest wording of the event, which becomes the category of the clip.
        settles: whether a body that has done so can come to rest; those who travel are expected to go on.
    """

    start: int
    stop: int
    end: int
    action: str
    settles: bool = True


def find_moments(motion: Motion, generator: torch.Generator) -> list[Moment]:
    """Windows around the events of a motion.

    Events that fill most of the motion already have no window of their own.
    """
    found = []
    for event in measure_facts(motion).events:
        said = phrases(event)
        if not said or isinstance(event, Stop):
            continue
        before, after = (low + (high - low) * _draw(generator) for low, high in (BEFORE, AFTER))
        start = max(0.0, event.start - before)
        stop = min(motion.seconds, event.end + after, start + LONGEST)
        if stop - start < SHORTEST or stop - start > 0.9 * motion.seconds:
            continue
        start, stop, end = (int(time * motion.fps) for time in (start, stop, min(event.end, stop)))
        found.append(Moment(start, stop, end, command(said[0]), not isinstance(event, Travel)))
    return found


def cut_moment(
    clip: MotionClip,
    moment: Moment,
    generator: torch.Generator,
    wordings: int,
    stills: Sequence[Motion] | None = None,
) -> MotionClip | str:
    """The window as a clip of its own; returns the reason if it cannot be made.

    Args:
        wordings: maximum number of captions.
        stills: stretches of stillness; one of them follows soon after the end of the event. None keeps what followed.
    """
    stop = moment.stop
    if stills is not None:
        seconds = SETTLED[0] + (SETTLED[1] - SETTLED[0]) * _draw(generator)
        stop = min(stop, moment.end + int(seconds * clip.motion.fps))
    motion: Motion | str = clip.motion.slice(moment.start, stop)
    if stills is not None:
        motion = settle(motion, stills, generator)
    if isinstance(motion, str):
        return motion
    captions = tuple(describe_motion(motion, generator, wordings))
    if not captions:
        return "nothing to say about the window"
    return clip.replace(
        name=f"{clip.name}_{moment.start}-{stop}" + ("_settled" if stills is not None else ""),
        motion=motion.replace(caption=captions[0]),
        captions=captions,
        own_captions=captions,
        category=moment.action,
        whole=True,
        ends=False,
    )


def _draw(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))
