"""Physical plausibility: measures of joint positions, five of them MBench's.

    foot_sliding(motion.positions(), fps=motion.fps)                            # one motion -> float
    physics_measures([m.positions() for m in motions], fps=[m.fps for m in motions])     # many -> name: [N]

| function | meaning | unit |
|---|---|---|
| `jitter_degree` | mean acceleration, in world coordinates plus pelvis-relative | m/frame^2 (x 400: m/s^2) |
| `jerk` | mean third difference, in world coordinates plus pelvis-relative (ours) | m/frame^3 (x 8000: m/s^3) |
| `dynamic_degree` | mean speed, in world coordinates plus pelvis-relative | m/frame (x 20: m/s) |
| `ground_penetration` | mean depth of the feet where they are more than 5 mm below the floor | m |
| `foot_sliding` | mean horizontal speed of the feet while they touch the floor | m/frame (x 20: m/s) |
| `foot_floating` | fraction of frames in which the feet do not carry the body | of frames, may exceed 1 |
| `foot_contact` | fraction of feet that touch the floor (ours) | of feet, 0 to 1 |

The floor is at height 0. A foot is represented by its toe joint; it touches the floor if it moves less than 1 cm per
frame or is below 2 cm. Low jitter means little if the dynamic degree is low too: report both.

Unusual: a frame lasts 1/20 s, as in MBench; other frame rates are resampled first (cubic, Catmull-Rom), because frame
counts and per-frame thresholds are part of the formulas. MBench's own scripts read y-up files as if z were up; here
`up` sets the axis. A single motion is a batch of one, with the same code.

Source: ViMoGen (arXiv 2510.26794), MBench; formulas as in its released evaluation.

Shapes: N clips, B clips in a batch, T frames, F two feet.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from motionmillion.eval.inputs import Numbers, to_tensors
from motionmillion.eval.padded_clips import FPS, PaddedClips, padded_clips
from motionmillion.skeleton import SMPL22

MBENCH_FPS = FPS
_TOES = [SMPL22.names.index("left_foot"), SMPL22.names.index("right_foot")]
_TINY = 1e-6
_STILL_ROOT = 1e-3  # m/frame; below it there is no telling whether feet carry the body
_STILL_FOOT = 1.2e-4  # m/frame
_SLOW_RATIO, _FAST_RATIO, _DRAGGED_RATIO = 0.6, 1.75, 0.4
_SHORTEST_FLIGHT = 4  # frames

Up = Literal["y", "z"]


def physics_measures(
    clips: Sequence[Numbers], up: Up = "y", fps: float | Sequence[float] = 30.0, names: Sequence[str] | None = None
) -> dict[str, Tensor]:
    """All measures of many motions, float64 `[N]` by name (`PHYSICS`); clips do not affect each other.

    Args:
        clips: N positions `[T, 22, 3]`, metres, each of its own length; tensors, arrays or nested lists.
        up: the axis that points up.
        fps: frames per second, of all clips or of each.
        names: names of the clips, for errors; "clips[3]" otherwise.

    Raises:
        ValueError: for no clips, a wrong shape, non-finite positions, an unknown axis, a frame rate that is
            not positive, or another number of rates or names than of clips.
    """
    clips = to_tensors("clips", clips, names)
    values = {name: torch.zeros(len(clips), dtype=torch.float64) for name in PHYSICS}
    for batch in padded_clips(clips, up, fps, names):
        gait = _Gait(batch)
        for name, measure in _MEASURES.items():
            values[name][batch.index] = measure(gait).cpu()
    return values


def jitter_degree(positions: Numbers, up: Up = "y", fps: float = MBENCH_FPS) -> float:
    """Mean joint acceleration in world coordinates plus that relative to the pelvis, m/frame^2.

    Fewer than three frames (of 1/20 s) have no acceleration: the value is then 0.0, which means "not measured", not
    "smooth".

    Args:
        positions: `[T, 22, 3]`, metres; a tensor, an array or nested lists.
        up: the axis that points up.
        fps: frames per second of `positions`.

    Raises:
        ValueError: for a wrong shape, non-finite positions, an unknown axis, or a frame rate that is not
            positive.
    """
    return _single("jitter_degree", positions, up, fps)


def dynamic_degree(positions: Numbers, up: Up = "y", fps: float = MBENCH_FPS) -> float:
    """Mean joint speed in world coordinates plus that relative to the pelvis, m/frame; see `jitter_degree`."""
    return _single("dynamic_degree", positions, up, fps)


def ground_penetration(positions: Numbers, up: Up = "y", fps: float = MBENCH_FPS) -> float:
    """Mean depth in metres of feet deeper than 5 mm, 0 without any; see `jitter_degree`."""
    return _single("ground_penetration", positions, up, fps)


def foot_sliding(positions: Numbers, up: Up = "y", fps: float = MBENCH_FPS) -> float:
    """Mean horizontal speed of touching feet, m/frame, averaged over both; see `jitter_degree`."""
    return _single("foot_sliding", positions, up, fps)


def foot_floating(positions: Numbers, up: Up = "y", fps: float = MBENCH_FPS) -> float:
    """Fraction of frames whose feet do not carry the body; arguments as for `jitter_degree`.

    The sum of three counts of frames, the first without frames with a still pelvis: A, all touching feet move
    and their speed relative to the pelvis is below 0.6 or above 1.75 times that of the pelvis; B, a foot in the air
    moves with the pelvis (half a frame each); C, both feet are in the air and the left one swings back and forth.
    """
    return _single("foot_floating", positions, up, fps)


def foot_contact(positions: Numbers, up: Up = "y", fps: float = MBENCH_FPS) -> float:
    """Fraction of feet that touch the floor, over both feet and all frames; see `jitter_degree`."""
    return _single("foot_contact", positions, up, fps)


def _single(name: str, positions: Numbers, up: str, fps: float) -> float:
    batch = next(padded_clips([positions], up, fps, ["positions"]))
    return float(_MEASURES[name](_Gait(batch)))


class _Gait:
    """Common inputs of the measures: a batch's feet, their speed and floor contact."""

    def __init__(self, batch: PaddedClips) -> None:
        self.batch, self.joints, self.frames = batch, batch.joints, batch.frames
        self.mask = batch.mask[..., None]  # [B, T, 1]
        self.feet = batch.joints[:, :, _TOES]  # [B, T, F, 3]

    @cached_property
    def velocity(self) -> Tensor:
        """Velocity of the feet, `[B, T, F, 3]`."""
        return self.batch.velocity(self.feet)

    @cached_property
    def touching(self) -> Tensor:
        """Which feet touch the floor, bool `[B, T, F]`."""
        return ((self.velocity.norm(dim=-1) < 0.01) | (self.feet[..., 2] < 0.02)) & self.mask

    @cached_property
    def in_air(self) -> Tensor:
        """Which feet do not touch the floor, bool `[B, T, F]`."""
        return ~self.touching & self.mask


