"""Contacts of the feet as intervals of frames, and clips that begin and end with one.

    foot_contacts(motion)["left"]               # [(12, 30), (47, 66)]: first frame, and the one after the last
    motion.trim()                               # from the first landing of a foot to the last one
    motion.trim("left")                         # whole strides of the left foot

Unusual: a foot touches the floor as long as its ankle or its toes do. A foot that stands in the first frame has not
landed in the clip.
"""

from typing import Literal

import numpy as np

from motionmillion.kinematics.contacts import find_contacts, runs
from motionmillion.kinematics.loops import Loop, in_company
from motionmillion.kinematics.repair import check_skeleton
from motionmillion.motion import Motion

SIDES = ("left", "right")
Foot = Literal["left", "right", "any"]


def foot_contacts(motion: Motion, floor: float | None = None) -> dict[str, list[tuple[int, int]]]:
    """The intervals of frames in which each foot touches the floor, by its side.

    Args:
        floor: height of the floor, metres; None finds it.

    Raises:
        ValueError: for a skeleton of other joints than SMPL22's.
    """
    return _intervals(find_contacts(check_skeleton(motion).positions(), motion.fps, floor))


def loop_contacts(loop: Loop) -> dict[str, list[tuple[int, int]]]:
    """The same of the closed loop, as it is while it repeats: a contact may be cut in two by the seam."""
    many, around = in_company(loop)
    start, frames = around * loop.motion.num_frames, loop.motion.num_frames
    contacts = find_contacts(check_skeleton(many).positions(), many.fps)
    return _intervals(contacts[start : start + frames + 1])


def _intervals(contacts: np.ndarray) -> dict[str, list[tuple[int, int]]]:
    """Intervals of bool `[T, F, P]`, by side."""
    return {side: runs(contacts[:, foot, 0] | contacts[:, foot, 1]) for foot, side in enumerate(SIDES)}


def trimmed(motion: Motion, foot: Foot = "any") -> Motion:
    """The frames from the first landing of a foot to the last one.

    Args:
        foot: "left", "right", or "any" for the first and last landing of either.

    Raises:
        ValueError: for a motion without contacts or with fewer than two landings, and an unknown foot.
    """
    if foot not in (*SIDES, "any"):
        raise ValueError(f'foot must be "left", "right" or "any", got {foot!r}')
    sides = SIDES if foot == "any" else (foot,)
    contacts = foot_contacts(motion)
    found = sorted(interval for side in sides for interval in contacts[side])
    named = "a foot" if foot == "any" else f"the {foot} foot"
    if not found:
        raise ValueError(
            f"motion must touch the floor with {named} to be trimmed to its contacts, got none in {motion.num_frames} "
            "frames; check where the floor is, or cut it with slice"
        )
    landings = [start for start, _ in found if start > 0]
    if len(set(landings)) < 2:
        raise ValueError(
            f"motion must land with {named} twice to be trimmed, got {len(landings)} landings; take a longer one"
        )
    return motion.slice(landings[0], landings[-1])
