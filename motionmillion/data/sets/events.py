"""Sampling weights by what happens in a window, so that a tokenizer sees kicks and lying as well as walking.

    weights = event_weights(windows, clips, balance=0.5)       # [number of windows], float64

What happens are the events of `motionmillion.data.describing` whose middle lies in the window, or that last longer
than it, and the posture at the clip's ends. A window counts for the rarest of them.
"""

from collections import Counter
from collections.abc import Sequence

import torch

from motionmillion.data.clips import MotionClip
from motionmillion.data.describing import MotionFacts, measure_facts
from motionmillion.data.describing.phrases import phrases
from motionmillion.data.sets.windows import FeatureWindows
from motionmillion.progress import tracked

EDGE = 0.2
"""Seconds at each end of a window in which the middle of an event does not count."""


def event_weights(windows: FeatureWindows, clips: Sequence[MotionClip], balance: float) -> torch.Tensor:
    """Sampling weight of each window: the frequency of the rarest event in it to the power of -`balance`.

    Args:
        windows: of `clips`, in the same order.
        balance: 0 draws all windows alike, 1 draws all kinds of events equally often.
    """
    facts = [measure_facts(clip.motion) for clip in tracked(clips, "looking for events", "clips")]
    kinds = []
    for version, start in windows.starts:
        index = windows.origins[version]
        rate = windows.clips[version].shape[0] / facts[index].seconds  # frames a second of the clip, at any speed
        kinds.append(_kinds(facts[index], start / rate, (start + windows.frames) / rate))
    sizes = Counter(kind for own in kinds for kind in own)
    return torch.tensor([min((sizes[k] for k in own), default=len(kinds)) for own in kinds]).double() ** -balance


def _kinds(facts: MotionFacts, start: float, stop: float) -> set[str]:
    """What happens between two times: the plainest wordings of the events, and postures other than standing."""
    found = set()
    for event in facts.events:
        said = phrases(event)
        inside = start + EDGE <= (event.start + event.end) / 2 <= stop - EDGE
        if said and (inside or (event.start <= start and event.end >= stop)):
            found.add(said[0])
    ends = ((facts.start, start <= EDGE), (facts.end, stop >= facts.seconds - EDGE))
    return found | {posture for posture, near in ends if near and posture not in (None, "standing")}