def _mean_difference(gait: _Gait, order: int) -> Tensor:
    """Mean length of the differences of an order, in world coordinates plus relative to the pelvis, `[B]`."""
    if gait.joints.shape[1] <= order:
        return gait.joints.new_zeros(len(gait.joints))
    counts = (gait.frames - order).clamp(min=0)  # [B]
    total = gait.joints.new_zeros(len(counts))
    for points in (gait.joints, gait.joints - gait.joints[:, :, :1]):
        lengths = points.diff(n=order, dim=1).norm(dim=-1).mean(-1)  # [B, T - order]
        total += (lengths * gait.batch.mask[:, order:]).sum(1)
    return total / counts.clamp(min=1)


def _penetration(gait: _Gait) -> Tensor:
    height = gait.feet[..., 2]  # [B, T, F]
    below = (height < -0.005) & gait.mask
    return -(height * below).sum((1, 2)) / below.sum((1, 2)).clamp(min=1)


def _sliding(gait: _Gait) -> Tensor:
    speed = gait.velocity[..., :2].norm(dim=-1)  # [B, T, F]
    touching = gait.touching.double()  # an integer tensor plus a small float would be float32
    return ((speed * touching).sum(1) / (touching.sum(1) + _TINY)).mean(1)


def _contact(gait: _Gait) -> Tensor:
    return gait.touching.sum((1, 2)) / (2 * gait.frames.double())


