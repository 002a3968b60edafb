"""The calls of a `DiTPipeline` that keep given frames: inbetweening, and editing of a motion.

    motion = pipe.inbetween("a person turns around", start=walk, end=run, seconds=2)
    motion = pipe.edit(motion, "a person claps", frames=(20, 60), joints=["left_arm", "right_arm"])

Masked flow sampling (inpainting): kept values follow the straight path from noise to their final values, and the model
generates the others with them as context. Remaining jumps at the seams are blended away
(`motionmillion.kinematics.joining`).
"""

import dataclasses
import difflib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import roma
import torch
from torch import Tensor

from motionmillion.configuration import check_number, check_whole
from motionmillion.features import Representation
from motionmillion.kinematics.joining import fill_in, go_on, joined, place
from motionmillion.motion import Motion
from motionmillion.pipeline.base import sample_seed
from motionmillion.pipeline.choosing import best_fit
from motionmillion.pipeline.dit.steps import DiTSteps, Settings
from motionmillion.pipeline.dit.windows import Window, floor_of, last_frames, lowered, window_sizes
from motionmillion.pipeline.options import LENGTHS, leave_out
from motionmillion.skeleton import SMPL22
from motionmillion.text.encoder import check_texts

_SIDES = ("left", "right")
_ARM, _LEG = ("collar", "shoulder", "elbow", "wrist"), ("hip", "knee", "ankle", "foot")
_SPINE = ("spine1", "spine2", "spine3", "neck", "head")

GROUPS: Mapping[str, tuple[str, ...]] = {
    **{f"{side}_arm": tuple(f"{side}_{joint}" for joint in _ARM) for side in _SIDES},
    **{f"{side}_leg": tuple(f"{side}_{joint}" for joint in _LEG) for side in _SIDES},
    "upper_body": (*_SPINE, *(f"{side}_{joint}" for side in _SIDES for joint in _ARM)),
    "lower_body": ("pelvis", *(f"{side}_{joint}" for side in _SIDES for joint in _LEG)),
}
"""Names of groups of joints."""


