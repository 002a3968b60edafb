"""Actions of the hands: raised, waving, punching, clapping, stretched out sideways, on the hips.

A side is named only if the other hand clearly does something else. Heights are those of the wrists relative to
shoulders and head. Shapes: T frames.
"""

import numpy as np

from motionmillion.data.describing.facts import PAIRS, ArmsOut, Clap, HandRaise, HandsOnHips, Level, Punch, Side, Wave
from motionmillion.data.describing.timeline import Array, Mask, Span, smooth, spans, turning_points
from motionmillion.data.describing.track import RATE, BodyTrack, seconds, speed

UPRIGHT = 35.0
"""Maximum tilt of the trunk for which heights of hands are meaningful, degrees."""
RAISED = 0.03
"""Minimum height of a raised hand's wrist above the shoulders, metres."""
DOWN = -0.2
"""Maximum height of a lowered hand's wrist relative to the shoulders, metres."""
LATER_SECONDS = 0.4
"""Minimum seconds between two hands that go up one after the other."""
RAISED_SECONDS = 0.35
"""Minimum seconds of a raised hand; swinging arms pass by faster."""
LEVELS: dict[Level, tuple[float, float]] = {"shoulder": (0.03, 0.09), "head": (0.14, 0.3), "above the head": (0.4, 9)}
"""Peak height of the wrist above the shoulders; the head joint is at about 0.17, the crown at 0.35."""
CHEST = (-0.22, -0.05, -0.33)
"""Range of a wrist's height at the chest relative to the shoulders, and maximum height of a hanging hand."""
CHEST_SECONDS = 0.6
WAVE_SWING = 0.09
"""Minimum side-to-side motion of a waving wrist relative to its elbow, metres."""
WAVE_PERIOD = (0.25, 1.3)
"""Range of a wave's period, seconds."""
WAVE_ELBOW = (0.6, 0.2)
"""Maximum motion of the elbow, as a fraction of the wrist's and in metres; beyond it the whole arm swings."""
WAVE_ASIDE = 0.12
"""Minimum distance of the wrist to the side of the head; a guarding fist, or a hand at the face, is nearer."""
WAVE_SLACK = 0.25
"""How much lower a hand may be without any ease, metres; with an ease of 0.6 it is four tenths of that."""
WAVE_MOVES = 4
"""Minimum number of moves to a side; fewer are a gesture."""
PUNCH_SPEED = 2.6
"""Minimum forward speed in the body's frame, metres per second; reaching out has up to 2."""
PUNCH_REACH = (0.78, 0.88)
"""Distance from shoulder to wrist in arm lengths: maximum before, minimum at the end."""
PUNCH_SLACK = 0.25
"""How much shorter reaches are that are hardly punches, in arm lengths."""
PUNCH_STANCE = 1.0
"""Maximum speed of the pelvis, metres per second; in a sprint the arms swing as fast as punches."""
PUNCH_HEIGHT = (-0.3, 0.2)
"""Range of the wrist's height above the shoulder at the end."""
CLAP_DISTANCE = 0.11
"""Maximum distance between the wrists when the palms meet, metres."""
CLAP_SWING = (0.09, 0.6)
"""Minimum and maximum separation of the wrists in between, metres."""
CLAPS = 4
"""Minimum number of claps; fewer may be chance."""
CLAP_PERIOD = (0.15, 0.75)
OUT_REACH = 0.9
"""Minimum distance from shoulder to wrist of a straight arm, in arm lengths."""
OUT_SECONDS = 0.5
HIPS_DISTANCE = 0.24
"""Maximum distance from wrist to hip joint of a hand on the hip, metres."""
HIPS_SECONDS = 0.9
HIPS_WIDTH = 0.13
"""Minimum sideways distance of the wrist from the body's middle; hands in front of or behind the body are nearer."""

SIDES = (("left", 1.0), ("right", -1.0))


