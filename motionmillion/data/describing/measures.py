"""Detects the facts that a motion's captions are made from.

    facts = measure_facts(motion)
    facts.of(Turn)[0].side

Borderline cases near a threshold are omitted, so that the remaining facts are true.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from motionmillion.data.describing import arms, legs, locomotion, postures
from motionmillion.data.describing.facts import Event, Jump, Kick, MotionFacts, Travel, Turn, shared_seconds
from motionmillion.data.describing.timeline import Mask
from motionmillion.data.describing.track import RATE, BodyTrack
from motionmillion.motion import Motion

STILL = (0.07, 0.2)
"""Still: maximum distance of a joint from its mean position, metres, and maximum speed, metres per second."""
WIND_UP = 0.7
"""Seconds before and after a jump in which bending belongs to the jump."""
RESTLESS = 0.9
"""Share of the frames in which a joint is slower than what `MotionFacts.restless` says."""
IN_PLACE = 0.25
"""In place: maximum distance of the pelvis from its mean position, metres."""


EASE, KICK_EASE, PUNCH_EASE, CLAP_EASE = 0.6, 0.45, 0.4, 0.5
"""Fraction of a clear event's speed, height and the like that makes an unclear one."""
ALONG = 0.5
"""Share of a travel's time for which a turn must go on to make a curve of it."""


def measure_facts(motion: Motion, unclear: bool = False) -> MotionFacts:
    """The facts of a motion, without borderline cases.

    Args:
        unclear: also fill `MotionFacts.unclear`.

    Raises:
        ValueError: for fewer than two frames, or a skeleton without the joints of SMPL.
    """
    track = BodyTrack.of(motion)
    timeline = postures.posture_timeline(track)
    start = postures.posture_at(timeline, len(track), end=False)
    end = postures.posture_at(timeline, len(track), end=True)
    away = np.linalg.norm(track.world - track.world.mean(0), axis=-1).max()
    speeds = np.linalg.norm(np.gradient(track.world, axis=0), axis=-1) * RATE
    fastest = speeds.max()
    events = _events(track, timeline)
    return MotionFacts(
        seconds=motion.seconds,
        start=start,
        end=end,
        mostly=postures.mostly(timeline, len(track)),
        start_facing=postures.facing_at(track, False) if start == "lying" else None,
        end_facing=postures.facing_at(track, True) if end == "lying" else None,
        still=bool(away < STILL[0] and fastest < STILL[1]),
        in_place=locomotion.moved(track) < IN_PLACE,
        restless=float(np.quantile(speeds, RESTLESS, axis=0).max()),
        events=_sorted(events),
        unclear=_sorted(_unclear(track, events)) if unclear else (),
    )


def _sorted(events: Sequence[Event]) -> tuple[Event, ...]:
    return tuple(sorted(events, key=lambda event: (event.start, event.end)))


def _unclear(track: BodyTrack, clear: Sequence[Event]) -> list[Event]:
    """Events by looser rules, except those that overlap a clear one of the same kind."""
    kicks = [event for event in clear if isinstance(event, Kick)]
    jumps = legs.measure_jumps(track, EASE)
    swinging = [*jumps, *_fast(clear)]
    found = [
        *jumps,
        *legs.measure_kicks(track, KICK_EASE),
        *legs.measure_knee_lifts(track, kicks, EASE),
        *(punch for punch in arms.measure_punches(track, PUNCH_EASE) if not _part_of(punch, swinging)),
        *arms.measure_claps(track, CLAP_EASE),
        *arms.measure_waves(track, EASE),
    ]
    found = [event for event in found if not _part_of(event, [own for own in clear if type(own) is type(event)])]
    return [*found, *arms.measure_later_raises(track), *_curves(clear)]


def _curves(clear: Sequence[Event]) -> list[Travel]:
    """Walks that turn most of the time, which is a curve, however tight."""
    straight = [own for own in clear if isinstance(own, Travel) and own.direction == "forward" and own.curve is None]
    turns = [own for own in clear if isinstance(own, Turn) and own.moving]
    return [
        replace(travel, curve=turn.side)
        for travel in straight
        for turn in turns
        if shared_seconds(turn, travel) > ALONG * (travel.end - travel.start)
    ]


def _fast(events: Sequence[Event]) -> list[Event]:
    """Runs and jogs, in which arms swing as in punches."""
    return [event for event in events if isinstance(event, Travel) and event.gait in ("run", "jog")]


def _events(track: BodyTrack, timeline: postures.Timeline) -> list[Event]:
    travels = locomotion.measure_travel(track)
    jumps = legs.measure_jumps(track)
    squats = postures.measure_squats(track, timeline)
    kicks = legs.measure_kicks(track)
    crawling = _mask(track, timeline, "on hands and knees")
    changes = [c for c in postures.measure_changes(timeline) if not _part_of(c, squats)]
    return [
        *(travel for travel in travels if not _covered(travel, jumps)),
        *locomotion.measure_crawl(track, crawling),
        *locomotion.measure_turns(track, travels),
        *locomotion.measure_stops(track, travels),
        *jumps,
        *squats,
        *(
            bend
            for bend in postures.measure_bends(track)
            if not _part_of(bend, changes) and not _part_of(bend, jumps, WIND_UP)
        ),
        *changes,
        *arms.measure_raises(track),
        *arms.measure_waves(track),
        *(punch for punch in arms.measure_punches(track) if not _part_of(punch, [*jumps, *_fast(travels)])),
        *arms.measure_claps(track),
        *arms.measure_arms_out(track),
        *arms.measure_hands_on_hips(track),
        *kicks,
        *legs.measure_knee_lifts(track, kicks),
        *legs.measure_leg_raises(track, kicks),
        *legs.measure_lunges(track),
        *legs.measure_balances(track),
    ]


def _mask(track: BodyTrack, timeline: postures.Timeline, posture: str) -> Mask:
    mask = np.zeros(len(track), dtype=bool)
    for name, (start, stop) in timeline:
        mask[start:stop] |= name == posture
    return mask


def _covered(travel: Travel, jumps: Sequence[Jump]) -> bool:
    """Whether a travel consists of jumps, whose facts already include their direction."""
    common = sum(max(0.0, shared_seconds(travel, jump)) for jump in jumps)
    return common > 0.3 * (travel.end - travel.start)


def _part_of(event: Event, others: Sequence[Event], slack: float = 0.1) -> bool:
    """Whether an event overlaps in time with one of `others`, up to `slack` seconds."""
    return any(other.start - slack < event.end and event.start < other.end + slack for other in others)