class DiTEditing(DiTSteps):
    """Editing methods of `DiTPipeline`; the options are described in that class."""

    def inbetween(  # type: ignore[override]
        self,
        prompt: str,
        start: Motion,
        end: Motion,
        seconds: float,
        candidates: int = 4,
        seed: int = 0,
        keep_place: bool = False,
        **options: Any,
    ) -> Motion:
        """A motion that begins with `start`, ends with `end`, and follows the prompt in between.

        `end` keeps its poses; it is moved along the ground and turned to where a free continuation of `start` arrives.
        Of several continuations the one whose pose there is closest to that of `end` is used. Then the frames in
        between are generated with both ends as context.

        Args:
            seconds: length of the new motion in between.
            candidates: number of continuations to sample.
            keep_place: leave `end` where it is; no continuations are sampled then.
            options: see the class.

        Raises:
            ValueError: if it does not fit into one window of the model, and for options out of range.
        """
        if not isinstance(prompt, str):
            raise ValueError(f"prompt must be one text, got {prompt!r}")
        text = check_texts(prompt)[0]
        check_number("seconds", seconds)
        chosen = self.options({**options, "seconds": seconds})
        settings = self.settings(chosen)
        if not isinstance(keep_place, bool):
            raise ValueError(f"keep_place must be True or False, got {keep_place!r}")
        count = self.frames(chosen)
        check_whole("candidates", candidates, 1)
        start, end = self.fitted(start, "start"), self.fitted(end, "end")
        # context on both sides, moved to the floor as in training
        first = lowered(last_frames(start, settings.overlap), floor_of(start))
        last = lowered(end.slice(0, settings.overlap), floor_of(end))
        spare = self.dit.config.max_frames - first.num_frames - last.num_frames
        if count > spare:
            raise ValueError(f"seconds must be at most {spare / self.fps:g} between two motions, got {seconds!r}")
        told = (text, count)
        if not keep_place:
            seeds = [sample_seed(seed, n) for n in range(candidates)]
            seed, last = arrived(self, first, last, told, seeds, settings)
        whole = bridged(self, first, last, told, seed, settings)
        # back to where `start` ends
        whole = place(whole, first.num_frames - 1, start, start.num_frames - 1)
        between = whole.slice(first.num_frames, first.num_frames + count)
        return fill_in(start, between, end, moves=not keep_place).replace(caption=text)

    def edit(  # type: ignore[override]
        self,
        motion: Motion,
        prompt: str,
        frames: tuple[int, int] | None = None,
        joints: str | Sequence[str] | None = None,
        seed: int = 0,
        keep_place: bool = True,
        **options: Any,
    ) -> Motion:
        """Regenerate some frames or joints of a motion according to the prompt; the rest stays exactly as it is.

        The result has the model's frame rate; a motion with another one is resampled first, with a warning. Every
        frame is decoded by itself, whatever `recovery` is. If the new frames have to slide to reach the kept ones,
        because somebody who walked now squats, a warning says so.

        Args:
            frames: first frame to change and the one after the last, counted in `motion`; None changes all.
            joints: names of joints or of `motionmillion.pipeline.dit.editing.GROUPS` to change; None changes all. The
                pelvis represents the position and orientation of the whole body.
            keep_place: leave the frames after the change where they are. Otherwise they keep their poses alone, and
                are moved along the ground and turned to where the new motion arrives, as by `inbetween`.
            options: see the class; `strength` below 1 starts from the given motion.

        Raises:
            ValueError: if nothing is to be kept, for frames out of range, and unknown joints; and without `keep_place`
                for single joints, frames without any before and after them, and more than fit into one window.
        """
        if not isinstance(prompt, str):
            raise ValueError(f"prompt must be one text, got {prompt!r}")
        if not isinstance(keep_place, bool):
            raise ValueError(f"keep_place must be True or False, got {keep_place!r}")
        text = check_texts(prompt)[0]
        leave_out(options, ("seconds", *LENGTHS), "of an edit", "; the motion already has one")
        chosen = self.options(options)
        settings = self.settings(chosen, starts=True)
        if not self.dit.representation.edited_blocks:
            name = self.dit.config.features
            raise ValueError(f"edit must be called on a model of features with edited_blocks, got one of {name!r}")
        if frames is None and joints is None:
            raise ValueError("frames or joints must be given, got neither; without either, generate a new motion")
        numbers, given = joint_numbers(joints), motion
        if isinstance(given, Motion):
            check_span(frames, given, given)  # before the warning that it is resampled
        motion = self.fitted(motion, "motion")
        span = check_span(frames, given, motion)
        if not keep_place:
            return self._edit_and_move(motion, text, span, joints, seed, settings.overlap, options)
        floor = floor_of(motion)
        settings = dataclasses.replace(settings, recovery="direct")
        many = chosen.candidates or 1
        seeds = [seed] if many == 1 else [sample_seed(seed, n) for n in range(many)]
        made, begin = [motion] * many, span[0]
        # each window has `keep` frames of context on both sides
        keep = settings.overlap
        sizes = window_sizes(span[1] - begin, keep, keep, self.dit.config.max_frames - keep)
        for number, size in enumerate(sizes):
            change = Change(text, begin, begin + size, span[1], numbers)
            made = edited(self, made, floor, change, [sample_seed(own, number) for own in seeds], settings)
            begin += size
        best = made[0] if many == 1 else best_fit(text, made, self.text_encoder, self.matcher)
        if 0 in numbers:
            warn_of_slides(best, motion, span)
        return best.replace(caption=text)

    def _edit_and_move(
        self,
        motion: Motion,
        text: str,
        span: tuple[int, int],
        joints: Any,
        seed: int,
        keep: int,
        options: Mapping[str, Any],
    ) -> Motion:
        """An edit after which the rest is moved to where it ends; `keep` frames on both sides are its context."""
        if joints is not None:
            raise ValueError(f"keep_place must be True for an edit of joints, got False with joints {joints!r}")
        start, stop = span
        if start == 0 or stop == motion.num_frames:
            raise ValueError("keep_place must be True unless frames are kept before and after the change, got False")
        many = self.options(options).candidates or 1
        most = self.dit.config.max_frames - min(start, keep) - min(motion.num_frames - stop, keep)
        if stop - start > most:
            raise ValueError(
                f"frames must be at most {most / self.fps:g} s long where keep_place is False, got "
                f"{(stop - start) / self.fps:g} s"
            )
        others = {name: value for name, value in options.items() if name != "candidates"}
        ends = motion.slice(0, start), motion.slice(stop, motion.num_frames)
        return self.inbetween(text, *ends, (stop - start) / self.fps, candidates=many, seed=seed, **others)


_SLIDING = 3.5
"""Metres per second of the pelvis from which new frames that are faster than all given ones are said to slide."""


