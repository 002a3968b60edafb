"""Sentences from facts: imperatives, plain sentences, and detailed ones with the order of events.

describe_motion(motion)                                 # all sentences, always in the same order
describe_motion(motion, generator, count=4)             # four drawn at random
describe_clip(clip, generator, count=4)                 # the clip with them among its captions
"""

from collections.abc import Callable, Sequence

import torch

from motionmillion.configuration import check_whole
from motionmillion.data.clips import MotionClip
from motionmillion.data.describing.facts import (
    ArmsOut,
    Event,
    HandRaise,
    Jump,
    Kick,
    KneeLift,
    LegRaise,
    MotionFacts,
    PostureChange,
    Punch,
    Stop,
    Travel,
    Wave,
    shared_seconds,
)
from motionmillion.data.describing.measures import measure_facts
from motionmillion.data.describing.phrases import phrases
from motionmillion.data.describing.words import command, finite, participle
from motionmillion.motion import Motion

MOST_IN_ORDER = 4
"""Maximum number of events listed in order in one sentence; with more, only single events are described."""
MOST_SINGLE = 4
"""Maximum number of kinds of events that get sentences of their own."""
MOST_SENTENCES = 14
OVERLAP = 0.3
"""Overlap, as a fraction of the shorter of two events, above which they happen together rather than in sequence."""

_WHO = ("a person", "someone", "the person", "a person", "somebody", "the performer")
_POSTURES = {
    "standing": "standing",
    "sitting": "sitting",
    "sitting on the floor": "sitting on the floor",
    "kneeling": "kneeling",
    "on one knee": "kneeling on one knee",
    "crouching": "crouching",
    "on hands and knees": "on hands and knees",
    "lying": "lying",
}


def describe_motion(motion: Motion, generator: torch.Generator | None = None, count: int | None = None) -> list[str]:
    """True sentences about a motion; none if it has no clear facts.

    Args:
        generator: draws the sentences and their order; None gives a fixed order.
        count: maximum number of sentences; None for all.

    Raises:
        ValueError: for a count below 1, fewer than two frames, or a skeleton without the joints of SMPL.
    """
    if count is not None:
        check_whole("count", count, 1)
    sentences = describe_facts(measure_facts(motion))
    if generator is not None:
        order = torch.randperm(len(sentences), generator=generator).tolist()
        sentences = [sentences[index] for index in order]
    return sentences[:count]


def describe_clip(clip: MotionClip, generator: torch.Generator | None = None, count: int | None = None) -> MotionClip:
    """The clip with sentences about its motion added to `captions` and `own_captions`; see `describe_motion`."""
    sentences = describe_motion(clip.motion, generator, count)
    captions = tuple(dict.fromkeys((*clip.captions, *sentences)))
    return clip.replace(captions=captions, own_captions=tuple(dict.fromkeys((*clip.own_captions, *sentences))))


def describe_facts(facts: MotionFacts) -> list[str]:
    """Sentences about facts, on the whole motion before its parts, short and long ones mixed."""
    events = worth_saying(facts.events)
    actions = [event for event in events if not isinstance(event, Stop)]  # a stop only makes sense after them
    if len(events) > MOST_IN_ORDER:
        events = actions
    if not events:
        return posture_sentences(facts)
    told: list[str] = []
    if len(events) > 1 and len(events) <= MOST_IN_ORDER:
        for pick in (_first, _second, _last):
            told.append(_in_order(events, pick, "then", "then"))
        told.append(_in_order(events, _second, "and then", "and"))
    say = _Speaker()
    sentences = []
    for number, phrase in enumerate(told):
        sentences += [command(phrase), say(phrase)] if number == 0 else [say(phrase)]
    sentences += _detailed(facts, events, say)
    for event in _singles(actions):
        own = phrases(event)
        sentences += [command(own[0]), say(own[-1])]
        sentences += [say(phrase) for phrase in own[1:-1]][: 4 if len(actions) == 1 else 1]
        sentences += [command(own[-1])] if len(actions) == 1 and len(own) > 1 else []
    return list(dict.fromkeys(sentences))[:MOST_SENTENCES]


class _Speaker:
    """Turns phrases into sentences, each with the next of several subjects."""

    def __init__(self) -> None:
        self.said = 0

    def __call__(self, phrase: str, before: str = "") -> str:
        who = _WHO[self.said % len(_WHO)]
        self.said += 1
        return f"{before}{who} {finite(phrase)}"


def worth_saying(events: Sequence[Event]) -> list[Event]:
    """Events that have phrases, without redundant ones, and with equal neighbours merged."""
    kept: list[Event] = []
    for event in events:
        own = phrases(event)
        if not own or any(_says(other, event) for other in events if other is not event):
            continue
        if kept and phrases(kept[-1])[0] == own[0]:
            if isinstance(event, Travel) and isinstance(kept[-1], Travel):
                kept[-1] = _longer(kept[-1], event)
            continue
        kept.append(event)
    return kept


