"""Facts measured on a motion: one small class per kind of event.

The classes only hold data; `motionmillion.data.describing.measures` fills them and
`motionmillion.data.describing.wording` puts them into words. A field is None if it was too close to call.

Seconds count from the first frame. Sides are the body's own. `Side` is "left", "right" or "both".
"""

from dataclasses import dataclass
from typing import Literal, TypeVar

OneSide = Literal["left", "right"]
Side = Literal["left", "right", "both"]
Direction = Literal["forward", "backward", "left", "right"]
Posture = Literal[
    "standing",
    "sitting",
    "sitting on the floor",
    "kneeling",
    "on one knee",
    "crouching",
    "on hands and knees",
    "lying",
]
Level = Literal["chest", "shoulder", "head", "above the head"]


PAIRS: tuple[tuple[OneSide, OneSide], ...] = (("left", "right"), ("right", "left"))
"""Each side and the other one."""


@dataclass(frozen=True)
class Event:
    """Something that happens between two times, seconds."""

    start: float
    end: float


def shared_seconds(one: Event, two: Event) -> float:
    """Seconds in which both events happen; below zero if they are apart."""
    return min(one.end, two.end) - max(one.start, two.start)


@dataclass(frozen=True)
class Travel(Event):
    """The body moves over the floor; `direction` is relative to its heading.

    Args:
        gait: walk, jog, run or crawl.
        pace: slow, normal or fast, for walking.
        distance: length of the path, metres.
        steps: number of steps.
        curve: side to which the path bends.
    """

    direction: Direction
    gait: Literal["walk", "jog", "run", "crawl"] | None
    pace: Literal["slow", "normal", "fast"] | None
    distance: float
    steps: int | None
    curve: Literal["left", "right"] | None


@dataclass(frozen=True)
class Turn(Event):
    """The whole body turns.

    Args:
        angle: degrees, positive.
        degrees: 45, 90, 180, 270 or 360 if `angle` is clearly close to it.
        moving: whether the body walks during the turn.
    """

    side: Literal["left", "right"]
    angle: float
    degrees: int | None
    moving: bool | None


@dataclass(frozen=True)
class Stop(Event):
    """The body comes to rest after a travel and stays there to the end of the motion."""


@dataclass(frozen=True)
class Jump(Event):
    """Both feet leave the floor; `feet` are the feet that jump, a single one for hops."""

    count: int
    direction: Literal["up", "forward", "backward", "left", "right"] | None
    height: Literal["low", "high"] | None
    feet: Side | None


@dataclass(frozen=True)
class HandRaise(Event):
    """A hand goes up; the other stays down unless `side` is "both"."""

    side: Side
    level: Level | None
    begun: bool = True
    lowered: bool = False


@dataclass(frozen=True)
class Wave(Event):
    """A raised hand moves from side to side."""

    side: Side
    count: int


@dataclass(frozen=True)
class Punch(Event):
    """Fast, straight extensions of a hand forward."""

    side: Side | None
    count: int | None


@dataclass(frozen=True)
class Clap(Event):
    """The palms meet repeatedly."""

    count: int


@dataclass(frozen=True)
class ArmsOut(Event):
    """Both arms are stretched out sideways."""


@dataclass(frozen=True)
class HandsOnHips(Event):
    """Both hands rest on the hips."""


@dataclass(frozen=True)
class Kick(Event):
    """A fast upward swing of a straight leg."""

    side: Side
    direction: Literal["forward", "sideways", "backward"] | None
    height: Literal["high"] | None
    count: int


@dataclass(frozen=True)
class KneeLift(Event):
    """A knee comes up to the height of the hip."""

    side: Side
    count: int


@dataclass(frozen=True)
class LegRaise(Event):
    """A straight leg is lifted slowly."""

    side: Literal["left", "right"]
    direction: Literal["forward", "sideways", "backward"]


@dataclass(frozen=True)
class Balance(Event):
    """The body stands on the foot of `side` alone, for a second or more."""

    side: OneSide


@dataclass(frozen=True)
class Lunge(Event):
    """A wide step with the leg of `side` in front and its knee bent."""

    side: Side
    count: int


@dataclass(frozen=True)
class Squat(Event):
    """The body goes down on its feet and comes up again."""

    count: int
    deep: bool | None


@dataclass(frozen=True)
class Bend(Event):
    """The upper body bends.

    Args:
        straightens: whether it comes up again.
        begun: whether it was upright before; otherwise the motion begins with a bent body.
    """

    direction: Literal["forward", "left", "right"]
    straightens: bool
    count: int
    begun: bool = True


@dataclass(frozen=True)
class PostureChange(Event):
    """From one posture to another."""

    before: Posture
    after: Posture


E_ = TypeVar("E_", bound=Event)


@dataclass(frozen=True)
class MotionFacts:
    """The facts of a motion, without borderline cases.

    Args:
        seconds: length of the motion.
        start, end: posture of the first and last half second.
        mostly: posture that is held for most of the time.
        start_facing, end_facing: for a lying body, what it lies on: back, front, left side or right side.
        still: whether the body hardly moves at all.
        in_place: whether the body stays in one place.
        restless: speed that the fastest joint exceeds in a tenth of the time, metres per second.
        events: sorted by their start.
        unclear: events by looser rules, too small or slow to be told; measured on request.
    """

    seconds: float
    start: Posture | None = None
    end: Posture | None = None
    mostly: Posture | None = None
    start_facing: str | None = None
    end_facing: str | None = None
    still: bool = False
    in_place: bool = False
    restless: float = 0.0
    events: tuple[Event, ...] = ()
    unclear: tuple[Event, ...] = ()

    def of(self, kind: type[E_]) -> tuple[E_, ...]:
        """The events of one kind."""
        return tuple(event for event in self.events if isinstance(event, kind))
