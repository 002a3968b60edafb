"""Travel and turns of a body on its feet (or hands and knees): direction, gait, pace, steps, curves, angles.

    travels = measure_travel(track)
    turns = measure_turns(track, travels)

Directions are relative to the body's heading. Diagonal travel, drifts and steps between two classes are omitted.
"""

import math
from typing import Literal

import numpy as np

from motionmillion.data.describing.facts import Direction, Stop, Travel, Turn, shared_seconds
from motionmillion.data.describing.timeline import Array, Mask, Span, smooth, spans, turning_points
from motionmillion.data.describing.track import RATE, BodyTrack, angle_between, seconds

MOVING_SPEED = 0.25
"""Metres per second below which a body shifts its weight rather than travels."""
SHORTEST_TRAVEL = (0.7, 0.6)
"""Minimum seconds and metres of a travel; less is a shift of the feet."""
WAYS: dict[Direction, tuple[float, float]] = {
    "forward": (0.0, 40.0),
    "left": (90.0, 38.0),
    "right": (-90.0, 38.0),
    "backward": (180.0, 40.0),
}
"""Angle of each direction from the heading and its tolerance, degrees; angles in between have no name."""
STEP = (0.12, 0.22)
"""Metres by which a foot passes the other in a step: minimum, and clear. Both thresholds must give the same count."""
MOST_STEPS = 8
"""Longer walks are not counted."""
PACES = {"slow": (0.0, 0.7), "normal": (0.95, 1.4), "fast": (1.7, 2.05)}
"""Walking speeds, metres per second; people stroll at up to 0.8, walk at 1.0 to 1.5 and hurry from 1.7."""
AIRBORNE = 0.05
"""Minimum height of both soles in a flight phase, metres, above the noise of drifting feet."""
FLIGHT_SHARE = (0.03, 0.12)
"""Fraction of a travel in flight: below the first it is a walk, above the second a jog or run, by its speed."""
JOG_SPEED = (1.7, 2.05, 2.5)
"""Metres per second: slowest jog, the same with little flight (which smoothed feet underestimate), fastest jog."""
RUN_SPEED = 2.7
"""Metres per second above which a travel is a run."""
MOST_FLIGHT = 0.5
"""Maximum fraction of a run in flight; more is leaping."""
CURVE_DEGREES = 35.0
"""Minimum change of direction of a curved path; that of a straight walk oscillates by up to 20."""
CURVE_RADIUS = 0.6
"""Metres; a tighter bend is a turn."""
ZIGZAG_DEGREES = 25.0
"""Oscillations of the heading that are not turns: the hips of a walker swing by up to 20."""
TURN_DEGREES = 40.0
"""Smallest turn."""
NAMED_TURNS = {45: 8, 90: 18, 180: 25, 270: 20, 360: 30}
"""Named angles and their tolerances, degrees."""
FEET_SHARE = 0.7
"""Fraction of a turn that the feet must follow; otherwise the body only twists."""
IN_PLACE = (0.45, 0.9)
"""Path length during a turn, metres: below the first it is on the spot, above the second while walking."""
REST_SPEED = 0.3
"""Maximum speed of every joint of a body at rest, metres per second."""
SLOWING = 1.2
"""Maximum seconds between the end of a travel and the rest."""
SHORTEST_REST = 0.6
"""Minimum seconds of rest after a travel."""
CRAWL_SPEED = 0.12
"""Minimum speed of a crawl, metres per second."""


def measure_travel(track: BodyTrack) -> list[Travel]:
    """Periods in which the body moves in one direction, in order."""
    velocity = _velocity(track)
    rate = np.linalg.norm(velocity, axis=-1)
    way = np.degrees(angle_between(np.arctan2(velocity[:, 0], velocity[:, 1]) - smooth(track.heading, 6)))
    moving = (rate > MOVING_SPEED) & track.upright
    found = []
    for name, (middle, width) in WAYS.items():
        off = np.abs(np.remainder(way - middle + 180, 360) - 180)
        for span in spans(moving & (off < width), gap=0.35 * RATE, shortest=SHORTEST_TRAVEL[0] * RATE):
            travel = _travel(track, name, span, rate)
            if travel is not None:
                found.append(travel)
    return sorted(found, key=lambda travel: travel.start)


