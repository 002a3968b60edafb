"""Tasks: what a prompt asks a body to do, and how far a motion does it.

    task = Task("turn left, then jump", (Turn(...), Jump(...)), ("[turn] left", "[jump]"), ("then",))
    task.rating(measure_facts(motion, unclear=True))         # 1.0 if the motion shows just that

`motionmillion.data.describing.reading` makes tasks of prompts.

Unusual: an event counts as done if it can be said with the phrase that was asked for. "Raise the left hand" is
done by any raised left hand, "raise the left hand to the height of the head" only by one at that height.
"""

import functools
import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from motionmillion.data.describing.facts import (
    Balance,
    Event,
    Jump,
    Kick,
    KneeLift,
    LegRaise,
    MotionFacts,
    Stop,
    Travel,
    Turn,
    shared_seconds,
)
from motionmillion.data.describing.phrases import phrases
from motionmillion.data.describing.wording import OVERLAP, worth_saying
from motionmillion.data.describing.words import numbers
from motionmillion.data.mirror_words import sides

SAME_KIND, SAME_SIDE, SHARED_WORDS = 0.15, 0.4, 0.5
"""Rating of an event of the kind that was asked for, of one with the right side, and of one that some other phrase for
the asked event fits as well."""
UNCLEAR = 0.8
"""Factor of an event that is too small or slow to be told."""
WRONG_ORDER = 0.6
"""Factor of two events in the wrong order, or one after the other instead of at once."""
UNASKED, MOST_UNASKED = 0.08, 4
"""Taken off for each further event, and how many count."""
HELD, BEGUN, QUIET = 0.3, 0.2, 0.5
"""Rating of ending in the posture that should be held, of beginning in it, and of not moving."""
CALM = 0.4
"""Speed of a joint at which a body is half as quiet as one that does not move, metres per second."""
PACES = {"slow": 0.5, "fast": 2.0}
"""Speeds of walks, metres per second, that are slow and fast."""
CHOICES = 3
"""Events of a motion that are tried for each asked one."""

Order = Literal["then", "together", "listed"]
"""How an event follows the one before: after it, at the same time, or as in "turn and jump", either of the two."""

_LEGS = Balance | KneeLift | LegRaise | Kick
_DETAILS: dict[type[Event], tuple[str, ...]] = {
    Jump: ("direction", "height"),
    Kick: ("direction", "height"),
    Travel: ("gait", "curve"),
}
"""Attributes that a phrase may leave out: whoever jumps forward, jumps."""


@dataclass(frozen=True)
class Task:
    """A text and the events that it asks for.

    Args:
        events: in the order in which they are asked for; none if a posture is to be held.
        said: the phrase that stands for each.
        orders: how each event but the first follows the one before.
        held: posture facts, if a posture is to be held.
    """

    text: str
    events: tuple[Event, ...]
    said: tuple[str, ...]
    orders: tuple[Order, ...] = ()
    held: MotionFacts | None = None

    def rating(self, facts: MotionFacts) -> float:
        """How far a motion with these facts does what the text says.

        1 for all of it and nothing else, 0 for none of it, less if it does other things instead.
        """
        actions = [event for event in worth_saying(facts.events) if not isinstance(event, Stop)]
        if self.held is not None:
            return _kept(self.held, facts, len(actions)) - _off(len(actions))
        return max(
            rating - _off(sum(not any(_part_of(event, other) for other in done) for event in actions))
            for rating, done in self._ways(facts)
        )

    def _ways(self, facts: MotionFacts) -> Iterator[tuple[float, list[Event]]]:
        """Each way to find the asked events in a motion, with its rating and the events that it finds."""
        happened = [(1.0, event) for event in facts.events] + [(UNCLEAR, event) for event in facts.unclear]
        options: list[list[tuple[float, Event | None]]] = []
        if len(self.events) == 1 and numbers(self.said[0]):
            happened = [(factor, _total(event, facts)) for factor, event in happened]
        for asked, phrase in zip(self.events, self.said, strict=True):
            rated = [(factor * _likeness(event, asked, phrase), event) for factor, event in happened]
            best = heapq.nlargest(CHOICES, (each for each in rated if each[0] > 0), key=lambda each: each[0])
            options.append([*best, (0.0, None)])
        for way in product(*options):
            found = [event for _, event in way]
            done = [event for event in found if event is not None]
            if len({id(event) for event in done}) == len(done):
                yield sum(rating for rating, _ in way) / len(way) * self._in_order(found), done

    def _in_order(self, found: Sequence[Event | None]) -> float:
        pairs = zip(found, found[1:], self.orders, strict=False)
        wrong = sum(one is not None and two is not None and not _ordered(one, two, way) for one, two, way in pairs)
        return WRONG_ORDER**wrong


