"""Actions of the legs: jumps and hops, kicks, lifted knees, raised legs, lunges, standing on one foot.

    jumps = measure_jumps(track)

A jump must have the acceleration of free fall, not just both feet off the floor: hanging or floating is not jumping.
Some measures take `ease`: with 0.6, six tenths of what makes an event clear are enough.
Shapes: T frames.
"""

import math
from typing import Literal

import numpy as np

from motionmillion.data.describing.facts import PAIRS, Balance, Jump, Kick, KneeLift, LegRaise, Lunge, Side
from motionmillion.data.describing.timeline import Mask, Span, spans
from motionmillion.data.describing.track import RATE, BodyTrack, seconds

LEFT_FLOOR = 0.06
"""Minimum height of both soles in flight, metres."""
FLIGHT = (0.13, 1.0)
"""Range of a flight's duration, seconds."""
FLIGHT_HEIGHT = 0.12
"""Minimum peak height of the lower sole, metres."""
FALL = (6.5, 14.0)
"""Downward acceleration of the pelvis in flight, m/s2; gravity is 9.8, tucking the legs changes it a little."""
LEAP_SECONDS = 0.33
"""Minimum flight of a leap from one foot to the other, seconds; runners fly for up to 0.25 s."""
BOTH_FEET = 0.08
"""Maximum height of the higher sole if both feet leave or land together."""
HOP_FOOT = 0.1
"""Minimum height of the other sole before, during and after a hop."""
ON_SPOT = (0.14, 0.28)
"""Floor distance of a jump, metres: at most the first for a jump up, at least the second for one with a direction."""
JUMP_HEIGHT = (0.1, 0.3)
"""Rise of the pelvis above standing, metres: low up to the first, high from the second."""
CLEAR = 0.03
"""Minimum height of the whole body in flight, so that a handstand is not a jump."""
JUMP_TILT = 65.0
STANDING_PELVIS = 0.9
SERIES_SECONDS = 1.4
"""Maximum seconds between jumps, kicks or knee lifts that are counted as one series."""
PLANTED = 0.1
"""Maximum height of the supporting leg's sole."""
KICK_SPEED = 4.2
"""Minimum speed of the foot, metres per second; in walking it is 2.5 to 3.5, but near the floor."""
KICK_HEIGHT = (0.48, 0.9)
"""Minimum height of the ankle in a kick and in a high kick; dancing and running feet stay lower."""
KICK_KNEE = 45.0
"""Maximum bend of the knee at the end of a kick, degrees."""
KNEE_LEVEL = -0.06
"""Minimum height of a lifted knee above the hip joint, metres; on stairs it stays lower."""
KNEE_SLACK = 0.3
"""How much lower a knee is that is hardly lifted."""
KNEE_BENT = 60.0
LEG_RAISE = (0.4, 35.0, 0.3, 2.8)
"""Minimum ankle height, maximum bend of the knee, minimum seconds near the top, maximum speed of the foot."""
LUNGE = (0.62, 62.0, 25.0, 0.83)
"""Minimum distance between the feet, minimum bend of the front knee, how much less the back knee is bent, and maximum
height of the pelvis."""
LUNGE_SECONDS = 0.25
BALANCE = (0.1, 0.15, 1.0)
"""Balancing: minimum height of the free foot above the other, maximum distance of the standing ankle from its mean
position, metres, and minimum seconds."""


def measure_jumps(track: BodyTrack, ease: float = 1.0) -> list[Jump]:
    """Flights with both feet off the floor; a series is one event."""
    lower = np.minimum(track.air("left"), track.air("right"))
    flights = []
    for span in spans(lower > ease * LEFT_FLOOR, shortest=ease * FLIGHT[0] * RATE):
        single = _flight(track, span, float(lower[span[0] : span[1]].max()), ease)
        if single is not None:
            flights.append(single)
    found: list[Jump] = []
    for jump in flights:
        last = found[-1] if found else None
        if last is not None and jump.start - last.end < SERIES_SECONDS and jump.feet == last.feet:
            way = jump.direction if jump.direction == last.direction else None
            height = jump.height if jump.height == last.height else None
            found[-1] = Jump(last.start, jump.end, last.count + 1, way, height, jump.feet)
        else:
            found.append(jump)
    return [jump for jump in found if jump.feet in ("both", None) or jump.count > 1]