def _says(one: Event, other: Event) -> bool:
    """Whether `one` implies `other`: a wave implies a raised hand, a kick a lifted knee."""
    common = shared_seconds(one, other)
    if common <= 0:
        return False
    if isinstance(other, HandRaise):
        return isinstance(one, Wave | Punch | Jump) or (isinstance(one, ArmsOut) and other.side == "both")
    if isinstance(other, LegRaise | KneeLift):
        return isinstance(one, Kick | Jump)
    return isinstance(other, Travel) and isinstance(one, PostureChange) and common > 0.5 * (other.end - other.start)


def _longer(one: Travel, two: Travel) -> Travel:
    """Merge two travels into one, with gait, pace and curve of the longer one, without distance and steps."""
    longer = one if one.distance >= two.distance else two
    return Travel(one.start, two.end, one.direction, longer.gait, longer.pace, 0.0, None, longer.curve)


def _first(own: list[str]) -> str:
    return own[0]


def _second(own: list[str]) -> str:
    return own[min(1, len(own) - 1)]


def _last(own: list[str]) -> str:
    return own[-1]


def _in_order(events: Sequence[Event], pick: Callable[[list[str]], str], then: str, last: str) -> str:
    """Phrases of events, joined as consecutive or simultaneous."""
    text = pick(phrases(events[0]))
    for number, event in enumerate(events[1:], start=1):
        before = events[number - 1]
        phrase = pick(phrases(event))
        common = before.end - event.start
        if common > OVERLAP * min(event.end - event.start, before.end - before.start):
            text += f" and {phrase}"
        elif number == len(events) - 1 and last == "and":
            text += f" and then {phrase}"
        else:
            text += f", {then} {phrase}"
    return text


def _detailed(facts: MotionFacts, events: Sequence[Event], say: _Speaker) -> list[str]:
    """Sentences that combine the first and last posture with the events."""
    if len(events) > MOST_IN_ORDER:
        return []
    phrase = _in_order(events, _last, "then", "and")
    changed = any(isinstance(event, PostureChange) for event in events)
    found = []
    if facts.in_place and facts.start == facts.end == "standing" and not changed:
        found.append(say(phrase, "standing in place, "))
    elif facts.start is not None and facts.start != "standing":
        found.append(say(phrase, f"{_posture(facts.start, facts.start_facing)} at first, "))
    elif facts.start == "standing" and events[0].start > 0.5 and not isinstance(events[0], Travel):
        found.append(say(phrase, "standing at first, "))
    if facts.end is not None and (changed or facts.end != "standing"):
        found.append(say(f"{phrase} and [end] {_posture(facts.end, facts.end_facing)}"))
    together = _meanwhile(events)
    return found + ([say(together)] if together else [])


def _meanwhile(events: Sequence[Event]) -> str | None:
    """A travel together with what the hands do during most of it."""
    for travel in events:
        if not isinstance(travel, Travel):
            continue
        for event in events:
            common = shared_seconds(event, travel)
            if isinstance(event, HandRaise | Wave | ArmsOut) and common > 0.7 * (event.end - event.start):
                return f"{phrases(travel)[0]} while {participle(phrases(event)[0])}"
    return None


def _singles(events: Sequence[Event]) -> list[Event]:
    """The longest event of each kind and wording, in temporal order."""
    longest = sorted(events, key=lambda event: event.start - event.end)
    chosen: dict[str, Event] = {}
    for event in longest:
        chosen.setdefault(phrases(event)[0], event)
    return sorted(list(chosen.values())[:MOST_SINGLE], key=lambda event: event.start)


def _posture(posture: str, facing: str | None) -> str:
    return f"lying on the {facing}" if posture == "lying" and facing else _POSTURES[posture]


def posture_sentences(facts: MotionFacts) -> list[str]:
    """Sentences about a body that holds a posture without any clear action."""
    held = facts.start == facts.end is not None
    posture = facts.start if held else facts.mostly
    if posture is None:
        return []
    facing = facts.start_facing if facts.start_facing == facts.end_facing else None
    verbs = {
        "standing": "[stand]",
        "sitting": "[sit]",
        "sitting on the floor": "[sit] on the floor",
        "kneeling": "[kneel]",
        "on one knee": "[kneel] on one knee",
        "crouching": "[crouch]",
        "on hands and knees": "[stay] on hands and knees",
        "lying": f"[lie] on the {facing}" if facing else "[lie]",
    }
    verb = verbs[posture]
    if held and facts.still:
        says = [f"{verb} still", f"{verb} without moving"]
        return [command(says[0]), f"a person {finite(says[0])}", f"someone {finite(says[1])}"]
    if held and facts.in_place:
        if posture == "standing":
            return ["a person stands in place", "someone stays in one place, standing"]
        return [f"a person {finite(verb)}", f"someone {finite(f'[keep] {participle(verb)}')}"]
    if posture == "standing":
        return []
    ends = [] if facts.end is None else [f"someone {finite(f'[end] up {_posture(facts.end, facts.end_facing)}')}"]
    return [f"a person {finite(verb)}", *([] if held else ends)]
