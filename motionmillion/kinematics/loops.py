"""Loops: a part of a motion that can be repeated without a visible seam, such as a step cycle of a walk.

    loop = find_loop(walk)                      # or walk.loop(), which returns loop.motion
    loop.motion                                 # frames 0..N-1; frame N is frame 0, moved by the cycle's transform
    loop.displacement, loop.turn, loop.speed    # where the next cycle begins
    loop.repeated(3).save("walk.html")          # three cycles, one after the other
    loop.closed                                 # N + 1 frames, the last one the first of the next cycle, for engines

1. All pairs of frames are compared by their poses and velocities as seen from the pelvis' place and heading; the pair
   that is most alike, in a part of the motion where something happens, bounds the loop.
2. What is left of the difference at the seam (pose, velocity and acceleration) is taken back on both sides of it, half
   each, along polynomials that end after `fade` seconds (inertialization, Bollo 2018, here in both directions), so no
   frame is a blend of two poses.
3. Feet that touch the floor are held, across the seam too.

Unusual: the loop keeps its travel and its turn; `in_place` of the result removes them.

Shapes: T frames, N frames of a cycle, J joints.
"""

import functools
import math
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from motionmillion.kinematics.contacts import find_contacts, runs
from motionmillion.kinematics.repair import RepairOptions, repaired
from motionmillion.kinematics.roots import headings
from motionmillion.kinematics.seams import straightened, without_seam
from motionmillion.motion import Motion, rotation_y
from motionmillion.skeleton import SMPL22

LIMIT = 0.2
"""Largest difference of two frames that are taken for a seam, metres; see `find_loop`."""
_VELOCITY = 0.1
"""Seconds by which a difference of velocities counts as one of positions."""
_ACTIVITY = 0.1
"""Metres that a pair of frames may differ more if twice as much moves between them."""
_TRIES, _APART, _WORSE = 6, 0.1, 0.03
"""Seams that are tried at most, seconds between them, and metres that they may be worse than the best one."""
_CALM = 0.0003
"""Metres that a pair of frames may differ more for a metre per second squared less of acceleration."""
_STILL = (0.2, 0.1)
"""Turn in radians and travel in metres of a cycle below which a body stays where it is."""
_SEARCHED = 1500
"""Most frames that are compared with each other."""
_AROUND = 1.5
"""Seconds of other cycles around the one whose feet are held."""
_FEET = RepairOptions(feet=True, floor=False, jitter=False, swing=False)


@dataclass(frozen=True)
class LoopOptions:
    """How a loop is found and closed.

    Args:
        min_seconds: shortest cycle.
        max_seconds: longest cycle; None for no limit.
        fade: seconds on either side of the seam in which the motion returns to what it was.
        feet: hold feet that touch the floor, on SMPL22's joints.
        straight: spread the cycle's turn over the cycle in reverse, so that the loop goes straight on.
        limit: largest difference of poses and velocities at the seam, metres.

    Raises:
        ValueError: for numbers that are not positive, and a longest cycle below the shortest one.
    """

    min_seconds: float = 0.5
    max_seconds: float | None = None
    fade: float = 0.4
    feet: bool = True
    straight: bool = False
    limit: float = LIMIT

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("feet", "straight"):
                if not isinstance(value, bool):
                    raise ValueError(f"{field.name} must be True or False, got {value!r}")
            elif value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{field.name} must be positive, got {value!r}")
        if self.max_seconds is not None and self.max_seconds < self.min_seconds:
            raise ValueError(
                f"max_seconds must be at least min_seconds, {self.min_seconds:g}, got {self.max_seconds!r}"
            )


@dataclass(frozen=True, eq=False)
class Loop:
    """A motion that continues at its own beginning, and how it was made.

    Args:
        motion: N frames; frame N would be frame 0, turned and moved.
        start, stop: frames of the source that it is made of, `stop` excluded; the poses of both were alike.
        displacement: from frame 0 to frame N in x and z, metres.
        turn: from frame 0 to frame N about +y, radians.
        difference: of poses and velocities at the seam before it was closed, metres.
    """

    motion: Motion
    start: int
    stop: int
    displacement: tuple[float, float]
    turn: float
    difference: float

    @property
    def seconds(self) -> float:
        """Length of a cycle."""
        return self.motion.seconds

    @property
    def speed(self) -> float:
        """Mean speed along the floor, metres per second; on an arc if the cycle turns."""
        half = abs(math.remainder(self.turn, math.tau)) / 2
        bend = half / math.sin(half) if half > 1e-6 else 1.0
        return math.hypot(*self.displacement) * bend / self.seconds

    @property
    def closed(self) -> Motion:
        """N + 1 frames, the last one the first of the next cycle: a clip that engines repeat without a pause."""
        return self.repeated(2).slice(0, self.motion.num_frames + 1)

    @property
    def seam_acceleration(self) -> float:
        """Largest acceleration of a joint across the seam, metres per second squared."""
        return float(self._accelerations[[0, -1]].max())

    @property
    def inside_acceleration(self) -> float:
        """Largest acceleration of a joint elsewhere in the cycle, metres per second squared."""
        return float(self._accelerations[1:-1].max())

    @functools.cached_property
    def _accelerations(self) -> Tensor:
        """Largest acceleration among the joints in each frame `[N]`."""
        frames = self.motion.num_frames
        many = self.repeated(3).slice(frames - 1, 2 * frames + 1)
        joints = many.skeleton.forward_kinematics(many.rotations.double(), many.translation.double())[0]
        return joints.diff(n=2, dim=0).norm(dim=-1).amax(-1) * self.motion.fps**2

    def repeated(self, times: int) -> Motion:
        """The loop several times in a row.

        Raises:
            ValueError: if `times` is not a whole number of at least 1.
        """
        if not isinstance(times, int) or isinstance(times, bool) or times < 1:
            raise ValueError(f"times must be a whole number of at least 1, got {times!r}")
        rotations, path = self.motion.rotations.double(), self.motion.translation.double()
        start, turn = path[0], rotation_y(path.new_tensor(self.turn))
        step = path.new_tensor([self.displacement[0], 0.0, self.displacement[1]])
        turned, moved = [rotations], [path]
        for _ in range(times - 1):
            last, there = turned[-1].clone(), moved[-1]
            last[:, 0] = turn @ last[:, 0]
            turned.append(last)
            moved.append((there - start) @ turn.mT + start + step)
        return self.motion.replace(rotations=torch.cat(turned), translation=torch.cat(moved))


