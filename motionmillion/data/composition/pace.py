"""Walks at another pace: a stretch of walking, played faster or slower, with captions measured on the result.

    clip = change_pace(walk, generator, wordings=4)            # "a person walks quickly forward"

Few people hurry or dawdle in front of a camera, so a model without such clips runs when it is asked to walk fast. The
category of a clip names its pace, so that sampling can be balanced between them.
"""

import torch

from motionmillion.data.augment import change_speed
from motionmillion.data.clips import MotionClip
from motionmillion.data.describing import describe_motion
from motionmillion.data.describing.facts import Travel
from motionmillion.data.describing.measures import measure_facts

PACES = {"fast": (1.8, 2.1), "slow": (0.4, 0.68)}
"""Ranges of the new speed over the floor, metres per second; the first that fits is taken, as the rarer one."""
FACTORS = {"fast": (1.15, 1.7), "slow": (0.6, 0.85)}
"""How many times as fast a walk may be played for each range: less is no change, more no longer looks like walking."""
SHORTEST = 1.5
"""Minimum length of a stretch of walking, seconds."""
_WORDS = {"fast": ("fast", "quick"), "slow": ("slow",)}
_MARGIN = 0.3
"""Seconds before and after the walk that belong to its stretch."""


def change_pace(clip: MotionClip, generator: torch.Generator, wordings: int) -> MotionClip | str:
    """A stretch of walking of the clip at a slow or fast pace; returns the reason if it cannot be made.

    Args:
        wordings: maximum number of captions.
    """
    motion = clip.motion
    walks = [travel for travel in measure_facts(motion).of(Travel) if travel.gait == "walk"]
    walks = [walk for walk in walks if walk.end - walk.start >= SHORTEST]
    if not walks:
        return "no walking"
    walk = max(walks, key=lambda walk: walk.distance)
    speed = walk.distance / (walk.end - walk.start)
    ranges = {
        pace: (max(slowest / speed, FACTORS[pace][0]), min(fastest / speed, FACTORS[pace][1]))
        for pace, (slowest, fastest) in PACES.items()
    }
    pace = next((pace for pace, (least, most) in ranges.items() if least <= most), None)
    if pace is None:
        return "its pace does not fit"
    least, most = ranges[pace]
    factor = least + (most - least) * float(torch.rand((), generator=generator))
    start, stop = max(0.0, walk.start - _MARGIN), min(motion.seconds, walk.end + _MARGIN)
    cut = clip.replace(motion=motion.slice(int(start * motion.fps), int(stop * motion.fps)))
    motion = change_speed(cut, factor).motion
    captions = tuple(text for text in describe_motion(motion) if any(word in text for word in _WORDS[pace]))
    if not captions:
        return "no clear pace"
    order = torch.randperm(len(captions), generator=generator).tolist()
    captions = tuple(captions[index] for index in order[:wordings])
    return clip.replace(
        name=f"{clip.name}_{factor:.2f}",
        motion=motion.replace(caption=captions[0]),
        captions=captions,
        own_captions=captions,
        category=f"walk {'quickly' if pace == 'fast' else 'slowly'}",
        whole=True,
        ends=False,
    )
