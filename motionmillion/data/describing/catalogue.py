"""Every event that measured descriptions can word, one of each wording: what instructions are compared with.

    catalogue()["[turn] left"]         # Turn(side="left", degrees=90, ...)

Times are zero: only the kind and its attributes count.
"""

import functools
from collections.abc import Iterator
from itertools import product
from types import MappingProxyType
from typing import Any, TypeVar, get_args

from motionmillion.data.describing.facts import (
    ArmsOut,
    Balance,
    Bend,
    Clap,
    Event,
    HandRaise,
    HandsOnHips,
    Jump,
    Kick,
    KneeLift,
    LegRaise,
    Level,
    Lunge,
    MotionFacts,
    OneSide,
    Posture,
    PostureChange,
    Punch,
    Side,
    Squat,
    Travel,
    Turn,
    Wave,
)
from motionmillion.data.describing.phrases import phrases

_E = TypeVar("_E", bound=Event)
_SIDES, _BOTH = get_args(OneSide), get_args(Side)
_POSTURES = get_args(Posture)
_TURNS = ((90.0, None), (45.0, 45), (90.0, 90), (180.0, 180), (270.0, 270), (360.0, 360), (500.0, None))


@functools.cache
def catalogue() -> MappingProxyType[str, Event]:
    """The events by their phrases, each phrase with the plainest event that can be worded so."""
    found: dict[str, Event] = {}
    for event in _events():
        for phrase in phrases(event):
            found.setdefault(phrase, event)
    return MappingProxyType(found)


def held_postures() -> list[MotionFacts]:
    """Facts of bodies that hold a posture: quite still, and only in place."""
    return [
        MotionFacts(4.0, posture, posture, posture, still=still, in_place=True)
        for posture, still in product(_POSTURES, (True, False))
    ]


def _events() -> Iterator[Event]:
    """Events with their attributes, the plainest first."""
    yield from _travels()
    for angle, degrees in _TURNS:
        yield from _all(Turn, side=_SIDES, angle=(angle,), degrees=(degrees,), moving=(None, False))
    counts = (1, 2, 3)
    ways = (None, "up", "forward", "backward", "left", "right")
    yield from _all(Jump, count=counts, direction=ways, height=(None, "high"), feet=("both", None))
    yield from _all(Jump, count=(1,), direction=ways, height=("low",), feet=("both",))
    yield from _all(Jump, count=counts, direction=("up", "forward"), height=(None,), feet=_SIDES)
    levels = (None, *reversed(get_args(Level)))
    yield from _all(HandRaise, side=_BOTH, level=levels, begun=(True, False), lowered=(False, True))
    yield from _all(Wave, side=_BOTH, count=(3,))
    yield from _all(Punch, side=(None, *_BOTH), count=counts)
    yield from _all(Clap, count=(3,))
    yield from _all(ArmsOut)
    yield from _all(HandsOnHips)
    yield from _all(Kick, side=_BOTH, direction=(None, "forward", "sideways"), height=(None, "high"), count=(1, 2, 3))
    yield from _all(KneeLift, side=_BOTH, count=counts)
    yield from _all(LegRaise, side=_SIDES, direction=("forward", "sideways", "backward"))
    yield from _all(Lunge, side=_BOTH, count=(1, 2))
    yield from _all(Squat, count=counts, deep=(None, True, False))
    yield from _all(
        Bend, direction=("forward", "left", "right"), straightens=(False, True), count=(1, 2), begun=(True, False)
    )
    yield from _all(PostureChange, before=_POSTURES, after=_POSTURES)
    yield from _all(Balance, side=_SIDES)


def _travels() -> Iterator[Event]:
    for direction in ("forward", "backward", "left", "right"):
        gaits = ("walk", "run", "jog", "crawl", None) if direction == "forward" else ("walk", "crawl", None)
        curves = (None, *_SIDES) if direction in ("forward", "backward") else (None,)
        common = dict(direction=(direction,), steps=(None,), distance=(0.0,))
        yield from _all(Travel, gait=gaits, pace=(None,), curve=curves, **common)
        yield from _all(Travel, gait=("walk",), pace=("slow", "fast", "normal"), curve=(None,), **common)
        common |= dict(pace=(None,), curve=(None,))
        yield from _all(Travel, gait=("walk",), **(common | dict(steps=range(2, 9))))
        yield from _all(Travel, gait=("walk", "run"), **(common | dict(distance=(1.0, 2.0, 3.0, 4.0, 5.0))))


def _all(kind: type[_E], **values: Any) -> Iterator[_E]:
    """An event for each combination of attributes."""
    for chosen in product(*values.values()):
        yield kind(0.0, 0.0, **dict(zip(values, chosen, strict=True)))
