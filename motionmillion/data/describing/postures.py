"""Postures, their changes, squats and bends of the upper body.

    timeline = posture_timeline(track)          # [(posture, (start, stop)), ...] in frames
    changes = measure_changes(timeline)

A frame whose posture is between two postures has none. Shapes: T frames.
"""

import numpy as np

from motionmillion.data.describing.facts import Bend, Posture, PostureChange, Squat
from motionmillion.data.describing.timeline import Array, Mask, Span, smooth, spans, turning_points
from motionmillion.data.describing.track import RATE, BodyTrack, seconds, speed

Timeline = list[tuple[Posture, Span]]

SHORTEST: dict[Posture, float] = {
    "standing": 0.3,
    "crouching": 0.4,
    "sitting": 1.0,
    "sitting on the floor": 0.6,
    "on one knee": 1.0,
}
"""Minimum seconds of a posture, 0.5 for others; so that ducking or lunging is not taken for sitting or kneeling."""
MOSTLY = 0.6
"""Minimum share of the time of a posture that is held for most of it."""
BRIEF = 0.1
"""Minimum seconds of standing at the beginning or end of a motion, which the body did before or goes on doing."""
STANDING = (0.79, 32.0)
"""Minimum height of the pelvis (about 0.9 m in relaxed standing) and maximum tilt of the trunk, degrees."""
STOOPING = 50.0
"""Maximum tilt of a body that stands at the beginning or end and is on its way down or up, degrees."""
LYING = (0.48, 65.0, 0.55, 0.36)
"""Maximum height of the pelvis, minimum tilt of the trunk in degrees, maximum height of the neck, and that maximum for
bodies that face down, because those with a higher neck support themselves on their hands."""
ALL_FOURS = (0.35, 0.66, 0.5, 0.9)
"""Ranges of the height of the pelvis and of the neck of a body on hands and knees."""
FACING = 0.75
"""Cosine between the vertical and the chest (or shoulder line) of a body that lies on its back, front or side."""
ON_FLOOR = 0.19
"""Maximum height of a knee or wrist that touches the floor; the joints are about 0.1 inside the body."""
KNEELING = (0.27, 40.0)
"""Minimum height of the pelvis (sitting on the heels) and maximum tilt of the trunk, degrees."""
FLOOR_SEAT = (0.21, 50.0)
"""Sitting on the floor: maximum height of the pelvis and maximum tilt of the trunk, degrees."""
CHAIR = (0.33, 0.72, 40.0)
"""Sitting on a seat: range of the pelvis height and maximum tilt of the trunk, degrees."""
THIGH_LEVEL = 0.2
"""Maximum distance of a seated leg's knee below the hip, metres; the thigh is 0.38 long."""
UNBALANCED = 0.12
"""Minimum distance of the trunk's middle behind the heels when seated, metres: without a seat the body would fall."""
CROUCHING = (0.62, 75.0, 60.0)
"""Maximum height of the pelvis, minimum bend of the knees and maximum tilt of the trunk, degrees."""
SQUAT = (0.2, 0.5, 0.6)
"""Minimum descent of the pelvis, metres, and heights below which a squat is deep and above which it is not."""
SQUAT_FEET = 0.5
"""Maximum distance between the feet, front to back, metres; beyond it the squat is a lunge."""
SQUAT_SECONDS = 4.0
"""Maximum time below, seconds; longer is a crouch."""
BEND = (52.0, 28.0)
"""Minimum forward pitch of the trunk in a bend, and maximum before and after, degrees."""
BEND_PELVIS = 0.66
"""Minimum height of the pelvis in a bend."""
SIDE_BEND = (24.0, 12.0, 22.0)
"""Minimum lean to the side, its maximum before and after, and maximum pitch forward or back meanwhile, degrees."""
BEND_SPEED = 0.5
"""Maximum speed of the pelvis, metres per second; runners lean and jumpers swing down at higher speeds."""


def posture_timeline(track: BodyTrack) -> Timeline:
    """Postures that are held long enough to count, in order."""
    found: Timeline = []
    for posture, mask in _masks(track).items():
        for span in spans(mask, gap=0.3 * RATE, shortest=SHORTEST.get(posture, 0.5) * RATE):
            found.append((posture, span))
    # what comes before the first posture or after the last may be the end of standing, cut by the motion's edge
    upright = (track.up("pelvis") > STANDING[0]) & (track.tilt < STOOPING)
    for start, stop in spans(upright, shortest=BRIEF * RATE):
        others = [span for _, span in found if span[0] < stop and start < span[1]]
        if not others and (start == 0 or stop == len(track)):
            found.append(("standing", (start, stop)))
    return sorted(found, key=lambda entry: entry[1])


