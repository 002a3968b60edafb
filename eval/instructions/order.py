"""Rules for two actions, in sequence or at the same time."""

import numpy as np

from motionmillion.eval.instructions.limbs import OTHER, hand_up, jumps, swings
from motionmillion.eval.instructions.posture import seated, sit_down
from motionmillion.eval.instructions.tracks import FPS, BodyTracks, longest, spans
from motionmillion.eval.instructions.travel import on_feet, strides

_GRID = 5


def walk_then_turn_around(body: BodyTracks) -> bool:
    """0.8 m forward without a large turn, then a half turn."""
    for stop in range(round(0.5 * FPS), len(body), _GRID):
        before, after = body.part(0, stop), body.part(stop, len(body))
        straight = np.abs(np.degrees(before.turned)).max() < 60
        if straight and before.path[-1, 1] > 0.8 and np.abs(np.degrees(after.turned)).max() > 125:
            return on_feet(body)
    return False


def turn_around_then_walk(body: BodyTracks) -> bool:
    """A half turn within a small space, then 0.7 m forward without a large turn."""
    for stop in range(round(0.5 * FPS), len(body), _GRID):
        before, after = body.part(0, stop), body.part(stop, len(body))
        turned = abs(np.degrees(before.turned[-1]))
        straight = np.abs(np.degrees(after.turned)).max() < 60
        if 125 < turned < 260 and before.walked < 1.2 and straight and after.path[-1, 1] > 0.7:
            return on_feet(body)
    return False


def walk_then_sit(body: BodyTracks) -> bool:
    """0.6 m of walking, then sitting at the end."""
    start = np.flatnonzero(seated(body))
    return sit_down(body) and body.part(0, int(start[0]) + 1).walked > 0.6


def raise_in_order(body: BodyTracks, side: str) -> bool:
    """Only one hand up for 0.3 s, later the other, and not the other way round."""
    own = spans(hand_up(body, side), 0.25)
    other = spans(hand_up(body, OTHER[side]), 0.25)
    return bool(own) and bool(other) and own[0][0] + 0.25 * FPS <= other[0][0]


def jump_then_walk(body: BodyTracks) -> bool:
    """A jump with little walking before it and 0.6 m after it."""
    found = jumps(body)
    if not found:
        return False
    return body.part(0, found[0][0]).walked < 0.6 and body.part(found[-1][1], len(body)).path[-1, 1] > 0.6


def walk_then_jump(body: BodyTracks) -> bool:
    """0.6 m forward, then a jump."""
    return any(body.part(0, start).path[-1, 1] > 0.6 for start, _ in jumps(body))


def _moving(body: BodyTracks) -> np.ndarray:
    return body.travel > 0.3


def walk_with_hand(body: BodyTracks, side: str) -> bool:
    """Walks with one hand up for at least a third of the way and the other mostly down."""
    moving = _moving(body)
    if longest(moving) < 1.0 or body.path[-1, 1] < 0.5 or strides(body) < 2:
        return False
    own, other = hand_up(body, side)[moving].mean(), hand_up(body, OTHER[side])[moving].mean()
    return own > 0.35 and other < own / 2


def walk_with_both(body: BodyTracks) -> bool:
    """Walks with both hands up for at least a third of the way."""
    moving = _moving(body)
    if longest(moving) < 1.0 or body.path[-1, 1] < 0.5 or strides(body) < 2:
        return False
    return bool((hand_up(body, "left") & hand_up(body, "right"))[moving].mean() > 0.35)


def walk_and_wave(body: BodyTracks, side: str) -> bool:
    """Walks and waves one hand."""
    own, other = swings(body, side), swings(body, OTHER[side])
    return longest(_moving(body)) >= 1.0 and body.path[-1, 1] > 0.5 and own >= 2 and other < own / 2