def measure_raises(track: BodyTrack) -> list[HandRaise]:
    """Hands that go up and stay there for a moment."""
    upright = track.tilt < UPRIGHT
    high = {side: _above(track, side) for side, _ in SIDES}
    up = {side: (high[side] > RAISED) & upright for side, _ in SIDES}
    found: list[HandRaise] = []
    both = spans(up["left"] & up["right"], gap=0.2 * RATE, shortest=RAISED_SECONDS * RATE)
    for span in both:
        level_sides = {_level(high[side], span) for side, _ in SIDES}
        found.append(_raise("both", span, np.minimum(high["left"], high["right"]), level_sides))
    for side, other in PAIRS:
        for start, stop in spans(up[side], gap=0.2 * RATE, shortest=RAISED_SECONDS * RATE):
            if (high[other][start:stop] < DOWN).mean() > 0.9 and high[other][start:stop].max() < RAISED - 0.08:
                found.append(_raise(side, (start, stop), high[side], {_level(high[side], (start, stop))}))
        chest = (
            (high[side] > CHEST[0])
            & (high[side] < CHEST[1])
            & (high[other] < CHEST[2])
            & upright
            & _front(track, side)
        )
        for start, stop in spans(chest, gap=0.15 * RATE, shortest=CHEST_SECONDS * RATE):
            around = high[side][max(0, start - RATE) : stop + RATE].max() < RAISED - 0.05
            if around and (high[side][:start] < CHEST[2]).any():
                found.append(_raise(side, (start, stop), high[side], {"chest"}, CHEST[2]))
    return sorted(found, key=lambda event: event.start)


def measure_later_raises(track: BodyTrack) -> list[HandRaise]:
    """Single hands that go up while the other one is up already, which are no clear raises of one hand."""
    upright = track.tilt < UPRIGHT
    high = {side: _above(track, side) for side, _ in SIDES}
    found: list[HandRaise] = []
    for side, other in PAIRS:
        for start, stop in spans((high[side] > RAISED) & upright, gap=0.2 * RATE, shortest=RAISED_SECONDS * RATE):
            before = max(0, start - round(LATER_SECONDS * RATE))
            if (high[other][before : start + 1] > RAISED).all():
                found.append(_raise(side, (start, stop), high[side], {_level(high[side], (start, stop))}))
    return found