def posture_at(timeline: Timeline, frames: int, end: bool) -> Posture | None:
    """Posture of the first or last half second; None where it is unclear."""
    edge = frames - 1 - RATE // 6 if end else RATE // 6
    outer = frames - 1 if end else 0
    near: list[Posture] = [p for p, (a, b) in timeline if a <= edge < b and (b >= outer - 2 if end else a <= 2)]
    return near[0] if len(near) == 1 else None


def mostly(timeline: Timeline, frames: int) -> Posture | None:
    """Posture that is held for most of the time, if there is one."""
    held: dict[Posture, int] = {}
    for posture, (start, stop) in timeline:
        held[posture] = held.get(posture, 0) + stop - start
    longest = max(held, key=lambda posture: held[posture], default=None)
    return longest if longest is not None and held[longest] >= MOSTLY * frames else None


def facing_at(track: BodyTrack, end: bool) -> str | None:
    """The side that a lying body rests on in its first or last frame."""
    frame = -1 if end else 0
    chest, across = track.chest[frame, 1], track.across[frame, 1]
    if abs(chest) > FACING:
        return "back" if chest > 0 else "front"
    if abs(across) > FACING:
        return "right side" if across > 0 else "left side"
    return None


def measure_changes(timeline: Timeline) -> list[PostureChange]:
    """Changes from one held posture to another; down and up again from standing is left to `measure_squats`."""
    found = []
    for (before, (_, stop)), (after, (start, _)) in zip(timeline, timeline[1:], strict=False):
        if before != after and start - stop < 4 * RATE:
            found.append(PostureChange(seconds(max(stop - 1, 0)), seconds(max(start, stop)), before, after))
    return found


def measure_squats(track: BodyTrack, timeline: Timeline) -> list[Squat]:
    """Dips on both feet from standing to standing; repetitions are one event."""
    height = smooth(track.up("pelvis"), 2)
    points = turning_points(height, SQUAT[0])
    taken = np.zeros(len(track), dtype=bool)
    for posture, (start, stop) in timeline:
        taken[start:stop] |= posture not in ("standing", "crouching")
    dips = []
    for first, low, last in zip(points, points[1:], points[2:], strict=False):
        if height[low] < height[first] and _is_squat(track, taken, height, (first, low, last)):
            dips.append((first, low, last))
    found: list[Squat] = []
    for group in _groups(dips):
        deep = {d for d in (_depth(height[low]) for _, low, _ in group)}
        kind = deep.pop() if len(deep) == 1 else None
        found.append(Squat(seconds(group[0][0]), seconds(group[-1][2]), len(group), kind))
    return found


def measure_bends(track: BodyTrack) -> list[Bend]:
    """Bends of the trunk forward or to a side; repetitions are one event."""
    slow = speed(smooth(track.joint("pelvis")[:, [0, 2]], 5)) < BEND_SPEED
    forward = (track.pitch > BEND[0]) & (track.up("pelvis") > BEND_PELVIS) & (np.abs(track.lean) < 45) & slow
    found = _bends(spans(forward, gap=0.3 * RATE, shortest=0.2 * RATE), track.pitch, BEND[1], "forward")
    fit = (np.abs(track.pitch) < SIDE_BEND[2]) & (track.up("pelvis") > STANDING[0]) & slow
    for side, lean in (("left", track.lean), ("right", -track.lean)):
        there = spans(fit & (lean > SIDE_BEND[0]), gap=0.3 * RATE, shortest=0.25 * RATE)
        found += _bends(there, lean, SIDE_BEND[1], side)
    return found


