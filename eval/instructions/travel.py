"""Rules for travel and turning: walk, run, side step, curves, turns on the spot.

Units are metres, seconds and degrees; left is positive. See `motionmillion.eval.instructions.tracks`.
"""

import functools

import numpy as np

from motionmillion.eval.instructions.limbs import jumps
from motionmillion.eval.instructions.tracks import FPS, BodyTracks, longest, reversals, smooth

RUNNING = 1.9
"""Minimum horizontal speed of running, metres per second."""

SIGNS = {"left": 1.0, "right": -1.0}

_LOW = 0.72
"""Minimum height of the pelvis in upright walking, metres."""


def turn_degrees(body: BodyTracks) -> float:
    """Angle from the first heading to the last, degrees."""
    return float(np.degrees(body.turned[-1]))


def widest_turn(body: BodyTracks) -> float:
    """Largest deviation from the first heading, degrees, with its sign."""
    return float(np.degrees(body.turned[np.abs(body.turned).argmax()]))


def on_feet(body: BodyTracks) -> bool:
    """Upright with the pelvis at walking height nearly all the time."""
    return bool(np.mean((body.pelvis > _LOW) & (body.upright > 0.7)) > 0.8)


def pace(body: BodyTracks) -> float:
    """Median horizontal speed while the body moves, metres per second; 0 if it does not move."""
    moving = body.travel[body.travel > 0.25]
    return float(np.median(moving)) if len(moving) > FPS / 2 else 0.0


def strides(body: BodyTracks) -> int:
    """Number of times that one foot passes the other, by 12 cm or more."""
    return reversals(body.own("left_ankle")[:, 2] - body.own("right_ankle")[:, 2], 0.12)


def walks(body: BodyTracks, metres: float = 0.6) -> bool:
    """Moves at least `metres` forward on its feet with alternating steps, at walking speed."""
    if strides(body) < 2 or jumps(body):
        return False
    return on_feet(body) and bool(body.path[-1, 1] >= metres) and bool(np.quantile(body.travel, 0.9) < RUNNING + 0.2)


def walk_forward(body: BodyTracks) -> bool:
    """At least 0.8 m forward, without a large turn."""
    return walks(body, 0.8) and abs(turn_degrees(body)) < 75 and abs(body.path[-1, 0]) < 0.5 * body.path[-1, 1]


def walk_backward(body: BodyTracks) -> bool:
    """At least half a metre backward, with little forward motion before."""
    back, side = -body.path[-1, 1], abs(body.path[-1, 0])
    return on_feet(body) and back > 0.5 and side < 0.7 * back and bool(body.path[:, 1].max() < 0.5 * back)


def side_step(body: BodyTracks, side: str) -> bool:
    """At least 0.4 m to one side, more than forward or backward."""
    aside, ahead = SIGNS[side] * body.path[-1, 0], abs(body.path[-1, 1])
    return bool(np.mean(body.pelvis > 0.55) > 0.8) and aside > 0.3 and ahead < 0.8 * aside


def turn_side(body: BodyTracks, side: str) -> bool:
    """A turn by 45 to 150 degrees to one side within 1.5 m."""
    degrees = SIGNS[side] * np.degrees(body.turned)
    return (
        45 <= degrees[-1] <= 150
        and degrees.min() > -40
        and body.walked < 1.5
        and bool(np.mean(body.pelvis > 0.55) > 0.8)
    )


def turn_around(body: BodyTracks) -> bool:
    """A half turn to either side: 130 to 240 degrees between start and end."""
    return 130 <= abs(turn_degrees(body)) <= 240 and on_feet(body)


def curve(body: BodyTracks, side: str) -> bool:
    """At least a metre of walking with a turn of 30 degrees or more to one side, and less to the other."""
    degrees = SIGNS[side] * np.degrees(body.turned)
    return walks(body, 0.8) and bool(degrees[-1] >= 30) and bool(degrees.min() > -30)


def circle(body: BodyTracks) -> bool:
    """Walks or runs 1.5 m or more while turning by 240 degrees or more."""
    return bool(body.path[-1, 1] >= 1.5) and abs(widest_turn(body)) >= 240


def run(body: BodyTracks) -> bool:
    """At least half a second at running speed, forward, with long steps."""
    fast = (body.travel > RUNNING) & (body.upright > 0.6)
    return longest(fast) >= 0.5 and bool(body.path[:, 1].max() > 1.2)


def walk_slow(body: BodyTracks) -> bool:
    """At least 0.4 m forward at less than 0.9 m/s."""
    return walks(body, 0.4) and 0 < pace(body) < 0.9 and abs(turn_degrees(body)) < 75


def walk_fast(body: BodyTracks) -> bool:
    """Forward at 1.2 m/s or more, but without running."""
    return walks(body, 1.0) and float(np.quantile(body.travel, 0.75)) >= 1.2


def stop_after(body: BodyTracks, fast: bool) -> bool:
    """Walks (or runs) first and stands at the end."""
    moving = body.travel > (RUNNING if fast else 0.5)
    still = smooth(body.travel, 0.3)[-round(0.4 * FPS) :].max() < 0.35
    first = np.flatnonzero(moving)
    if strides(body) < 2 or jumps(body):
        return False
    return (
        on_feet(body)
        and bool(still)
        and longest(moving) >= 0.5
        and first[0] < 0.6 * len(body)
        and bool(body.path[-1, 1] > 0.5)
    )


walk_then_stop = functools.partial(stop_after, fast=False)