def warn_of_slides(made: Motion, given: Motion, span: tuple[int, int]) -> None:
    """Warn if the new frames move much faster than the given motion does, to reach the kept frames in time."""
    rates = [motion.translation[:, [0, 2]].diff(dim=0).norm(dim=-1) * motion.fps for motion in (made, given)]
    new = rates[0][max(span[0] - 1, 0) : span[1]]
    fastest, before = (float(rate.max()) if len(rate) else 0.0 for rate in (new, rates[1]))
    if fastest > max(_SLIDING, 1.5 * before):
        warnings.warn(
            f"the new frames slide at up to {fastest:.1f} m/s to reach the kept ones; keep_place=False moves those "
            "along instead, or change more frames",
            stacklevel=3,
        )


@dataclasses.dataclass(frozen=True)
class Change:
    """The edit in one window: frames `start` to `stop` of `joints`, as part of an edit that ends at `end`."""

    text: str
    start: int
    stop: int
    end: int
    joints: Sequence[int]


def joint_numbers(names: Any) -> list[int]:
    """Indices of the joints with the given names or groups; None for all.

    Raises:
        ValueError: for an empty list and unknown names.
    """
    if names is None:
        return list(range(len(SMPL22)))
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list | tuple) or not names:
        raise ValueError(f"joints must be a list of names, got {names!r}; leave it out for all joints")
    found = set()
    for name in names:
        if name not in GROUPS and name not in SMPL22.names:
            # a common mistake: names separated by commas
            hint = "; give each by itself, on the command line by repeating the option" if "," in str(name) else ""
            meant = str(name).lower().replace("hand", "arm")  # hands have no joints of their own
            for near in difflib.get_close_matches(meant, (*GROUPS, *SMPL22.names), 1):
                hint = hint or f"; did you mean {near!r}?"
            raise ValueError(f"joints must be among {', '.join((*GROUPS, *SMPL22.names))}, got {name!r}{hint}")
        found |= {SMPL22.index(joint) for joint in GROUPS.get(name, (name,))}
    return sorted(found)


def free_features(features: Representation, frames: int, span: tuple[int, int], joints: Sequence[int]) -> Tensor:
    """Mask of the features to regenerate `[T, D]`.

    Args:
        features: with `edited_blocks`, in which every frame can be decoded independently.
        frames: T.
        span: first frame to change, and the one after the last.
        joints: indices of the joints to change.
    """
    columns = _columns(features, joints)
    free = torch.zeros(frames, features.dim, dtype=torch.bool)
    free[span[0] : span[1]] = columns
    ahead = torch.zeros(features.dim, dtype=torch.bool)
    for name in features.ahead:
        ahead[features.layout[name]] = True
    if span[0]:  # the velocity from the last kept frame into the span
        free[span[0] - 1] |= columns & ahead
    free[-1] |= ahead  # the velocity after the last frame is unknown
    return free


def _columns(features: Representation, joints: Sequence[int]) -> Tensor:
    """Mask of the features `[D]` that depend on these joints."""
    turned = torch.zeros(len(SMPL22), dtype=torch.bool)
    turned[list(joints)] = True
    held = {"rotations": turned[1:].repeat_interleave(6), "descendants": _below(joints).repeat_interleave(3)}
    columns = torch.zeros(features.dim, dtype=torch.bool)
    for name, what in features.edited_blocks.items():
        columns[features.layout[name]] = held[what] if what in held else 0 in joints
    return columns


def _below(joints: Sequence[int]) -> Tensor:
    """Mask `[J]` of the descendants of these joints, and of the pelvis if it is among them."""
    below = torch.zeros(len(SMPL22), dtype=torch.bool)
    below[0] = 0 in joints
    for joint, parent in enumerate(SMPL22.parents[1:], start=1):
        below[joint] = parent in joints or bool(below[parent])
    return below


def check_span(frames: Any, given: Motion, motion: Motion) -> tuple[int, int]:
    """First frame to change and the one after the last, in `motion`; `frames` are counted in `given`.

    Raises:
        ValueError: unless they are two increasing indices within the motion.
    """
    if frames is None:
        return 0, motion.num_frames
    frames = frames.tolist() if isinstance(frames, Tensor | np.ndarray) else frames
    whole = isinstance(frames, list | tuple) and all(
        isinstance(frame, int | np.integer) and not isinstance(frame, bool) for frame in frames
    )
    if not whole or len(frames) != 2 or not 0 <= frames[0] < frames[1] <= given.num_frames:
        raise ValueError(f"frames must be two increasing whole numbers within 0..{given.num_frames}, got {frames!r}")
    # from the frame rate of `given` to that of `motion`
    start, stop = (min(round(frame * motion.fps / given.fps), motion.num_frames) for frame in frames)
    if frames[1] == given.num_frames:
        stop = motion.num_frames
    start = min(start, motion.num_frames - 1)
    return start, max(stop, start + 1)


