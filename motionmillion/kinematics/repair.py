"""Repair of motions: jitter, floor, sliding feet and low swings.

    fixed = repaired(motion)                                           # or motion.repaired()
    fixed = repaired(motion, RepairOptions(jitter=False))
    print(repair_faults(motion, fixed))                                # sliding 0.20 -> 0.03 of frames, ...
    for piece in repaired_stream(pipe.stream("a person walks")): ...

What is changed is small, and what is not wrong stays: a foot that never touches the floor, a body that lies, crawls,
swims or jumps keeps its movement.

Unusual: a repaired motion is not what a model made. Evaluation never repairs.

Shapes: T frames, J joints, F two feet, P two parts of a foot.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from motionmillion.kinematics.contacts import FEET, ever_stands, find_contacts, floor_level
from motionmillion.kinematics.faults import find_faults
from motionmillion.kinematics.jitter import reach, steady_path, steady_rotations
from motionmillion.kinematics.legs import lowering, move_legs, posed
from motionmillion.kinematics.locking import CORE, RELEASE, envelope, find_locks, foot_targets, lift
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22

_FAR_BELOW = 0.3
"""Deepest point below the floor, metres, that is lifted; deeper means that the floor is not level."""
_SOLE = (0.0, 0.03)
"""Heights of the lowest toes, metres, that are right with the floor at 0: their joint is that far above the sole."""
_LOWERED = 0.03
"""Most that the hips come down for feet to reach their anchors, metres."""
_FEET = set(FEET.flatten().tolist())
_BODY = [joint for joint in range(len(SMPL22)) if joint not in _FEET]


@dataclass(frozen=True)
class RepairOptions:
    """Which parts of a motion are repaired.

    Args:
        feet: feet that touch the floor stay where they are, by inverse kinematics.
        floor: the motion is moved to put the floor at height 0, unless the toes' joints stand up to 3 cm above it
            already, and what is below the floor is lifted.
        jitter: rotations and path are steadied.
        swing: feet of an upright body that swing just above the floor are lifted by up to 3.5 cm.
        floor_height: height of the floor in the motion, metres; None finds it.

    Raises:
        ValueError: for switches that are not bool, and a height that is not finite.
    """

    feet: bool = True
    floor: bool = True
    jitter: bool = True
    swing: bool = True
    floor_height: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self)[:4]:
            if not isinstance(getattr(self, field.name), bool):
                raise ValueError(f"{field.name} must be True or False, got {getattr(self, field.name)!r}")
        if self.floor_height is not None and not np.isfinite(self.floor_height):
            raise ValueError(f"floor_height must be finite, got {self.floor_height!r}; leave it out to find it")

    def repaired_floor(self, height: float) -> float:
        """Height of the floor after the repair of a motion with the floor at `height`, metres."""
        return height if not self.floor or _SOLE[0] <= height <= _SOLE[1] else 0.0


@dataclass
class _Contacts:
    """What a window of a stream needs to know about the frames before it: contacts `[F, P]`, anchors `[F, P, 3]`."""

    touching: np.ndarray
    anchors: np.ndarray


def repaired(motion: Motion, options: RepairOptions | None = None) -> Motion:
    """The motion with what is wrong repaired; frame rate, length, skeleton and caption stay.

    Args:
        motion: a motion on SMPL22's joints, of any bone lengths.
        options: which parts are repaired; all by default.

    Raises:
        ValueError: for another skeleton.
    """
    options = options or RepairOptions()
    return _repair(check_skeleton(motion), options, None)[0]


def repair_faults(before: Motion, after: Motion, options: RepairOptions | None = None) -> str:
    """What was wrong before and after a repair with these options, on one line."""
    options = options or RepairOptions()
    given = options.floor_height
    floor = None if given is None else options.repaired_floor(given)
    told = find_faults(before, given).told(find_faults(after, floor))
    sought = options.floor and given is None
    if not sought or ever_stands(before.positions().double().cpu().numpy(), before.fps):
        return told
    return f"{told}; no foot ever stands, so the height stays unless joints are below 0"


def _floor(points: np.ndarray, fps: float) -> float:
    """Height of the floor below joints `[T, 22, 3]`; of a body that never stands 0, unless joints are below that."""
    level = floor_level(points, fps)
    return level if ever_stands(points, fps) else min(level, 0.0)


def _repair(motion: Motion, options: RepairOptions, before: _Contacts | None) -> tuple[Motion, np.ndarray, np.ndarray]:
    """The repaired motion with contacts `[T, F, P]` and anchors `[T, F, P, 3]`."""
    device, fps, skeleton = motion.rotations.device, motion.fps, motion.skeleton
    rotations, root = (v.detach().cpu().double().numpy() for v in (motion.rotations, motion.translation))
    # a step towards orthonormal matrices: errors of a file must not add up along a leg
    rotations = 0.5 * rotations @ (3.0 * np.eye(3) - rotations.swapaxes(-1, -2) @ rotations)
    # 1. steady rotations and path
    if options.jitter:
        rotations, root = steady_rotations(rotations, fps), steady_path(root, fps)
    # 2. put the floor at 0, and the body above it
    points, _ = posed(skeleton, rotations, root)
    level = _floor(points, fps) if options.floor_height is None else options.floor_height
    if options.floor:
        height = options.repaired_floor(level)
        root, points = (v + np.array([0.0, height - level, 0.0]) for v in (root, points))
        level = height
        depth = level - points[:, _BODY, 1].min(1)
        up = envelope(np.where(depth < _FAR_BELOW, depth.clip(0.0), 0.0), fps, 0.1, 0.1)
        root = root + up[:, None] * np.array([0.0, 1.0, 0.0])
        points = points + up[:, None, None] * np.array([0.0, 1.0, 0.0])
    # 3. find contacts and their anchors
    touching, anchors = (None, None) if before is None else (before.touching, before.anchors)
    contacts = find_contacts(points, fps, level, touching)
    locks = find_locks(points, contacts, fps, anchors)
    # 4. move the feet to them, lift low swings, and keep feet above the floor
    held = locks if options.feet else np.full(locks.shape, np.nan)
    ankles, toes = foot_targets(points, held, fps)
    if options.swing:
        raised = lift(points, toes, locks, level, fps)
        ankles[..., 1], toes[..., 1] = ankles[..., 1] + raised, toes[..., 1] + raised
    if options.floor:
        sunk = envelope((level - toes[..., 1]).clip(0.0), fps, 0.034, 0.034)
        sunk = np.where((sunk < _FAR_BELOW), sunk, 0.0)
        ankles[..., 1], toes[..., 1] = ankles[..., 1] + sunk, toes[..., 1] + sunk
    # 5. lower the hips where legs are too short, and bend the legs
    if options.feet or options.swing or options.floor:
        down = envelope(np.minimum(lowering(points, ankles), _LOWERED), fps, 0.034, 0.1)
        root = root - down[:, None] * np.array([0.0, 1.0, 0.0])
        rotations = move_legs(skeleton, rotations, root, ankles, toes, fps)
    turned, path = torch.from_numpy(rotations).to(device), torch.from_numpy(root).to(device)
    return motion.replace(rotations=turned, translation=path), contacts, locks


def repaired_stream(
    pieces: Iterable[Motion], options: RepairOptions | None = None, look_ahead: float = 1.0
) -> Iterator[Motion]:
    """Repair a motion that comes in pieces; `Motion.join` of the result is the repaired whole, up to rounding.

    A frame is yielded when `look_ahead` more seconds are there. The height of the floor is that of the first window
    unless the options give it, so a whole with another floor differs by that much.

    Args:
        pieces: consecutive pieces of one motion, such as those of `MotionPipeline.stream`.
        options: which parts are repaired; all by default.
        look_ahead: seconds, at least that of the filters and of a contact's beginning.

    Raises:
        ValueError: for pieces that do not belong together, another skeleton, and a look-ahead that is too short.
    """
    options = options or RepairOptions()
    if not look_ahead >= CORE + 2 * RELEASE:
        raise ValueError(f"look_ahead must be at least {CORE + 2 * RELEASE:g} seconds, got {look_ahead!r}")
    kept: Motion | None = None  # frames not yielded, and those before that a window needs
    done = 0  # frames of `kept` that are yielded
    before: _Contacts | None = None
    for piece in pieces:
        check_skeleton(piece)
        kept = piece if kept is None else Motion.join([kept, piece])
        ahead = round(look_ahead * kept.fps) + reach(kept.fps)
        stop = kept.num_frames - ahead
        if stop <= done:
            continue
        options = _with_floor(kept, options)
        made, contacts, locks = _repair(kept, options, before)
        yield made.slice(done, stop)
        # the next window begins far enough before `stop` for the filters, with its contacts known
        start = max(stop - ahead, 0)
        if start > 0:
            before = _Contacts(contacts[start - 1], locks[start])
            kept = kept.slice(start, kept.num_frames)
        done = stop - start
    if kept is not None:
        yield _repair(kept, _with_floor(kept, options), before)[0].slice(done, kept.num_frames)


def _with_floor(motion: Motion, options: RepairOptions) -> RepairOptions:
    if options.floor_height is not None:
        return options
    return replace(options, floor_height=_floor(motion.positions().double().cpu().numpy(), motion.fps))


def check_skeleton(motion: Motion) -> Motion:
    """Return the motion if its joints are SMPL22's; raises `ValueError` otherwise."""
    if motion.skeleton.names != SMPL22.names:
        raise ValueError(
            f"motion must have SMPL22's joints to be repaired, got {len(motion.skeleton)} joints; read it from a file "
            "with Motion.load, which retargets it"
        )
    return motion