def find_loop(motion: Motion, options: LoopOptions | None = None) -> Loop:
    """The best loop in a motion; of several that are about as good, the first with a seam no rougher than the rest.

    The difference of two frames is the root mean square over joints of the distances of their positions, seen from the
    pelvis' place and heading, and of 0.1 s times those of their velocities.

    Raises:
        ValueError: for a motion without two frames that are alike and far enough apart.
    """
    options = options or LoopOptions()
    made: list[Loop] = []
    for start, stop, difference in _seams(motion, options):
        made.append(closed_loop(motion, start, stop, options, difference))
        if made[-1].seam_acceleration <= made[-1].inside_acceleration:
            return made[-1]
    return min(made, key=lambda loop: loop.seam_acceleration / max(loop.inside_acceleration, 1e-9))


def closed_loop(
    motion: Motion, start: int, stop: int, options: LoopOptions | None = None, difference: float = math.nan
) -> Loop:
    """The loop of the frames `start` to `stop` (exclusive) of a motion, with a seam as in `find_loop`.

    Args:
        start, stop: frames with a frame before and after them, as alike as possible.
        difference: of the two, for the report.

    Raises:
        ValueError: for frames out of range.
    """
    options = options or LoopOptions()
    if not 1 <= start < stop - 3 or not stop <= motion.num_frames - 2:
        raise ValueError(
            f"start and stop must be frames in 1..{motion.num_frames - 2}, at least 4 apart, got {start} and {stop}"
        )
    rotations, path = motion.rotations.double(), motion.translation.double()
    rotations, path = rotations[start - 1 : stop + 2], path[start - 1 : stop + 2]
    if options.straight:
        rotations, path = straightened(rotations, path)
    yaw = headings(rotations[:, 0])
    turn, step = float(yaw[-2] - yaw[1]), (path[-2] - path[1]) * path.new_tensor([1.0, 0.0, 1.0])
    if abs(turn) < _STILL[0] and float(step.norm()) < _STILL[1]:
        turn, step = 0.0, torch.zeros_like(step)
    # all frames but the first and last two belong to the loop, which begins at frame 1
    turned, moved = without_seam(rotations, path, turn, step, options.fade * motion.fps)
    made = motion.replace(rotations=turned, translation=moved)
    loop = Loop(made, start, stop, (float(step[0]), float(step[2])), turn, difference)
    return _with_held_feet(loop) if options.feet and motion.skeleton.names == SMPL22.names else loop


def _seams(motion: Motion, options: LoopOptions) -> list[tuple[int, int, float]]:
    """First frame of a loop, the frame that is like it, and their difference; for the best loops, best first."""
    fps, last = motion.fps, motion.num_frames - 2
    shortest = max(math.ceil(options.min_seconds * fps), 4)
    longest = last if options.max_seconds is None else max(math.floor(options.max_seconds * fps), shortest)
    if last - 1 < shortest:
        raise ValueError(
            f"motion must be longer than min_seconds, {options.min_seconds:g} s, to be looped, got "
            f"{motion.seconds:.2f} s; take a longer one or a shorter min_seconds"
        )
    search = _Search(*_states(motion), shortest, longest, options.limit)
    # every few frames first, then all frames around the best pairs
    stride = max(round(fps / 30.0), math.ceil(last / _SEARCHED), 1)
    every = np.arange(1, last + 1, stride)
    found = search.best(every, every, _TRIES, max(round(_APART * fps), 1))
    if stride > 1:
        near = [[np.arange(max(f - stride, 1), min(f + stride, last) + 1) for f in pair[:2]] for pair in found]
        found = [search.best(first, second)[0] for first, second in near]
    if not found[0][2] <= options.limit:
        raise ValueError(
            f"motion must have two like frames at least {options.min_seconds:g} s apart to be looped, got a "
            f"difference of {found[0][2]:.2f} m at best (limit {options.limit:g} m); take a motion that repeats itself"
        )
    return found