def measure_stops(track: BodyTrack, travels: list[Travel]) -> list[Stop]:
    """The stop after the last travel, if nothing but stillness follows."""
    if not travels:
        return []
    end = max(round(travel.end * RATE) for travel in travels)
    speed = np.linalg.norm(np.gradient(track.world, axis=0), axis=-1).max(axis=-1) * RATE  # [T], of the fastest joint
    moving = np.flatnonzero(speed > REST_SPEED)
    rest = int(moving[-1]) + 1 if len(moving) else 0
    if not end - SLOWING * RATE < rest < end + SLOWING * RATE or len(track) - max(rest, end) < SHORTEST_REST * RATE:
        return []
    return [Stop(seconds(max(rest, end)), seconds(len(track)))] if track.upright[end:].all() else []


def measure_crawl(track: BodyTrack, crawling: Mask) -> list[Travel]:
    """Travel on hands and knees; `crawling` `[T]` marks the frames in that posture."""
    velocity = _velocity(track)
    rate = np.linalg.norm(velocity, axis=-1)
    ahead = np.stack([track.trunk[:, 0], track.trunk[:, 2]], axis=-1)
    toward = (velocity * ahead).sum(-1)
    found = []
    for start, stop in spans(crawling & (rate > CRAWL_SPEED), gap=0.5 * RATE, shortest=RATE):
        distance = float(rate[start:stop].sum() / RATE)
        share = float(toward[start:stop].sum() / RATE) / distance
        if distance > SHORTEST_TRAVEL[1] and abs(share) > 0.7:
            way: Direction = "forward" if share > 0 else "backward"
            found.append(Travel(seconds(start), seconds(stop), way, "crawl", None, distance, None, None))
    return found


def measure_turns(track: BodyTrack, travels: list[Travel]) -> list[Turn]:
    """Turns of the whole body, in order; wide curves are part of the travel instead."""
    heading = np.degrees(smooth(track.heading, 5))
    feet = np.degrees(_feet_heading(track))
    rate = np.linalg.norm(_velocity(track), axis=-1)
    found = []
    for start, stop in spans(track.upright, shortest=0.8 * RATE):
        points = turning_points(heading[start:stop], ZIGZAG_DEGREES)
        for first, last in zip(points, points[1:], strict=False):
            span = _core(heading, start + first, start + last)
            turn = _turn(heading, feet, rate, span)
            if turn is not None and not _is_curve(turn, travels):
                found.append(turn)
    return found


def moved(track: BodyTrack) -> float:
    """Maximum distance of the pelvis from its mean floor position, metres."""
    path = track.joint("pelvis")[:, [0, 2]]
    return float(np.linalg.norm(path - path.mean(0), axis=-1).max())


def _velocity(track: BodyTrack) -> Array:
    """Floor velocity (x, z) of the pelvis `[T, 2]`, metres per second, smoothed to remove the sway of the steps."""
    return np.gradient(smooth(track.joint("pelvis")[:, [0, 2]], 0.25 * RATE), axis=0) * RATE


def _travel(track: BodyTrack, way: Direction, span: Span, rate: Array) -> Travel | None:
    start, stop = span
    distance = float(rate[start:stop].sum() / RATE)
    fewest, most = _steps(track, way, span)
    if distance < SHORTEST_TRAVEL[1] or most < 2:
        return None
    gait, pace = _gait(track, span, distance)
    if way != "forward" and gait in ("run", "jog"):
        gait = None  # a shuffle or a hop
    steps = most if fewest == most <= MOST_STEPS and gait == "walk" else None
    return Travel(seconds(start), seconds(stop), way, gait, pace, distance, steps, _curve(track, way, span, distance))


