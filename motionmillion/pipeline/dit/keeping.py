"""Changes to motions that are there: some frames or joints made anew, and what lies between two motions.

    changed = edited(parts, motion, Change("a person claps", 0, 20, 60, 60, joint_numbers(["left_arm"])), settings)
    free = free_features(get("rot276"), frames=100, span=(20, 60), joints=joint_numbers(["left_arm"]))     # [T, D]

A joint's rotation moves what hangs below it: rotations are free for the joints that are named, positions for those
below them. The pelvis stands for where the body is and how it is turned.

Letters: T frames, D feature size.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import roma
import torch
from torch import Tensor

from motionmillion.features import Representation
from motionmillion.kinematics.joining import fill_in, go_on, joined, place
from motionmillion.motion import Motion
from motionmillion.pipeline.dit.windows import Window, lowered
from motionmillion.pipeline.options import Settings
from motionmillion.skeleton import SMPL22

if TYPE_CHECKING:
    from motionmillion.pipeline.dit.steps import DiTParts

_SIDES = ("left", "right")
_ARM, _LEG = ("collar", "shoulder", "elbow", "wrist"), ("hip", "knee", "ankle", "foot")
_SPINE = ("spine1", "spine2", "spine3", "neck", "head")

GROUPS: Mapping[str, tuple[str, ...]] = {
    **{f"{side}_arm": tuple(f"{side}_{joint}" for joint in _ARM) for side in _SIDES},
    **{f"{side}_leg": tuple(f"{side}_{joint}" for joint in _LEG) for side in _SIDES},
    "upper_body": (*_SPINE, *(f"{side}_{joint}" for side in _SIDES for joint in _ARM)),
    "lower_body": ("pelvis", *(f"{side}_{joint}" for side in _SIDES for joint in _LEG)),
}
"""Names that stand for several joints."""


@dataclasses.dataclass(frozen=True)
class Change:
    """What is made anew in one window: frames `start` to `stop` of `joints`, in an edit that goes up to `end`."""

    text: str
    seed: int
    start: int
    stop: int
    end: int
    joints: Sequence[int]


def joint_numbers(names: Any) -> list[int]:
    """Numbers of the joints that names and names of groups stand for; None for all.

    Raises:
        ValueError: for no names, and unknown ones.
    """
    if names is None:
        return list(range(len(SMPL22)))
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list | tuple) or not names:
        raise ValueError(f"joints must be a list of names, got {names!r}; leave it out for all joints")
    found = set()
    for name in names:
        if name not in GROUPS and name not in SMPL22.names:
            several = "; give each by itself, on the command line by repeating the option" if "," in str(name) else ""
            raise ValueError(f"joints must be among {', '.join((*GROUPS, *SMPL22.names))}, got {name!r}{several}")
        found |= {SMPL22.index(joint) for joint in GROUPS.get(name, (name,))}
    return sorted(found)


def free_features(features: Representation, frames: int, span: tuple[int, int], joints: Sequence[int]) -> Tensor:
    """Which of the features `[T, D]` are made anew.

    Args:
        features: rot276, the representation in which every frame stands for itself.
        frames: T.
        span: first frame to change, and the one after the last.
        joints: their numbers.
    """
    columns = _columns(features, joints)
    free = torch.zeros(frames, features.dim, dtype=torch.bool)
    free[span[0] : span[1]] = columns
    ahead = torch.zeros(features.dim, dtype=torch.bool)
    for name in features.ahead:
        ahead[features.layout[name]] = True
    if span[0]:  # the step into the span
        free[span[0] - 1] |= columns & ahead
    free[-1] |= ahead  # nobody knows the step after the last frame
    return free


def _columns(features: Representation, joints: Sequence[int]) -> Tensor:
    """Features `[D]` that change with these joints."""
    layout = features.layout
    columns = torch.zeros(features.dim, dtype=torch.bool)
    below = _below(joints)
    for name in ("positions", "velocities"):
        columns[layout[name]] = below.repeat_interleave(3)
    turned = torch.zeros(len(SMPL22), dtype=torch.bool)
    turned[list(joints)] = True
    columns[layout["rotations"]] = turned[1:].repeat_interleave(6)
    if 0 in joints:
        for name in ("root_rotation", "heading_change", "translation", "root_velocity"):
            columns[layout[name]] = True
    return columns


def _below(joints: Sequence[int]) -> Tensor:
    """Joints `[J]` that hang below one of these, and the pelvis if it is among them."""
    below = torch.zeros(len(SMPL22), dtype=torch.bool)
    below[0] = 0 in joints
    for joint, parent in enumerate(SMPL22.parents[1:], start=1):
        below[joint] = parent in joints or bool(below[parent])
    return below


def check_span(frames: Any, given: Motion, motion: Motion) -> tuple[int, int]:
    """First frame to change and the one after the last, of `motion`; `frames` count those of `given`.

    Raises:
        ValueError: unless they are two rising numbers of frames that are there.
    """
    if frames is None:
        return 0, motion.num_frames
    frames = frames.tolist() if isinstance(frames, Tensor | np.ndarray) else frames
    whole = isinstance(frames, list | tuple) and all(
        isinstance(frame, int | np.integer) and not isinstance(frame, bool) for frame in frames
    )
    if not whole or len(frames) != 2 or not 0 <= frames[0] < frames[1] <= given.num_frames:
        raise ValueError(f"frames must be two rising whole numbers within 0..{given.num_frames}, got {frames!r}")
    start, stop = (min(round(frame * motion.fps / given.fps), motion.num_frames) for frame in frames)
    if frames[1] == given.num_frames:
        stop = motion.num_frames
    start = min(start, motion.num_frames - 1)
    return start, max(stop, start + 1)


def edited(parts: "DiTParts", motion: Motion, floor: float, change: Change, settings: Settings) -> Motion:
    """`motion`, whose floor is at that height, with one window of it made anew."""
    spare = (parts.dit.config.max_frames - (change.stop - change.start)) // 2
    first = max(change.start - spare, 0)
    # frames behind the window are in view if they stay as they are
    last = min(change.stop + spare, motion.num_frames) if change.stop == change.end else change.stop
    part, span = lowered(motion.slice(first, last), floor), (change.start - first, change.stop - first)
    features = parts.encode(part)
    free = free_features(parts.dit.representation, len(features), span, change.joints).to(parts.device)
    start = features if settings.starts else None
    window = Window(change.text, change.seed, len(features), features, ~free, start=start)
    made = parts.sample_windows([window], settings)[0]
    # where the model's frame 0 stands is known, whatever became of that frame
    known = parts.dit.representation.decode(parts.dit.denormalize(features[:1]).cpu())
    made = place(joined([known, made]), 0, part, 0).slice(1, 1 + made.num_frames)
    before = part.slice(0, span[0]) if span[0] else None
    after = part.slice(span[1], part.num_frames) if span[1] < part.num_frames else None
    made = fill_in(before, made.slice(*span), after, moves=False).slice(*span)
    rotations, path = motion.rotations.clone(), motion.translation.clone()
    joints = list(change.joints)
    rotations[change.start : change.stop, joints] = made.rotations[:, joints]
    if 0 in joints:
        path[change.start : change.stop] = lowered(made, -floor).translation
    return motion.replace(rotations=rotations, translation=path)


def arrived(
    parts: "DiTParts", first: Motion, last: Motion, told: tuple[str, int], seeds: Sequence[int], settings: Settings
) -> tuple[int, Motion]:
    """The best of several free continuations of `first`, by its seed, and `last` where that one arrives.

    Args:
        first, last: both on the floor.
        told: the text, and frames between the two.
        seeds: one a continuation; the one whose poses in the end are nearest to those of `last` is the best.
    """
    text, count = told
    arrival = first.num_frames + count
    known, keep = parts.encode(first), parts.all_but_last_step(first.num_frames)
    asked = [Window(text, seed, arrival + last.num_frames, known, keep) for seed in seeds]
    made = parts.sample_windows(asked, settings)
    drawn = [go_on(first, motion.slice(first.num_frames, motion.num_frames)) for motion in made]
    distances = [_pose_distance(motion.slice(arrival, motion.num_frames), last) for motion in drawn]
    best = distances.index(min(distances))
    return seeds[best], place(last, 0, drawn[best], arrival)


def bridged(
    parts: "DiTParts", first: Motion, last: Motion, told: tuple[str, int], seed: int, settings: Settings
) -> Motion:
    """`first`, what lies between and `last`, each on the floor and where it stands, made with both in view."""
    text, count = told
    hold = first.slice(first.num_frames - 1, first.num_frames)
    features = parts.encode(joined([first, *[hold] * count, last]))
    keep = torch.ones_like(features, dtype=torch.bool)
    keep[: first.num_frames] = parts.all_but_last_step(first.num_frames)
    keep[first.num_frames : first.num_frames + count] = False
    return parts.sample_windows([Window(text, seed, len(features), features, keep)], settings)[0]


def _pose_distance(motion: Motion, other: Motion) -> float:
    """Mean angle in radians between the joints of two motions of as many frames, the pelvis left out."""
    return float(roma.rotmat_geodesic_distance(motion.rotations[:, 1:], other.rotations[:, 1:]).mean())
