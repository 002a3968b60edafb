"""Does a motion look physical? Five measures of MBench on joint positions alone.

    foot_sliding(motion.positions(), fps=motion.fps)

| function | meaning | unit |
|---|---|---|
| `jitter_degree` | mean acceleration, in the world plus about the pelvis | m/frame^2 |
| `dynamic_degree` | mean speed, in the world plus about the pelvis | m/frame |
| `ground_penetration` | mean depth of the feet where they are more than 5 mm below the floor | m |
| `foot_sliding` | mean horizontal speed of the feet while they touch the floor | m/frame |
| `foot_floating` | share of frames in which the feet do not carry the body | of frames, may exceed 1 |

The floor is at height 0. A foot is its toe joint; it touches the floor where it moves less than 1 cm a frame or is
lower than 2 cm. Low jitter means little where the dynamic degree is low too: report both.

Unusual: a frame lasts 1/20 s, as in MBench; another frame rate is resampled first (cubic, Catmull-Rom), because
counts of frames and thresholds per frame are part of the formulas. MBench's own scripts read y-up files as if z were
up; here `up` says which it is.

Source: ViMoGen (arXiv 2510.26794), MBench; formulas as in its released evaluation. Shapes: T frames.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from motionmillion.skeleton import SMPL22

MBENCH_FPS = 20.0
_TOES = [SMPL22.names.index("left_foot"), SMPL22.names.index("right_foot")]
_UP = {"y": 1, "z": 2}
_TINY = 1e-6
_STILL_ROOT = 1e-3  # m/frame; below it nobody can tell whether feet carry the body
_STILL_FOOT = 1.2e-4  # m/frame
_SLOW_RATIO, _FAST_RATIO, _DRAGGED_RATIO = 0.6, 1.75, 0.4
_SHORTEST_FLIGHT = 4  # frames


def jitter_degree(positions: Tensor, up: Literal["y", "z"] = "y", fps: float = MBENCH_FPS) -> float:
    """Mean joint acceleration in the world plus that about the pelvis, m/frame^2; 0 for less than three frames.

    Args:
        positions: `[T, 22, 3]`, metres.
        up: the axis that points up.
        fps: frames per second of `positions`.

    Raises:
        ValueError: for another shape, an unknown axis, or a frame rate that is not positive.
    """
    return _mean_difference(_joints(positions, up, fps), 2)


def dynamic_degree(positions: Tensor, up: Literal["y", "z"] = "y", fps: float = MBENCH_FPS) -> float:
    """Mean joint speed in the world plus that about the pelvis, m/frame; arguments as for `jitter_degree`."""
    return _mean_difference(_joints(positions, up, fps), 1)


def ground_penetration(positions: Tensor, up: Literal["y", "z"] = "y", fps: float = MBENCH_FPS) -> float:
    """Mean depth in metres of feet deeper than 5 mm, 0 if there are none; arguments as for `jitter_degree`."""
    height = _joints(positions, up, fps)[:, _TOES, 2]
    below = height[height < -0.005]
    return float(-below.mean()) if below.numel() else 0.0


def foot_sliding(positions: Tensor, up: Literal["y", "z"] = "y", fps: float = MBENCH_FPS) -> float:
    """Mean horizontal speed of touching feet, m/frame, averaged over both; arguments as for `jitter_degree`."""
    joints = _joints(positions, up, fps)
    touching = _touching(joints)
    speed = _velocity(joints[:, _TOES])[..., :2].norm(dim=-1)  # [T, 2]
    return float(((speed * touching).sum(0) / (touching.sum(0) + _TINY)).mean())


def foot_floating(positions: Tensor, up: Literal["y", "z"] = "y", fps: float = MBENCH_FPS) -> float:
    """Share of frames whose feet do not carry the body; arguments as for `jitter_degree`.

    Three counts of frames are added, frames with a standing pelvis left out of the first: A, all touching feet move
    and their speed relative to the pelvis is below 0.6 or above 1.75 times that of the pelvis; B, a foot in the air
    moves along with the pelvis (half a frame each); C, both feet are in the air and the left one swings to and fro.
    """
    joints = _joints(positions, up, fps)
    feet, touching = joints[:, _TOES], _touching(joints)
    root_velocity, velocity = _velocity(joints[:, 0]), _velocity(feet)
    root_speed, speed = root_velocity.norm(dim=-1), velocity.norm(dim=-1)  # [T], [T, 2]
    ratio = (velocity - root_velocity[:, None]).norm(dim=-1) / (root_speed[:, None] + _TINY)
    still = root_speed < _STILL_ROOT
    odd = ((ratio < _SLOW_RATIO) | (ratio > _FAST_RATIO)) & (speed > _STILL_FOOT) & ~still[:, None]
    frames = float((touching.any(1) & (odd | ~touching).all(1)).sum())  # A
    for foot in range(2):
        for start, stop in _flights(~touching[:, foot]):
            if float(still[start:stop].double().mean()) <= 0.5:
                frames += float((ratio[start:stop, foot] < _DRAGGED_RATIO).sum()) / 2  # B
    for start, stop in _flights(~touching.any(1)):
        if _swings(feet[start:stop, 0]) > 2:
            frames += stop - start  # C
    return frames / len(joints)


def _joints(positions: Tensor, up: str, fps: float) -> Tensor:
    """Checked positions `[T, 22, 3]`, float64, z up, 20 frames per second."""
    if positions.ndim != 3 or positions.shape[0] == 0 or positions.shape[1:] != (len(SMPL22), 3):
        raise ValueError(f"positions must have shape [T, 22, 3] with T > 0, got {tuple(positions.shape)}")
    if up not in _UP:
        raise ValueError(f'up must be "y" or "z", got {up!r}')
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps must be a positive number, got {fps!r}")
    joints = positions.double()
    if up == "y":
        joints = joints[..., [2, 0, 1]]
    return joints if fps == MBENCH_FPS else _resample(joints, fps)


def _resample(joints: Tensor, fps: float) -> Tensor:
    """`[T, J, 3]` at 20 frames per second on the Catmull-Rom spline through the frames."""
    last = joints.shape[0] - 1
    if last == 0:
        return joints
    count = int(math.floor(last * MBENCH_FPS / fps + 1e-6)) + 1
    time = torch.arange(count, dtype=torch.float64, device=joints.device) * (fps / MBENCH_FPS)
    index = time.floor().long().clamp(max=last - 1)
    t = (time - index)[:, None, None]
    before, after = 2 * joints[:1] - joints[1:2], 2 * joints[-1:] - joints[-2:-1]  # the ends go on straight
    padded = torch.cat([before, joints, after])
    p0, p1, p2, p3 = (padded[index + k] for k in range(4))
    bend = t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0))
    return p1 + t / 2 * (p2 - p0 + bend)


def _velocity(points: Tensor) -> Tensor:
    """Step to the next frame `[T, ...]`; the last frame repeats the step before it."""
    step = points.diff(dim=0)
    return torch.cat([step, step[-1:]]) if len(step) else torch.zeros_like(points)


def _touching(joints: Tensor) -> Tensor:
    """Which feet touch the floor, bool `[T, 2]`."""
    feet = joints[:, _TOES]
    return (_velocity(feet).norm(dim=-1) < 0.01) | (feet[..., 2] < 0.02)


def _mean_difference(joints: Tensor, order: int) -> float:
    if joints.shape[0] <= order:
        return 0.0
    about_pelvis = joints - joints[:, :1]
    return float(sum(points.diff(n=order, dim=0).norm(dim=-1).mean() for points in (joints, about_pelvis)))


def _flights(in_air: Tensor) -> list[tuple[int, int]]:
    """First frame and the frame behind the last of each run of four or more true values of `[T]`."""
    edges = torch.nn.functional.pad(in_air.int(), (1, 1)).diff().cpu()
    starts, stops = (edges == 1).nonzero()[:, 0].tolist(), (edges == -1).nonzero()[:, 0].tolist()
    return [(a, b) for a, b in zip(starts, stops, strict=True) if b - a >= _SHORTEST_FLIGHT]


def _swings(path: Tensor) -> int:
    """How often the direction from the start of a path `[T, 3]` turns towards its end again."""
    way = path[1:] - path[0]
    direction = way / (way.norm(dim=-1, keepdim=True) + _TINY)
    cosine = (direction @ direction[-1]).unique_consecutive()  # a level peak counts once
    return int(((cosine[1:-1] < cosine[:-2]) & (cosine[1:-1] < cosine[2:])).sum())