def _steps(track: BodyTrack, way: Direction, span: Span) -> tuple[int, int]:
    """How often one foot passes the other clearly, and how often at all."""
    axis = 0 if way in ("left", "right") else 2
    start, stop = max(0, span[0] - RATE // 3), min(len(track), span[1] + RATE // 3)
    apart = (track.own("left_foot") - track.own("right_foot"))[start:stop, axis] * track.size
    clearly, hardly = (max(0, len(turning_points(apart, size)) - 1) for size in (STEP[1], STEP[0]))
    return clearly, hardly


def _gait(
    track: BodyTrack, span: Span, distance: float
) -> tuple[Literal["walk", "jog", "run"] | None, Literal["slow", "normal", "fast"] | None]:
    start, stop = span
    pace = distance / ((stop - start) / RATE)
    both = np.minimum(track.air("left"), track.air("right"))[start:stop]
    flight = float((both > AIRBORNE).mean())
    if flight < FLIGHT_SHARE[0] and pace < JOG_SPEED[1]:
        named = [name for name, (slowest, fastest) in PACES.items() if slowest <= pace <= fastest]
        return "walk", named[0] if named else None  # type: ignore[return-value]
    if flight > MOST_FLIGHT:
        return None, None
    if pace >= RUN_SPEED:
        return "run", None
    shortest = FLIGHT_SHARE[1] if pace < JOG_SPEED[1] else FLIGHT_SHARE[0]
    if JOG_SPEED[0] <= pace <= JOG_SPEED[2] and flight >= shortest:
        return "jog", None
    return None, None


def _curve(track: BodyTrack, way: Direction, span: Span, distance: float) -> Literal["left", "right"] | None:
    """Side of a steady curve: the heading turns one way throughout."""
    if way in ("left", "right"):
        return None
    heading = np.degrees(smooth(track.heading, 0.3 * RATE))[span[0] : span[1]]
    turned = float(heading[-1] - heading[0])
    half = float(heading[len(heading) // 2] - heading[0])
    steady = 0.25 < half / turned < 0.75 if turned else False
    if abs(turned) < CURVE_DEGREES or not steady or distance / math.radians(abs(turned)) < CURVE_RADIUS:
        return None
    return "left" if turned > 0 else "right"


def _feet_heading(track: BodyTrack) -> Array:
    """Mean direction of the feet over the floor `[T]`, radians, unwrapped."""
    sides = []
    for side in ("left", "right"):
        foot = track.joint(f"{side}_foot") - track.joint(f"{side}_ankle")
        sides.append(np.unwrap(np.arctan2(foot[:, 0], foot[:, 2])))
    return smooth((sides[0] + sides[1]) / 2, 5)


def _core(heading: Array, start: int, stop: int) -> Span:
    """The time span that contains nine tenths of a turn."""
    progress = (heading[start : stop + 1] - heading[start]) / (heading[stop] - heading[start])
    inside = np.flatnonzero((progress > 0.05) & (progress < 0.95))
    return (start + int(inside[0]), start + int(inside[-1]) + 1) if len(inside) else (start, stop)


def _turn(heading: Array, feet: Array, rate: Array, span: Span) -> Turn | None:
    start, stop = span
    last = min(stop, len(heading) - 1)
    angle = (heading[last] - heading[start]) / 0.9
    # The feet may follow a little later than the hips.
    late = min(len(feet) - 1, last + RATE // 3)
    followed = (feet[late] - feet[max(0, start - RATE // 6)]) / angle if angle else 0.0
    if abs(angle) < TURN_DEGREES or not FEET_SHARE < followed < 1.6:
        return None
    named = [degrees for degrees, margin in NAMED_TURNS.items() if abs(abs(angle) - degrees) <= margin]
    path = float(rate[start:stop].sum() / RATE)
    moving = False if path < IN_PLACE[0] else True if path > IN_PLACE[1] else None
    side: Literal["left", "right"] = "left" if angle > 0 else "right"
    return Turn(seconds(start), seconds(stop), side, float(abs(angle)), named[0] if named else None, moving)


def _is_curve(turn: Turn, travels: list[Travel]) -> bool:
    """Whether a travel already has a curve to that side."""
    for travel in travels:
        if travel.curve == (turn.side if travel.direction == "forward" else _other(turn.side)):
            common = shared_seconds(turn, travel)
            if common > 0.7 * (turn.end - turn.start):
                return True
    return False


def _other(side: Literal["left", "right"]) -> Literal["left", "right"]:
    return "right" if side == "left" else "left"