def _masks(track: BodyTrack) -> dict[Posture, Mask]:
    """Frames `[T]` in which each posture is held, by the thresholds above."""
    height, tilt = track.up("pelvis"), track.tilt
    knees = np.stack([track.up(f"{side}_knee") for side in ("left", "right")])
    wrists = np.stack([track.up(f"{side}_wrist") for side in ("left", "right")])
    bends = np.stack([track.knee(side) for side in ("left", "right")])
    behind = np.stack([track.own(f"{s}_knee")[:, 2] - track.own(f"{s}_ankle")[:, 2] for s in ("left", "right")])
    ankles = np.stack([track.up(f"{side}_ankle") for side in ("left", "right")])
    heels = np.stack([track.own(f"{side}_ankle")[:, 2] for side in ("left", "right")])
    middle = (track.own("pelvis") + track.own("spine3"))[:, 2] / 2
    on_knees = (knees < ON_FLOOR).all(0)
    seat = np.stack([track.up(f"{s}_hip") - track.up(f"{s}_knee") for s in ("left", "right")])
    kneeling = on_knees & (height > KNEELING[0]) & (tilt < KNEELING[1]) & (behind > 0.15).all(0) & (bends > 65).all(0)
    neck = track.up("neck")
    lying = (height < LYING[0]) & (tilt > LYING[1]) & (neck < np.where(track.chest[:, 1] < 0, LYING[3], LYING[2]))
    all_fours = (
        *((height > ALL_FOURS[0]), (height < ALL_FOURS[1]), (neck > ALL_FOURS[2]), (neck < ALL_FOURS[3])),
        *((knees < 0.25).all(0), (bends > 65).all(0), (wrists.min(0) < 0.24), (wrists.max(0) < 0.36)),
        *((tilt > 48), (track.chest[:, 1] < -0.6)),
    )
    one_knee = (knees.min(0) < ON_FLOOR) & (knees.max(0) > 0.35) & (ankles < 0.25).all(0) & (bends > 70).all(0)
    one_knee = one_knee & (height > KNEELING[0]) & (height < 0.62) & (tilt < KNEELING[1])
    on_seat = (
        *((height > CHAIR[0]), (height < CHAIR[1]), (tilt < CHAIR[2]), (seat < THIGH_LEVEL).all(0)),
        *((heels.min(0) - middle > UNBALANCED), (ankles < 0.3).all(0), (knees > 0.3).all(0)),
    )
    crouching = (
        *((height < CROUCHING[0]), (height > FLOOR_SEAT[0] + 0.04), (tilt < CROUCHING[2])),
        *((bends > CROUCHING[1]).all(0), (knees > ON_FLOOR + 0.08).all(0), (ankles < 0.25).all(0)),
        heels.min(0) - middle < UNBALANCED - 0.07,
    )
    floor_seat = (height < FLOOR_SEAT[0]) & (tilt < FLOOR_SEAT[1]) & ~(behind > 0.1).all(0)
    return {
        "standing": (height > STANDING[0]) & (tilt < STANDING[1]),
        "sitting": np.logical_and.reduce(on_seat),
        "sitting on the floor": floor_seat,
        "kneeling": kneeling,
        "crouching": np.logical_and.reduce(crouching),
        "on one knee": one_knee,
        "on hands and knees": np.logical_and.reduce(all_fours),
        "lying": lying,
    }


def _is_squat(track: BodyTrack, taken: Mask, height: Array, dip: tuple[int, int, int]) -> bool:
    first, low, last = dip
    apart = abs(float((track.own("left_foot") - track.own("right_foot"))[low, 2]))
    planted = max(float(track.air(side)[first : last + 1].max()) for side in ("left", "right")) < 0.15
    bent = min(float(track.knee(side)[low]) for side in ("left", "right")) > 50
    stands = min(height[first], height[last]) > STANDING[0] and track.tilt[low] < 55
    short = last - first < SQUAT_SECONDS * RATE
    return bool(stands and planted and bent and short and apart < SQUAT_FEET and not taken[first:last].any())


def _depth(height: float) -> bool | None:
    return True if height < SQUAT[1] else False if height > SQUAT[2] else None


def _groups(dips: list[tuple[int, int, int]]) -> list[list[tuple[int, int, int]]]:
    groups: list[list[tuple[int, int, int]]] = []
    for dip in dips:
        if groups and dip[1] - groups[-1][-1][1] < SQUAT_SECONDS * RATE:
            groups[-1].append(dip)
        else:
            groups.append([dip])
    return groups


def _bends(there: list[Span], angle: Array, upright: float, direction: str) -> list[Bend]:
    found: list[Bend] = []
    for start, stop in there:
        before, after = angle[:start] < upright, angle[stop:] < upright
        if not before.any() and direction != "forward":
            continue
        begin = int(np.flatnonzero(before)[-1]) if before.any() else 0
        end = stop + int(np.flatnonzero(after)[0]) if after.any() else len(angle) - 1
        if (
            found
            and found[-1].straightens
            and seconds(begin) - found[-1].end < 2
            and begin >= found[-1].end * RATE - 1
        ):
            found[-1] = Bend(
                *(found[-1].start, seconds(end), found[-1].direction, bool(after.any())),
                *(found[-1].count + 1, found[-1].begun),
            )
        elif not found or seconds(begin) >= found[-1].end:
            straightens, begun = bool(after.any()), bool(before.any())
            found.append(Bend(seconds(begin), seconds(end), direction, straightens, 1, begun))  # type: ignore[arg-type]
    return found