def _floating(gait: _Gait) -> Tensor:
    root_velocity = gait.batch.velocity(gait.joints[:, :, :1])  # [B, T, 1, 3]
    root_speed, speed = root_velocity.norm(dim=-1), gait.velocity.norm(dim=-1)  # [B, T, 1], [B, T, F]
    ratio = (gait.velocity - root_velocity).norm(dim=-1) / (root_speed + _TINY)
    still = root_speed < _STILL_ROOT
    odd = ((ratio < _SLOW_RATIO) | (ratio > _FAST_RATIO)) & (speed > _STILL_FOOT) & ~still
    unsteady = gait.touching.any(-1) & (odd | ~gait.touching).all(-1)  # [B, T], A
    flight = _Flights(gait.in_air)
    dragged = flight.long & (2 * flight.total(still) <= flight.frames) & (ratio < _DRAGGED_RATIO)  # [B, T, F], B
    both = _Flights(gait.in_air.all(-1))
    swinging = both.long & (both.total(_turns(gait.feet[:, :, 0], both)) > 2)  # [B, T], C
    frames = unsteady.sum(1) + dragged.double().sum((1, 2)) / 2 + swinging.sum(1)
    return frames / gait.frames


class _Flights:
    """Runs of true values along the frames of bool `[B, T, ...]`, stored at each frame of a run.

    `start` and `stop` are the first frame of a run and the one after its last, `frames` their difference; `long` marks
    the frames of runs that are long enough. Values at frames outside of runs are undefined.
    """

    def __init__(self, in_air: Tensor) -> None:
        count = in_air.shape[1]
        time = torch.arange(count, device=in_air.device).view(1, count, *[1] * (in_air.ndim - 2))
        self.start = torch.where(in_air, 0, time + 1).cummax(1).values.clamp(max=count - 1)
        self.stop = torch.where(in_air, count, time).flip(1).cummin(1).values.flip(1)
        self.frames = self.stop - self.start
        self.long = in_air & (self.frames >= _SHORTEST_FLIGHT)

    def total(self, flags: Tensor) -> Tensor:
        """Number of true `flags` `[B, T, ...]` in the run of each frame."""
        counts = torch.nn.functional.pad(flags.expand_as(self.start).long().movedim(1, -1), (1, 0)).cumsum(-1)
        counts = counts.movedim(-1, 1)  # [B, T + 1, ...], number of true values before a frame
        return counts.gather(1, self.stop) - counts.gather(1, self.start)


def _turns(path: Tensor, flight: _Flights) -> Tensor:
    """Frames at which the direction from the start of a flight turns back towards its end, bool `[B, T]`.

    Args:
        path: `[B, T, 3]`.
        flight: runs over `[B, T]`.
    """
    rows, time = (torch.arange(size, device=path.device) for size in path.shape[:2])
    rows = rows[:, None]
    way = path - path[rows, flight.start]
    direction = way / (way.norm(dim=-1, keepdim=True) + _TINY)
    cosine = (direction * direction[rows, (flight.stop - 1).clamp(min=0)]).sum(-1)  # [B, T]
    rise = torch.nn.functional.pad(cosine.diff(dim=1), (1, 0)).sign()
    rise = rise * (time > flight.start + 1)  # the first frame has no direction, the second no predecessor
    # A level peak counts once: a rise counts if the last frame before it that was not level fell.
    changed = torch.where(rise != 0, time, -1).cummax(1).values
    before = torch.nn.functional.pad(changed[:, :-1], (1, 0), value=-1)  # [B, T]
    fell = (before > flight.start + 1) & (rise.gather(1, before.clamp(min=0)) < 0)
    return (rise > 0) & fell


_MEASURES: dict[str, Callable[[_Gait], Tensor]] = {
    "jitter_degree": lambda gait: _mean_difference(gait, 2),
    "jerk": lambda gait: _mean_difference(gait, 3),
    "dynamic_degree": lambda gait: _mean_difference(gait, 1),
    "ground_penetration": _penetration,
    "foot_sliding": _sliding,
    "foot_floating": _floating,
    "foot_contact": _contact,
}
PHYSICS = tuple(_MEASURES)
"""Names of all measures."""
