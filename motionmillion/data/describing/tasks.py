"""Tasks: what a prompt asks a body to do, and how far a motion does it.

    task = Task("turn left, then jump", (Turn(...), Jump(...)), ("[turn] left", "[jump]"), "then")
    task.rating(measure_facts(motion, unclear=True))         # 1.0 if the motion shows just that

`motionmillion.data.describing.reading` makes tasks of prompts.

Unusual: an event counts as done if it can be said with the phrase that was asked for. "Raise the left hand" is
done by any raised left hand, "raise the left hand to the height of the head" only by one at that height.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
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
)
from motionmillion.data.describing.phrases import phrases
from motionmillion.data.describing.wording import OVERLAP, posture_sentences, worth_saying

SAME_KIND, SAME_SIDE, SHARED_WORDS = 0.15, 0.4, 0.5
"""Rating of an event of the kind that was asked for, of one with the right side, and of one that some other phrase for
the asked event fits as well."""
UNCLEAR = 0.8
"""Factor of an event that is too small or slow to be told."""
WRONG_ORDER = 0.6
"""Factor of two events in the wrong order, or one after the other instead of at once."""
UNASKED, MOST_UNASKED = 0.08, 4
"""Taken off for each further event, and how many count."""
HELD, BEGUN, QUIET = 0.3, 0.2, 0.4
"""Rating of ending in the posture that should be held, of beginning in it, and of moving little."""

Order = Literal["then", "together"]

_LEGS = Balance | KneeLift | LegRaise | Kick


@dataclass(frozen=True)
class Task:
    """A text and the events that it asks for.

    Args:
        events: one or two events; none if a posture is to be held.
        said: the phrase that stands for each.
        order: whether two events come one after the other, in their order, or together; None for either.
        held: posture facts, if a posture is to be held.
    """

    text: str
    events: tuple[Event, ...]
    said: tuple[str, ...]
    order: Order | None = None
    held: MotionFacts | None = None

    def rating(self, facts: MotionFacts) -> float:
        """How far a motion with these facts does what the text says.

        1 for all of it and nothing else, 0 for none of it, less if it does other things instead.
        """
        if self.held is not None:
            return self._held(self.held, facts)
        found: list[Event | None] = []
        ratings = []
        for event, phrase in zip(self.events, self.said, strict=True):
            free = [other for other in facts.events if not any(other is used for used in found)]
            likeness = functools.partial(_likeness, asked=event, phrase=phrase)
            best = max(free, key=likeness, default=None)
            clear = 0.0 if best is None else likeness(best)
            ratings.append(max(clear, *(UNCLEAR * likeness(other) for other in facts.unclear), 0.0))
            found.append(best if clear else None)
        done = [event for event in found if event is not None]
        rating = sum(ratings) / len(ratings)
        if len(done) == 2 and self.order is not None and not _ordered(done, self.order):
            rating *= WRONG_ORDER
        unasked = [event for event in _actions(facts) if not any(_part_of(event, other) for other in done)]
        return rating - UNASKED * min(len(unasked), MOST_UNASKED)

    def _held(self, held: MotionFacts, facts: MotionFacts) -> float:
        actions = _actions(facts)
        if not actions and self.text in posture_sentences(facts):
            return 1.0
        kept = HELD * (facts.end == held.end) + BEGUN * (facts.start == held.start)
        if held.still and not actions:
            kept += QUIET / (1 + facts.fastest)
        return kept - UNASKED * min(len(actions), MOST_UNASKED)


def _likeness(event: Event, asked: Event, phrase: str) -> float:
    """How far one event is what was asked for, from 0 to 1."""
    if type(event) is not type(asked):
        return 0.0
    own = phrases(event)
    if phrase in own:
        return 1.0
    if _side(event) != _side(asked):
        return SAME_KIND
    rating = SHARED_WORDS if set(own) & set(phrases(asked)) else SAME_SIDE
    if isinstance(event, Turn) and isinstance(asked, Turn):
        rating = max(rating, 0.8 - abs(event.angle - asked.angle) / 150)
    return rating


def _side(event: Event) -> str | None:
    return event.feet if isinstance(event, Jump) else getattr(event, "side", None)


def _at_once(one: Event, two: Event) -> bool:
    """Whether two events happen together, as `motionmillion.data.describing.wording` tells it."""
    common = min(one.end, two.end) - max(one.start, two.start)
    return common > OVERLAP * min(one.end - one.start, two.end - two.start)


def _ordered(events: Sequence[Event], order: Order) -> bool:
    one, two = events
    if order == "together":
        return min(one.end, two.end) > max(one.start, two.start)
    return one.start < two.start and not _at_once(one, two)


def _actions(facts: MotionFacts) -> list[Event]:
    return [event for event in worth_saying(facts.events) if not isinstance(event, Stop)]


def _part_of(event: Event, asked: Event) -> bool:
    """Whether an event is the same as one that was asked for, or belongs to it."""
    if phrases(event)[:1] == phrases(asked)[:1]:
        return True
    if isinstance(event, Travel) and isinstance(asked, Travel):
        return event.direction == asked.direction
    together = event.end > asked.start and asked.end > event.start
    return isinstance(event, _LEGS) and isinstance(asked, _LEGS) and together
