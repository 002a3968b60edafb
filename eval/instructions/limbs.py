"""Rules for arms and legs: raise, wave, punch, clap, kick, lift the knee, stand on one leg, hop, jump.

A side is `left` or `right`; a rule with a side fails if the other side does about the same.
"""

import numpy as np

from motionmillion.eval.instructions.tracks import FPS, BodyTracks, longest, rate, reversals, smooth, spans

OTHER = {"left": "right", "right": "left"}


def hand_up(body: BodyTracks, side: str) -> np.ndarray:
    """Frames `[N]` with the wrist at or above shoulder height and the trunk not bent over."""
    return (body.height(f"{side}_wrist") > body.height(f"{side}_shoulder") - 0.05) & (body.upright > 0.6)


def raise_hand(body: BodyTracks, side: str) -> bool:
    """One hand at shoulder height for 0.3 s, the other for at most a third of that time."""
    own, other = hand_up(body, side), hand_up(body, OTHER[side])
    return longest(own) >= 0.3 and other.sum() <= own.sum() / 3


def raise_both(body: BodyTracks) -> bool:
    """Both hands at shoulder height for 0.3 s, one of them above the base of the head."""
    both = hand_up(body, "left") & hand_up(body, "right")
    high = np.maximum(body.height("left_wrist"), body.height("right_wrist")) - body.height("neck")
    return longest(both) >= 0.3 and bool(high[both].max() > 0)


def swings(body: BodyTracks, side: str) -> int:
    """Number of swings of a raised hand from one end to the other, by 5 cm or more; raising it does not count."""
    wrist, elbow = f"{side}_wrist", f"{side}_elbow"
    chest = body.height("spine3")
    raised = (body.height(wrist) > chest) & (body.height(wrist) > body.height(elbow)) & (body.upright > 0.6)
    best = 0
    rest = round(0.2 * FPS)
    for start, stop in spans(raised, 0.7):
        start, stop = start + rest * (start > 0), stop - rest * (stop < len(body))
        track = (body.own(wrist) - body.own(f"{side}_shoulder"))[start:stop]
        track = track - smooth(track, 1.0)
        axis = np.linalg.svd(track - track.mean(0), full_matrices=False)[2][0]
        best = max(best, reversals(track @ axis, 0.05))
    return best


def wave(body: BodyTracks, side: str) -> bool:
    """A raised hand makes at least three swings, and the other hand less than half as many."""
    own, other = swings(body, side), swings(body, OTHER[side])
    return own >= 3 and other < own / 2


def punches(body: BodyTracks, side: str) -> int:
    """Number of times that a fist shoots forward to a nearly straight arm, between hip and head height."""
    arm = body.own(f"{side}_wrist") - body.own(f"{side}_shoulder")
    length = np.linalg.norm(arm, axis=-1)
    speed = rate(smooth(length, 0.1))
    count = 0
    for start, stop in spans(speed > 0.3):
        end = arm[min(stop, len(arm) - 1)]
        rise = length[min(stop, len(arm) - 1)] - length[start]
        straight = end[2] > 0.25 and -0.3 < end[1] < 0.3 and length[min(stop, len(arm) - 1)] > 0.38
        count += bool(speed[start:stop].max() > 1.0 and rise > 0.1 and straight)
    return count


def punch(body: BodyTracks, side: str) -> bool:
    """One fist punches, and the other less than half as often."""
    return punches(body, side) >= 1 and punches(body, OTHER[side]) <= punches(body, side) / 2


def clap(body: BodyTracks) -> bool:
    """The hands meet at least twice in front of the trunk."""
    apart = np.linalg.norm(body.at("left_wrist") - body.at("right_wrist"), axis=-1)
    high = np.minimum(body.height("left_wrist"), body.height("right_wrist")) > body.pelvis
    close = [apart[start:stop] for start, stop in spans((apart < 0.4) & high, 0.2)]
    return any(track.min() < 0.2 and reversals(track, 0.04) >= 3 for track in close)


def kicks(body: BodyTracks, side: str) -> int:
    """Number of times a foot shoots up to knee height or above, away from the standing leg, not behind the body."""
    foot, stance = body.own(f"{side}_ankle"), body.height(f"{OTHER[side]}_ankle")
    out = np.linalg.norm(foot[:, [0, 2]] - body.own(f"{side}_hip")[:, [0, 2]], axis=-1)
    high = body.height(f"{side}_ankle") - stance > 0.22
    away = high & (out > 0.3) & (foot[:, 2] > -0.1) & (body.pelvis > 0.6)
    speed = smooth(body.speed(f"{side}_ankle"), 0.1)
    near = smooth((speed > 1.8).astype(float), 0.4) > 0
    low = (
        (body.height(f"{side}_ankle") - stance > 0.08)
        & (out > 0.4)
        & (foot[:, 2] > 0.3)
        & (smooth((speed > 6).astype(float), 0.4) > 0)
    )
    return len([1 for start, stop in spans((away & near) | low, 0.06)])