def measure_kicks(track: BodyTrack, ease: float = 1.0) -> list[Kick]:
    """Fast swings of a straight leg while the body stands on the other."""
    found: list[Kick] = []
    for side, other in PAIRS:
        foot = track.own(f"{side}_ankle")
        rate = np.linalg.norm(np.gradient(foot, axis=0), axis=-1) * RATE
        for start, stop in _lifted(track, side, other, ease * KICK_HEIGHT[0]):
            around = slice(max(0, start - 6), stop)
            top = start + int(foot[start:stop, 1].argmax())
            straight = track.knee(side)[max(start, top - 3) : top + 4].min()
            if stop - start > 1.2 * RATE or rate[around].max() < ease * KICK_SPEED or straight > KICK_KNEE / ease:
                continue
            height = float(foot[top, 1])
            kind = "high" if height > KICK_HEIGHT[1] else None
            way = _leg_way(track, side, top)
            if way in ("forward", "sideways"):  # backward could be a running step
                found.append(Kick(seconds(around.start), seconds(stop), side, way, kind, 1))
    return _kick_series(sorted(found, key=lambda kick: kick.start))


def measure_knee_lifts(track: BodyTrack, kicks: list[Kick], ease: float = 1.0) -> list[KneeLift]:
    """Knees raised to hip height with the shin hanging and the body upright on the other leg."""
    found: list[KneeLift] = []
    for side, other in PAIRS:
        high = track.up(f"{side}_knee") - track.up(f"{side}_hip") > KNEE_LEVEL - (1 - ease) * KNEE_SLACK
        level = high & (track.knee(side) > ease * KNEE_BENT)
        there = level & _carried(track, other)
        for start, stop in spans(there, gap=3, shortest=0.12 * RATE):
            if not any(kick.start - 0.3 < seconds(stop) and seconds(start) < kick.end + 0.3 for kick in kicks):
                found.append(KneeLift(seconds(start), seconds(stop), side, 1))
    merged: list[KneeLift] = []
    for lift in sorted(found, key=lambda lift: lift.start):
        last = merged[-1] if merged else None
        if last is not None and lift.start - last.end < SERIES_SECONDS:
            side: Side = lift.side if lift.side == last.side else "both"
            merged[-1] = KneeLift(last.start, lift.end, side, last.count + 1)
        else:
            merged.append(lift)
    return merged


def measure_leg_raises(track: BodyTrack, kicks: list[Kick]) -> list[LegRaise]:
    """Straight legs that are lifted slowly and held for a moment."""
    found = []
    for side, other in PAIRS:
        foot = track.own(f"{side}_ankle")
        rate = np.linalg.norm(np.gradient(foot, axis=0), axis=-1) * RATE
        for start, stop in _lifted(track, side, other, LEG_RAISE[0]):
            top = start + int(foot[start:stop, 1].argmax())
            held = (foot[start:stop, 1] > foot[top, 1] - 0.1) & (track.knee(side)[start:stop] < LEG_RAISE[1])
            way = _leg_way(track, side, top)
            kicked = any(kick.start < seconds(stop) and seconds(start) < kick.end for kick in kicks)
            slow = rate[start:stop].max() < LEG_RAISE[3]
            if way is not None and not kicked and slow and held.sum() > LEG_RAISE[2] * RATE:
                found.append(LegRaise(seconds(start), seconds(stop), side, way))
    return found


def measure_lunges(track: BodyTrack) -> list[Lunge]:
    """Wide steps with the front knee bent; repetitions are one event."""
    apart = (track.own("left_ankle") - track.own("right_ankle"))[:, 2]
    low = (track.up("pelvis") < LUNGE[3]) & (track.tilt < 45) & (track.up("pelvis") > 0.35)
    both = (track.air("left") < 0.15) & (track.air("right") < 0.15)
    both = both & (track.up("left_wrist") > 0.3) & (track.up("right_wrist") > 0.3)  # excludes planks
    found: list[Lunge] = []
    for (side, other), sign in zip(PAIRS, (1.0, -1.0), strict=True):
        bent = (track.knee(side) > LUNGE[1]) & (track.knee(side) - track.knee(other) > LUNGE[2])
        there: Mask = low & both & bent & (sign * apart > LUNGE[0]) & (track.up(f"{side}_knee") > 0.3)
        for start, stop in spans(there, gap=4, shortest=LUNGE_SECONDS * RATE):
            found.append(Lunge(seconds(start), seconds(stop), side, 1))
    merged: list[Lunge] = []
    for lunge in sorted(found, key=lambda lunge: lunge.start):
        last = merged[-1] if merged else None
        if last is not None and lunge.start - last.end < 2 * SERIES_SECONDS:
            side: Side = lunge.side if lunge.side == last.side else "both"
            merged[-1] = Lunge(last.start, lunge.end, side, last.count + 1)
        else:
            merged.append(lunge)
    return merged


def measure_balances(track: BodyTrack) -> list[Balance]:
    """Periods on one foot that does not move, the other in the air."""
    found = []
    for side, other in PAIRS:
        alone = (track.air(side) < PLANTED) & (track.air(other) - track.air(side) > BALANCE[0])
        alone = alone & (track.tilt < 60) & (track.up("pelvis") > 0.65)
        for start, stop in spans(alone, gap=3, shortest=BALANCE[2] * RATE):
            foot = track.joint(f"{side}_ankle")[start:stop]
            if np.linalg.norm(foot - foot.mean(0), axis=-1).max() < BALANCE[1]:
                found.append(Balance(seconds(start), seconds(stop), side))
    return sorted(found, key=lambda balance: balance.start)


