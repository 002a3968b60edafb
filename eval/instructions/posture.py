"""Rules for postures: squat, bend, sit, stand up, kneel, lie, get up, crawl, stand still."""

import numpy as np

from motionmillion.eval.instructions.tracks import BodyTracks, longest, spans

UPRIGHT = 0.78
"""Minimum height of the pelvis of a standing body, metres."""


def stands(body: BodyTracks) -> np.ndarray:
    """Frames `[N]` in which the body stands or walks upright."""
    return (body.pelvis > UPRIGHT) & (body.upright > 0.75)


def begins(held: np.ndarray, share: float = 0.3) -> bool:
    """Whether `held` is true in any frame of the first part of the motion."""
    return bool(held[: max(round(share * len(held)), 3)].any())


def ends(held: np.ndarray, share: float = 0.25) -> bool:
    return begins(held[::-1], share)


def knee_height(body: BodyTracks) -> np.ndarray:
    """Height of the lower knee `[N]`."""
    return np.minimum(body.height("left_knee"), body.height("right_knee"))


def _behind(body: BodyTracks) -> np.ndarray:
    """Distance of the pelvis behind the ankles `[N]`, metres."""
    return (body.own("left_ankle")[:, 2] + body.own("right_ankle")[:, 2]) / 2


def seated(body: BodyTracks) -> np.ndarray:
    """Frames `[N]` of sitting: pelvis below standing height, thighs nearly level, trunk upright, feet in front."""
    thighs = [body.height(f"{side}_hip") - body.height(f"{side}_knee") for side in ("left", "right")]
    level = (thighs[0] + thighs[1]) / 2 < 0.25
    return level & (body.pelvis < 0.85) & (body.upright > 0.5) & (knee_height(body) > 0.2) & (_behind(body) > 0.12)


def sit_down(body: BodyTracks) -> bool:
    """Stands at first and sits at the end."""
    return begins(stands(body)) and ends(seated(body), 0.2)


def sit(body: BodyTracks) -> bool:
    """Sits for most of the time."""
    return bool(seated(body).mean() > 0.5)


def stand_up(body: BodyTracks) -> bool:
    """Starts low and ends standing, without standing before."""
    low = (body.pelvis < 0.76) | seated(body)
    return begins(low, 0.15) and ends(stands(body))


def squats(body: BodyTracks) -> np.ndarray:
    """Frames `[N]` with deeply bent knees above the feet, not kneeling."""
    return (body.pelvis < 0.66) & (knee_height(body) > 0.2) & (body.upright > 0.2) & (np.abs(_behind(body)) < 0.2)


def squat(body: BodyTracks) -> bool:
    """Goes down from standing into a squat."""
    return begins(body.pelvis > UPRIGHT, 0.4) and longest(squats(body)) >= 0.2


def bends(body: BodyTracks) -> np.ndarray:
    """Frames `[N]` with the trunk bent over the feet."""
    return (body.upright < 0.55) & (body.pelvis > 0.45) & (body.own("neck")[:, 2] > 0.2)


def bend_forward(body: BodyTracks) -> bool:
    """Stands, and bends the trunk by 60 degrees or more."""
    return begins(body.pelvis > 0.7, 0.4) and longest(bends(body)) >= 0.2


def reaches_floor(body: BodyTracks) -> np.ndarray:
    """Frames `[N]` with a hand near the floor."""
    return np.minimum(body.height("left_wrist"), body.height("right_wrist")) < 0.5


def pick_up(body: BodyTracks) -> bool:
    """From standing, a hand reaches down to the floor with the feet below the body, and the body rises again."""
    low = reaches_floor(body) & (body.height("head") > 0.35) & (body.pelvis > 0.25)
    where = np.flatnonzero(low)
    if len(where) < 3:
        return False
    risen = body.pelvis[where[-1] :].max() > 0.7 or body.height("head")[where[-1] :].max() > 1.2
    return begins(stands(body), 0.5) and bool(risen)


def kneels(body: BodyTracks) -> np.ndarray:
    """Frames `[N]` with a knee on the floor and the trunk upright."""
    return (knee_height(body) < 0.2) & (body.upright > 0.5) & (body.pelvis > 0.25)


def kneel(body: BodyTracks) -> bool:
    """At least half a second on a knee."""
    return longest(kneels(body)) >= 0.5


def lies(body: BodyTracks) -> np.ndarray:
    """Frames `[N]` of lying: trunk horizontal, head and pelvis near the floor."""
    return (np.abs(body.upright) < 0.5) & (body.pelvis < 0.4) & (body.height("head") < 0.5)


def lie_down(body: BodyTracks) -> bool:
    """Starts higher and lies at the end."""
    return begins(body.height("head") > 0.6) and ends(lies(body), 0.2)


def get_up(body: BodyTracks) -> bool:
    """Starts on the floor and ends standing."""
    return begins((body.pelvis < 0.5) & (body.height("head") < 0.95), 0.15) and ends(body.pelvis > 0.75)


def crawl(body: BodyTracks) -> bool:
    """Moves at least 0.3 m on hands and knees."""
    wrists = np.maximum(body.height("left_wrist"), body.height("right_wrist"))
    down = (body.upright < 0.6) & (body.pelvis < 0.75) & (wrists < 0.45) & (body.height("head") > 0.25)
    return any(body.part(*span).walked > 0.3 for span in spans(down, 0.5))


def stand_still(body: BodyTracks) -> bool:
    """Stands, and neither hands nor feet move much."""
    ends_ = [np.quantile(body.speed(f"{side}_{end}"), 0.9) for side in ("left", "right") for end in ("wrist", "foot")]
    return bool(np.mean(stands(body)) > 0.9) and max(ends_) < 0.35 and body.walked < 0.25