def kick(body: BodyTracks, side: str) -> bool:
    """One foot kicks, and the other less than half as often."""
    return kicks(body, side) >= 1 and kicks(body, OTHER[side]) <= kicks(body, side) / 2


def knee_up(body: BodyTracks, side: str) -> np.ndarray:
    """Frames `[N]` with the knee nearly at hip height while standing on the other leg."""
    stance = body.height(f"{OTHER[side]}_ankle")
    knee = body.height(f"{side}_knee") > body.height(f"{side}_hip") - 0.18
    return knee & (body.height(f"{side}_ankle") - stance > 0.15) & (body.pelvis > 0.7)


def lift_knee(body: BodyTracks, side: str) -> bool:
    """One knee rises to hip height, the other for at most a third of that time."""
    own, other = knee_up(body, side), knee_up(body, OTHER[side])
    return longest(own) >= 0.1 and other.sum() <= own.sum() / 3


def lifted(body: BodyTracks, side: str, metres: float = 0.1) -> np.ndarray:
    """Frames `[N]` in which one foot is at least `metres` higher than the other."""
    own = np.minimum(body.height(f"{side}_foot"), body.height(f"{side}_ankle") - 0.06)
    other = np.minimum(body.height(f"{OTHER[side]}_foot"), body.height(f"{OTHER[side]}_ankle") - 0.06)
    return (own - other > metres) & (body.pelvis > 0.6)


def stand_on(body: BodyTracks, side: str) -> bool:
    """The other foot stays up for a second while this one does not move."""
    for start, stop in spans(lifted(body, OTHER[side]), 1.0):
        foot = body.at(f"{side}_ankle")[start:stop]
        if np.linalg.norm(foot - foot.mean(0), axis=-1).max() < 0.2 and body.part(start, stop).walked < 0.5:
            return longest(lifted(body, side)) < 1.0 or stop - start > 2 * FPS * longest(lifted(body, side))
    return False


def hop(body: BodyTracks, side: str) -> bool:
    """At least two leaps on one leg while the other foot stays up."""
    return hops(body, side) >= 2 and hops(body, OTHER[side]) <= hops(body, side) / 2


def hops(body: BodyTracks, side: str) -> int:
    """Number of leaps on one leg, counted by the bounces of the pelvis, while the other foot is held up."""
    held = smooth(lifted(body, OTHER[side], 0.04).astype(float), 0.5) > 0.5
    return max((reversals(body.pelvis[start:stop], 0.05) // 2 for start, stop in spans(held, 0.8)), default=0)


def jumps(body: BodyTracks) -> list[tuple[int, int]]:
    """Flights of both feet side by side, as (start, stop); running steps do not count."""
    left, right = body.height("left_foot"), body.height("right_foot")
    low, speed = np.minimum(left, right), rate(body.pelvis)
    found = []
    for start, stop in spans(low > 0.05, 0.1):
        before = body.pelvis[max(start - round(0.4 * FPS), 0) : start + 1].min()
        rise = body.pelvis[start:stop].max() - before
        middle = (start + stop) // 2
        if speed[max(start - round(0.2 * FPS), 0) : stop].max() < 0.8:
            continue  # a body that floats
        if rise > 0.1 and abs(left[middle] - right[middle]) < 0.3 and low[start:stop].max() > 0.08:
            found.append((start, stop))
    return found


def leap(body: BodyTracks, start: int, stop: int) -> float:
    """Horizontal distance from just before a jump to just after it, metres."""
    floor = body.at("pelvis")[:, [0, 2]]
    return float(np.linalg.norm(floor[min(stop + 4, len(floor) - 1)] - floor[max(start - 4, 0)]))


def jump_in_place(body: BodyTracks) -> bool:
    """At least one jump, and none of them far."""
    found = jumps(body)
    return bool(found) and max(leap(body, *jump) for jump in found) < 0.5 and body.shift < 1.0


def jump_forward(body: BodyTracks) -> bool:
    """A forward jump of at least 0.35 m."""
    for start, stop in jumps(body):
        cut = body.part(start - 4, stop + 5)
        if cut.path[-1, 1] > 0.35 and cut.path[-1, 1] > abs(cut.path[-1, 0]):
            return True
    return False


def jump_count(body: BodyTracks, count: int) -> bool:
    """Exactly `count` jumps."""
    return len(jumps(body)) == count