def _states(motion: Motion) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pose and velocity of each frame `[T, 6 J]` in its heading frame, the sum of the joints' mean speeds up to it
    `[T]`, and the largest acceleration of a joint `[T]`."""
    rotations, path = motion.rotations.detach().cpu().double(), motion.translation.detach().cpu().double()
    joints = motion.skeleton.forward_kinematics(rotations, path)[0]
    unturn = rotation_y(-headings(rotations[:, 0]))
    ground = path * joints.new_tensor([1.0, 0.0, 1.0])
    local = (joints - ground[:, None]) @ unturn.mT
    velocity = torch.from_numpy(np.gradient(joints.numpy(), axis=0)) * motion.fps
    scale = 1.0 / math.sqrt(joints.shape[1])
    states = torch.cat([local, _VELOCITY * (velocity @ unturn.mT)], dim=-1).flatten(1) * scale
    unrest = joints.diff(n=2, dim=0).norm(dim=-1).amax(-1).numpy() * motion.fps**2
    unrest = np.pad(unrest, 1, mode="edge")
    return states.numpy(), velocity.norm(dim=-1).mean(-1).cumsum(0).numpy(), unrest


@dataclass(frozen=True)
class _Search:
    """What is compared, see `_states`; shortest and longest cycle in frames, and the largest difference in metres."""

    states: np.ndarray
    activity: np.ndarray
    unrest: np.ndarray
    shortest: int
    longest: int
    limit: float

    def best(
        self, starts: np.ndarray, stops: np.ndarray, count: int = 1, apart: int = 1
    ) -> list[tuple[int, int, float]]:
        """Pairs of frames that differ least, with movement rather than rest between them and rest at the seam.

        Args:
            starts, stops: frames to choose from.
            count: most pairs, of about the same cost as the best one.
            apart: frames between their beginnings or ends.
        """
        difference = torch.cdist(torch.from_numpy(self.states[starts]), torch.from_numpy(self.states[stops])).numpy()
        length = stops[None] - starts[:, None]
        allowed = (length >= self.shortest) & (length <= self.longest)
        if not allowed.any():  # the neighbours of a pair of just the shortest length
            return [(int(starts[0]), int(stops[-1]), float(difference[0, -1]))]
        alike = allowed & (difference <= self.limit)
        if not alike.any():
            row, column = np.unravel_index(int(np.where(allowed, difference, np.inf).argmin()), difference.shape)
            return [(int(starts[row]), int(stops[column]), float(difference[row, column]))]
        mean = (self.activity[stops][None] - self.activity[starts][:, None]) / np.maximum(length, 1)
        cost = difference + _ACTIVITY * (1.0 - mean / max(float(mean[alike].max()), 1e-9))
        cost = cost + _CALM * (self.unrest[starts][:, None] + self.unrest[stops][None]) / 2.0
        cost = np.where(alike, cost, np.inf)
        found: list[tuple[int, int, float]] = []
        most = float(cost.min()) + _WORSE
        while len(found) < count and cost.min() <= most:
            row, column = np.unravel_index(int(cost.argmin()), cost.shape)
            start, stop = int(starts[row]), int(stops[column])
            found.append((start, stop, float(difference[row, column])))
            near = (np.abs(starts - start) < apart)[:, None] & (np.abs(stops - stop) < apart)[None]
            cost = np.where(near, np.inf, cost)
        return found


def _with_held_feet(loop: Loop) -> Loop:
    """The loop with feet held while they touch the floor, across the seam too."""
    many, around = in_company(loop)
    if (loop.turn or any(loop.displacement)) and _never_lifts(many, loop.motion.num_frames):
        return loop  # a body that turns on a foot: held, it would not be where the next cycle begins
    return replace(loop, motion=from_company(loop, repaired(many, _FEET), around))


def in_company(loop: Loop) -> tuple[Motion, int]:
    """The loop with other cycles around it, and how many there are before it."""
    around = math.ceil(_AROUND / loop.seconds)
    return loop.repeated(2 * around + 1), around


def from_company(loop: Loop, many: Motion, around: int) -> Motion:
    """The middle one of the cycles of `in_company`, at the place of the first one."""
    frames = loop.motion.num_frames
    middle = many.slice(around * frames, (around + 1) * frames)
    rotations, path = middle.rotations.double(), middle.translation.double()
    turn, there = rotation_y(path.new_tensor(-loop.turn * around)), path[0].clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    start = loop.motion.translation[0].double() * path.new_tensor([1.0, 0.0, 1.0])
    start = start + there * path.new_tensor([0.0, 1.0, 0.0])
    return loop.motion.replace(rotations=rotations, translation=(path - there) @ turn.mT + start)


def _never_lifts(motion: Motion, frames: int) -> bool:
    """Whether a part of a foot touches the floor for `frames` frames on end."""
    contacts = find_contacts(motion.positions(), motion.fps)
    flags = contacts.reshape(len(contacts), -1).T
    return any(stop - start >= frames for own in flags for start, stop in runs(own))