def measure_waves(track: BodyTrack, ease: float = 1.0) -> list[Wave]:
    """Raised hands that move from side to side next to the head or body.

    Args:
        ease: fraction of a clear wave's swing and height that is enough; below 1 the other hand may do anything.
    """
    found: dict[str, list[tuple[Span, int]]] = {"left": [], "right": []}
    for side, sign in SIDES:
        wrist, elbow, shoulder = (track.own(f"{side}_{part}") for part in ("wrist", "elbow", "shoulder"))
        ready = (
            (sign * (wrist - track.own("head"))[:, 0] > ease * WAVE_ASIDE)
            & (_above(track, side) > -0.05 - (1 - ease) * WAVE_SLACK)
            & (wrist[:, 1] > elbow[:, 1] + ease * 0.13)
            & (track.tilt < UPRIGHT)
        )
        for start, stop in spans(ready, gap=0.1 * RATE, shortest=0.6 * RATE):
            swing = (wrist - elbow)[start:stop, 0]
            points = turning_points(swing, ease * WAVE_SWING)
            for first, last in _steady(points, (WAVE_PERIOD[0], WAVE_PERIOD[1] / ease), ease * WAVE_MOVES):
                part = slice(start + points[first], start + points[last] + 1)
                carried = float(np.ptp((elbow - shoulder)[part, 0]))
                wide, deep = (float(np.ptp((wrist - shoulder)[part, axis])) for axis in (0, 2))
                if carried < min(WAVE_ELBOW[0] * wide, WAVE_ELBOW[1]) / ease and wide > ease * 0.9 * deep:
                    found[side].append(((part.start, part.stop), (last - first + 1) // 2))
    waves = _waves(found)
    other = {"left": "right", "right": "left"}
    return [w for w in waves if ease < 1 or w.side == "both" or _idle(track, other[w.side], w)]


def measure_punches(track: BodyTrack, ease: float = 1.0) -> list[Punch]:
    """Fast straight extensions forward, counted as one series if they follow each other within 2 s.

    Side and count are None if slower or less straight extensions nearby might be punches, too.

    Args:
        ease: fraction of a clear punch's speed that is enough; below 1 reaches may be shorter, too.
    """
    if ease < 1:
        unclear = _extensions(track, ease, (1 - ease) * PUNCH_SLACK)
        return _punches(unclear, unclear)
    return _punches(_extensions(track, 1.0, 0.0), _extensions(track, 0.7, 0.08))


def _extensions(track: BodyTrack, share: float, slack: float) -> list[tuple[int, str]]:
    """Frames and sides of extensions with the fraction `share` of a punch's speed and `slack` less reach."""
    hits: list[tuple[int, str]] = []
    pelvis = speed(smooth(track.joint("pelvis")[:, [0, 2]], 5))
    for side, _ in SIDES:
        wrist, shoulder = track.own(f"{side}_wrist"), track.own(f"{side}_shoulder")
        reach = np.linalg.norm(wrist - shoulder, axis=-1) / _arm(track, side)
        ahead = (wrist - shoulder)[:, 2]
        rate = np.gradient(ahead) * RATE
        for start, stop in spans(rate > 0.5 * share * PUNCH_SPEED):
            if rate[start:stop].max() < share * PUNCH_SPEED:
                continue
            end = min(len(track) - 1, stop + 2)
            before, after = reach[max(0, start - 4) : start + 1].min(), reach[start : end + 3].max()
            drawn = reach[end : end + RATE // 2]
            height = (wrist - shoulder)[end, 1]
            if track.tilt[end] > UPRIGHT or pelvis[end] > PUNCH_STANCE:
                continue
            straight = ahead[end] > 0.75 * np.linalg.norm((wrist - shoulder)[end])
            if (
                *(before < PUNCH_REACH[0] + slack, after > PUNCH_REACH[1] - slack, straight or slack > 0),
                *(len(drawn) > 0 and drawn.min() < PUNCH_REACH[1] - 0.05, height < PUNCH_HEIGHT[1] + slack),
                *(height > PUNCH_HEIGHT[0] - slack, _above(track, side)[max(0, start - 3)] > -0.42 - slack),
            ) == (True,) * 7:
                hits.append((end, side))
    return sorted(hits)


def measure_claps(track: BodyTrack, ease: float = 1.0) -> list[Clap]:
    """The palms meet repeatedly in front of the body.

    Args:
        ease: below 1 palms may stay further apart, and meet less often.
    """
    apart = np.linalg.norm(track.own("left_wrist") - track.own("right_wrist"), axis=-1)
    points = turning_points(apart, ease * CLAP_SWING[0])
    ready = _front(track, "left") & _front(track, "right") & (np.abs(_above(track, "left") + 0.2) < 0.35)
    meets = [point for point in points if apart[point] < CLAP_DISTANCE / ease and ready[point]]
    found: list[Clap] = []
    group: list[int] = []
    for point in [*meets, 10**9]:
        if group and not CLAP_PERIOD[0] * RATE <= point - group[-1] <= CLAP_PERIOD[1] * RATE:
            wide = apart[group[0] : group[-1] + 1].max() < CLAP_SWING[1]
            if len(group) >= ease * CLAPS and wide and _both_move(track, (group[0], group[-1] + 1)):
                found.append(Clap(seconds(group[0]), seconds(group[-1]), len(group)))
            group = []
        group.append(point)
    return found


def measure_arms_out(track: BodyTrack) -> list[ArmsOut]:
    """Both arms stretched out to the sides at shoulder height."""
    out = track.tilt < UPRIGHT
    for side, sign in SIDES:
        arm = track.own(f"{side}_wrist") - track.own(f"{side}_shoulder")
        length = np.linalg.norm(arm, axis=-1)
        out = out & (length > OUT_REACH * _arm(track, side)) & (np.abs(arm[:, 1]) < 0.3 * length)
        out = out & (sign * arm[:, 0] > 0.88 * length)
    return [ArmsOut(seconds(a), seconds(b)) for a, b in spans(out, gap=0.2 * RATE, shortest=OUT_SECONDS * RATE)]


def measure_hands_on_hips(track: BodyTrack) -> list[HandsOnHips]:
    """Both hands on the hips with the elbows out."""
    there: Mask = (track.tilt < 25) & (track.up("pelvis") > 0.8)
    for side, sign in SIDES:
        wrist, elbow, hip = (track.own(f"{side}_{part}") for part in ("wrist", "elbow", "hip"))
        there = there & (np.linalg.norm(wrist - hip, axis=-1) < HIPS_DISTANCE) & (track.elbow(side) > 50)
        there = there & (sign * (elbow - wrist)[:, 0] > 0.06) & (wrist[:, 1] > hip[:, 1] - 0.03)
        there = there & (sign * wrist[:, 0] > HIPS_WIDTH) & (np.abs(wrist[:, 2]) < 0.16)
    found = spans(there, gap=0.2 * RATE, shortest=HIPS_SECONDS * RATE)
    return [HandsOnHips(seconds(start), seconds(stop)) for start, stop in found]


def _above(track: BodyTrack, side: str) -> Array:
    """Height of a wrist above the line of the shoulders `[T]`."""
    return track.up(f"{side}_wrist") - (track.up("left_shoulder") + track.up("right_shoulder")) / 2


def _idle(track: BodyTrack, side: str, event: Wave) -> bool:
    """Whether a hand stays down during an event."""
    span = slice(round(event.start * RATE), round(event.end * RATE) + 1)
    return float(_above(track, side)[span].max()) < DOWN + 0.1


def _front(track: BodyTrack, side: str) -> Mask:
    return (track.own(f"{side}_wrist") - track.own("spine3"))[:, 2] > 0.12


def _arm(track: BodyTrack, side: str) -> float:
    upper = track.joint(f"{side}_elbow") - track.joint(f"{side}_shoulder")
    lower = track.joint(f"{side}_wrist") - track.joint(f"{side}_elbow")
    lengths = np.linalg.norm(upper, axis=-1) + np.linalg.norm(lower, axis=-1)
    return float(np.median(lengths)) / track.size


def _both_move(track: BodyTrack, span: Span) -> bool:
    """Whether both hands move in a clap; in a handshake only one does."""
    swings = [float(np.ptp(track.own(f"{side}_wrist")[slice(*span), 0])) for side, _ in SIDES]
    return min(swings) > 0.03


def _level(height: Array, span: Span) -> Level | None:
    top = float(np.quantile(height[span[0] : span[1]], 0.85))
    return next((name for name, (low, high) in LEVELS.items() if low <= top <= high), None)


def _raise(side: Side, span: Span, height: Array, levels: set, down: float = DOWN) -> HandRaise:
    start, stop = span
    level = levels.pop() if len(levels) == 1 else None
    begun, lowered = bool((height[:start] < down).any()), bool((height[stop:] < down).any())
    return HandRaise(seconds(start), seconds(stop), side, level, begun, lowered)


def _steady(points: list[int], period: tuple[float, float], moves: float) -> list[tuple[int, int]]:
    """Runs of at least `moves` turning points spaced by half of `period` each, as first and last index."""
    gaps = np.diff(points) if len(points) > 1 else np.zeros(0)
    good = (gaps >= period[0] / 2 * RATE) & (gaps <= period[1] / 2 * RATE)
    return [(start, stop) for start, stop in spans(good, shortest=moves)]


def _waves(found: dict[str, list[tuple[Span, int]]]) -> list[Wave]:
    waves = []
    paired = set()
    for span, count in found["left"]:
        match = next((other for other in found["right"] if _overlap(span, other[0]) > 0.5), None)
        if match:
            paired.add(match[0])
            waves.append(Wave(seconds(min(span[0], match[0][0])), seconds(max(span[1], match[0][1])), "both", count))
        else:
            waves.append(Wave(seconds(span[0]), seconds(span[1]), "left", count))
    waves += [Wave(seconds(s[0]), seconds(s[1]), "right", n) for s, n in found["right"] if s not in paired]
    return sorted(waves, key=lambda wave: wave.start)


def _overlap(one: Span, two: Span) -> float:
    common = min(one[1], two[1]) - max(one[0], two[0])
    return common / min(one[1] - one[0], two[1] - two[0])


def _punches(hits: list[tuple[int, str]], nearly: list[tuple[int, str]]) -> list[Punch]:
    groups: list[list[tuple[int, str]]] = []
    for hit in hits:
        if groups and hit[0] - groups[-1][-1][0] < 2 * RATE:
            groups[-1].append(hit)
        else:
            groups.append([hit])
    found = []
    for group in groups:
        around = [hit for hit in nearly if group[0][0] - 2 * RATE < hit[0] < group[-1][0] + 2 * RATE]
        sides = {side for _, side in group}
        side: Side = "both" if len(sides) == 2 else "left" if sides == {"left"} else "right"
        sure = {side for _, side in around} <= sides
        count = len(group) if len(around) <= len(group) else None
        found.append(Punch(seconds(max(0, group[0][0] - 8)), seconds(group[-1][0]), side if sure else None, count))
    return found