def edited(
    parts: DiTSteps, motions: Sequence[Motion], floor: float, change: Change, seeds: Sequence[int], settings: Settings
) -> list[Motion]:
    """Regenerate one window of several versions of a motion as one batch.

    Args:
        motions: of the same length.
        floor: height of the floor, metres.
        seeds: one per motion.
    """
    # split the rest of the window evenly between context before and after
    spare = (parts.dit.config.max_frames - (change.stop - change.start)) // 2
    first = max(change.start - spare, 0)
    # frames after the window are context only if they are not edited later
    last = min(change.stop + spare, motions[0].num_frames) if change.stop == change.end else change.stop
    pieces = [lowered(motion.slice(first, last), floor) for motion in motions]
    span = (change.start - first, change.stop - first)
    free = free_features(parts.dit.representation, last - first, span, change.joints).to(parts.device)
    encoded = [parts.encode(piece) for piece in pieces]
    windows = [
        Window(change.text, seed, len(features), features, ~free, start=features if settings.starts else None)
        for features, seed in zip(encoded, seeds, strict=True)
    ]
    made = parts.sample_windows(windows, settings)
    homes = [_at_home(parts, *each, span) for each in zip(made, pieces, encoded, strict=True)]
    return [_put_into(motion, own, change, floor) for motion, own in zip(motions, homes, strict=True)]


def _at_home(parts: DiTSteps, made: Motion, piece: Motion, features: Tensor, span: tuple[int, int]) -> Motion:
    """The frames of `span` of a generated window, placed and blended into the piece that it replaces."""
    # the position of frame 0 is known even if that frame was regenerated
    known = parts.dit.representation.decode(parts.dit.denormalize(features[:1]).cpu())
    made = place(joined([known, made]), 0, piece, 0).slice(1, 1 + made.num_frames)
    before = piece.slice(0, span[0]) if span[0] else None
    after = piece.slice(span[1], piece.num_frames) if span[1] < piece.num_frames else None
    return fill_in(before, made.slice(*span), after, moves=False).slice(*span)


def _put_into(motion: Motion, made: Motion, change: Change, floor: float) -> Motion:
    """`motion` with new frames of some joints; the others stay exactly as given."""
    rotations, path = motion.rotations.clone(), motion.translation.clone()
    joints = list(change.joints)
    rotations[change.start : change.stop, joints] = made.rotations[:, joints]
    if 0 in joints:
        path[change.start : change.stop] = lowered(made, -floor).translation
    return motion.replace(rotations=rotations, translation=path)


def arrived(
    parts: DiTSteps, first: Motion, last: Motion, told: tuple[str, int], seeds: Sequence[int], settings: Settings
) -> tuple[int, Motion]:
    """The seed of the best of several free continuations of `first`, and `last` moved to where it ends.

    Args:
        first, last: both on the floor.
        told: the text, and the number of frames between the two.
        seeds: one per continuation; the best one is that whose final poses are closest to those of `last`.
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
    parts: DiTSteps, first: Motion, last: Motion, told: tuple[str, int], seed: int, settings: Settings
) -> Motion:
    """`first`, new frames in between, and `last`, generated with both as context; both stand on the floor in place."""
    text, count = told
    hold = first.slice(first.num_frames - 1, first.num_frames)
    features = parts.encode(joined([first, *[hold] * count, last]))
    keep = torch.ones_like(features, dtype=torch.bool)
    # all features of the first motion but the velocity into the gap [T, D]
    keep[: first.num_frames] = parts.all_but_last_step(first.num_frames)
    keep[first.num_frames : first.num_frames + count] = False
    return parts.sample_windows([Window(text, seed, len(features), features, keep)], settings)[0]


def _pose_distance(motion: Motion, other: Motion) -> float:
    """Mean angle in radians between the joint rotations of two motions of the same length, without the pelvis."""
    return float(roma.rotmat_geodesic_distance(motion.rotations[:, 1:], other.rotations[:, 1:]).mean())