def _total(event: Event, facts: MotionFacts) -> Event:
    """An event with the count of all of its kind and side."""
    alike = [own for own in facts.events if type(own) is type(event) and _side(own) == _side(event)]
    count = sum(getattr(own, "count", None) or 0 for own in alike)
    return replace(event, count=count) if count and event in alike else event  # type: ignore[call-arg]


def _kept(held: MotionFacts, facts: MotionFacts, actions: int) -> float:
    """How far a posture is held, from 0 to 1."""
    kept = HELD * (facts.end == held.end) + BEGUN * (facts.start == held.start)
    if actions or not (kept or held.still):
        return kept
    if kept == HELD + BEGUN and (facts.still if held.still else facts.in_place):
        return 1.0
    return kept + QUIET / (1 + (facts.restless / CALM) ** 2)


def _off(unasked: int) -> float:
    return UNASKED * min(unasked, MOST_UNASKED)


def _likeness(event: Event, asked: Event, phrase: str) -> float:
    """How far one event is what was asked for, from 0 to 1."""
    if type(event) is not type(asked):
        return 0.0
    own = _names(event)
    if phrase in own:
        return 1.0
    if sides(phrase) and _side(event) != _side(asked):
        return SAME_KIND
    rating = SAME_SIDE if own.isdisjoint(_names(asked)) else SHARED_WORDS
    if isinstance(event, Turn) and isinstance(asked, Turn):
        rating = max(rating, 0.8 - abs(event.angle - asked.angle) / 150)
    if isinstance(event, Travel) and isinstance(asked, Travel) and asked.pace in PACES and rating == SHARED_WORDS:
        off = abs(event.distance / (event.end - event.start) - PACES[asked.pace])
        rating += 0.3 * max(0.0, 1 - off / 1.5)
    return rating


@functools.lru_cache(maxsize=10_000)
def _names(event: Event) -> frozenset[str]:
    """The phrases of an event, with and without details."""
    details = _DETAILS.get(type(event), ())
    values = product(*({getattr(event, name), None} for name in details))
    plainer = [replace(event, **dict(zip(details, own, strict=True))) for own in values]
    return frozenset(phrase for each in plainer for phrase in phrases(each))


def _side(event: Event) -> str | None:
    return event.feet if isinstance(event, Jump) else getattr(event, "side", None)


def _at_once(one: Event, two: Event) -> bool:
    """Whether two events happen together, as `motionmillion.data.describing.wording` tells it."""
    return shared_seconds(one, two) > OVERLAP * min(one.end - one.start, two.end - two.start)


def _ordered(one: Event, two: Event, order: Order) -> bool:
    if order == "together":
        return shared_seconds(one, two) > 0
    at_once = _at_once(one, two)
    return at_once or one.start < two.start if order == "listed" else one.start < two.start and not at_once


@functools.lru_cache(maxsize=10_000)
def _part_of(event: Event, asked: Event) -> bool:
    """Whether an event is the same as one that was asked for, or belongs to it."""
    if phrases(event)[:1] == phrases(asked)[:1]:
        return True
    if isinstance(event, Travel) and isinstance(asked, Travel):
        return event.direction == asked.direction
    together = event.end > asked.start and asked.end > event.start
    return isinstance(event, _LEGS) and isinstance(asked, _LEGS) and together