def _flight(track: BodyTrack, span: Span, peak: float, ease: float) -> Jump | None:
    start, stop = span
    if start < 3 or stop > len(track) - 3 or stop - start > FLIGHT[1] * RATE or peak < ease * FLIGHT_HEIGHT:
        return None
    rise = np.gradient(track.joint("pelvis")[:, 1]) * RATE
    fall = (rise[start] - rise[stop - 1]) * RATE / (stop - 1 - start)
    if not ease * FALL[0] < fall < FALL[1] / ease or rise[start] < 0.3 * ease or rise[stop - 1] > -0.3 * ease:
        return None
    leave, land = max(0, start - 4), min(len(track) - 1, stop + 3)
    lowest = track.local[start:stop, :, 1].min()
    if lowest < CLEAR or track.tilt[leave : land + 1].max() > JUMP_TILT:
        return None
    feet = _feet(track, leave, land, min(BOTH_FEET / ease, HOP_FOOT))
    if feet == "none":
        return None
    if feet is None and stop - start < LEAP_SECONDS * RATE:
        return None
    path = track.joint("pelvis")[land, [0, 2]] - track.joint("pelvis")[leave, [0, 2]]
    gain = float(track.up("pelvis")[start:stop].max()) - STANDING_PELVIS
    height: Literal["low", "high"] | None
    height = "low" if gain < JUMP_HEIGHT[0] else "high" if gain > JUMP_HEIGHT[1] else None
    return Jump(seconds(start), seconds(stop), 1, _jump_way(track, leave, path), height, feet)  # type: ignore[arg-type]


def _feet(track: BodyTrack, leave: int, land: int, low: float) -> str | None:
    """Which feet jump: both, only the left or right, None for one to the other, "none" if it is unclear."""
    air = {side: track.air(side) for side in ("left", "right")}
    off = {side: float(air[side][leave]) for side in air}
    on = {side: float(air[side][land]) for side in air}
    if max(*off.values(), *on.values()) < low:
        return "both"
    for side, other in PAIRS:
        if off[side] < low and on[side] < low and air[other][leave : land + 1].min() > HOP_FOOT:
            return side
        if off[side] < low <= HOP_FOOT < off[other] and on[other] < low <= HOP_FOOT < on[side]:
            return None
    return "none"


def _jump_way(track: BodyTrack, leave: int, path: np.ndarray) -> str | None:
    far = float(np.linalg.norm(path))
    if far < ON_SPOT[0]:
        return "up"
    if far < ON_SPOT[1]:
        return None
    angle = math.degrees(math.atan2(path[0], path[1]) - track.heading[leave])
    ways = {"forward": 0, "left": 90, "backward": 180, "right": -90}
    return next((way for way, middle in ways.items() if abs((angle - middle + 180) % 360 - 180) < 32), None)


def _carried(track: BodyTrack, side: str) -> Mask:
    """Frames in which the body stands upright on the nearly straight leg of `side`."""
    upright = (track.tilt < 35) & (track.up("pelvis") > 0.78)
    return upright & (track.air(side) < PLANTED) & (track.knee(side) < 40)


def _lifted(track: BodyTrack, side: str, other: str, height: float) -> list[Span]:
    standing = (track.air(other) < PLANTED + 0.04) & (track.up("pelvis") > 0.72)
    return spans((track.up(f"{side}_ankle") > height) & standing, gap=2, shortest=3)


def _leg_way(track: BodyTrack, side: str, frame: int) -> Literal["forward", "sideways", "backward"] | None:
    leg = (track.own(f"{side}_ankle") - track.own(f"{side}_hip"))[frame]
    out = leg[0] if side == "left" else -leg[0]
    angle = math.degrees(math.atan2(out, leg[2]))  # 0 in front, 90 outward, 180 behind
    if abs(angle) < 32:
        return "forward"
    if 58 < angle < 115:
        return "sideways"
    return "backward" if abs(angle) > 145 else None


def _kick_series(kicks: list[Kick]) -> list[Kick]:
    merged: list[Kick] = []
    for kick in kicks:
        last = merged[-1] if merged else None
        if last is not None and kick.start - last.end < SERIES_SECONDS:
            side: Side = kick.side if kick.side == last.side else "both"
            way = kick.direction if kick.direction == last.direction else None
            height = kick.height if kick.height == last.height else None
            merged[-1] = Kick(last.start, kick.end, side, way, height, last.count + 1)
        else:
            merged.append(kick)
    return merged
