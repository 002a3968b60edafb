"""Per-frame measurements for the rules of instructions: heights, positions relative to the heading, turning, travel.

    body = body_tracks(positions, fps)       # [T, 22, 3], metres, y up
    body.height("left_wrist")                # [N], above the floor
    body.own("left_wrist")                   # [N, 3], relative to the pelvis: left, up, forward

Motions are resampled to 30 frames per second. Results do not depend on the body's position, its heading or its bone
lengths: positions are scaled to the leg length of SMPL22, and the floor is the lowest joint.

Shapes: T frames of the motion, N frames at 30 per second, J joints.
"""

import functools
import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from motionmillion.kinematics.joints import check_joints, leg_length
from motionmillion.skeleton import SMPL22

FPS = 30.0


@dataclass(frozen=True)
class BodyTracks:
    """Tracks of one motion at 30 frames a second.

    Args:
        joints: positions `[N, J, 3]`, metres, the floor at height 0.
        turned: heading `[N]` relative to the start, radians, left positive, unwrapped.
        path: distance `[N, 2]` that the pelvis has moved to the body's left and forward since the start, metres,
            integrated in the current heading: side steps around a circle add up.
    """

    joints: np.ndarray
    turned: np.ndarray
    path: np.ndarray
    _local: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def seconds(self) -> float:
        return len(self) / FPS

    def at(self, joint: str) -> np.ndarray:
        """Positions of a joint `[N, 3]`."""
        return self.joints[:, SMPL22.index(joint)]

    def height(self, joint: str) -> np.ndarray:
        """Height of a joint above the floor `[N]`."""
        return self.at(joint)[:, 1]

    def own(self, joint: str) -> np.ndarray:
        """Positions of a joint relative to pelvis and heading `[N, 3]`: left, up, forward."""
        return self._local[:, SMPL22.index(joint)]

    def speed(self, joint: str) -> np.ndarray:
        """Speed of a joint relative to pelvis and heading `[N]`, metres per second."""
        return np.linalg.norm(rate(self.own(joint)), axis=-1)

    @functools.cached_property
    def travel(self) -> np.ndarray:
        """Horizontal speed of the pelvis `[N]`, metres per second, as a moving mean over one second."""
        floor = self.at("pelvis")[:, [0, 2]]
        return np.linalg.norm(rate(smooth(floor, 0.4)), axis=-1)

    @functools.cached_property
    def pelvis(self) -> np.ndarray:
        return self.height("pelvis")

    @functools.cached_property
    def upright(self) -> np.ndarray:
        """Cosine between trunk and vertical `[N]`: 1 is upright, 0 horizontal."""
        trunk = self.at("neck") - self.at("pelvis")
        return trunk[:, 1] / np.linalg.norm(trunk, axis=-1)

    @functools.cached_property
    def shift(self) -> float:
        """Horizontal distance between the pelvis at the start and at the end, metres."""
        floor = self.at("pelvis")[:, [0, 2]]
        return float(np.linalg.norm(floor[-1] - floor[0]))

    @functools.cached_property
    def walked(self) -> float:
        """Length of the pelvis's smoothed horizontal path, metres."""
        floor = smooth(self.at("pelvis")[:, [0, 2]], 0.4)
        return float(np.linalg.norm(np.diff(floor, axis=0), axis=-1).sum())

    def part(self, start: int, stop: int) -> "BodyTracks":
        """Frames `start` to `stop` (exclusive); turning and travel are relative to `start`."""
        start, stop = min(max(start, 0), len(self) - 1), min(stop, len(self))
        cut = slice(start, max(stop, start + 1))
        return BodyTracks(
            self.joints[cut],
            self.turned[cut] - self.turned[start],
            self.path[cut] - self.path[start],
            self._local[cut],
        )


def body_tracks(positions: Tensor, fps: float = FPS) -> BodyTracks:
    """Measure a motion.

    Args:
        positions: joints of SMPL22 `[T, 22, 3]`, metres, y up; at least half a second.
        fps: frames per second.

    Raises:
        ValueError: for wrong shapes, values that are not finite, too few frames and an invalid `fps`.
    """
    positions = check_joints(positions)
    if not 0 < fps < math.inf:
        raise ValueError(f"fps must be positive, got {fps!r}")
    joints = _resample(positions.double().numpy(), fps)
    if len(joints) < FPS / 2:
        raise ValueError(f"positions must last half a second, got {len(joints) / FPS:.2f} s; give more frames")
    joints = smooth(joints * (_leg() / leg_length(positions)), 0.1)
    joints = joints - [0, np.quantile(joints[..., 1].min(1), 0.02), 0]
    yaw = _heading(joints)
    turned = np.unwrap(yaw)
    steps = np.diff(joints[:, 0], axis=0)
    middle = (turned[1:] + turned[:-1]) / 2
    own = np.stack([_unturn(steps, middle)[:, 0], _unturn(steps, middle)[:, 2]], axis=-1)
    path = np.concatenate([np.zeros((1, 2)), own.cumsum(0)])
    local = _unturn(joints - joints[:, :1], turned[:, None])
    return BodyTracks(joints, smooth(turned - turned[0], 0.3), path, local)


def smooth(track: np.ndarray, seconds: float) -> np.ndarray:
    """Moving mean over time of `[N, ...]` with a triangular window of this width; end values are repeated."""
    reach = max(1, round(seconds * FPS / 2))
    weight = np.concatenate([np.arange(1, reach + 1), np.arange(reach - 1, 0, -1)]) / reach**2
    padded = np.concatenate([np.repeat(track[:1], reach - 1, 0), track, np.repeat(track[-1:], reach - 1, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(weight), axis=0)
    return windows @ weight


def rate(track: np.ndarray) -> np.ndarray:
    """Change of `[N, ...]` per second."""
    return np.gradient(track, 1 / FPS, axis=0)


def spans(held: np.ndarray, seconds: float = 0.0) -> list[tuple[int, int]]:
    """Runs of True in `[N]` of at least `seconds`, as (start, stop)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], held.astype(int), [0]])))
    runs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [(start, stop) for start, stop in runs if stop - start >= seconds * FPS]


def longest(held: np.ndarray) -> float:
    """Duration of the longest run of True in `[N]`, seconds."""
    return max((stop - start for start, stop in spans(held)), default=0) / FPS


def reversals(track: np.ndarray, least: float) -> int:
    """Number of moves by at least `least` from one turning point of `[N]` to the next."""
    count, way, low, high = 0, 0, track[0], track[0]
    for value in track:
        low, high = min(low, value), max(high, value)
        if way >= 0 and high - value >= least:
            count, way, low = count + 1, -1, value
        elif way <= 0 and value - low >= least:
            count, way, high = count + 1, 1, value
    return count


def _resample(joints: np.ndarray, fps: float) -> np.ndarray:
    last = len(joints) - 1
    times = np.arange(math.floor(last / fps * FPS + 1e-6) + 1) / FPS * fps
    left = np.minimum(times.astype(int), max(last - 1, 0))
    blend = (times - left)[:, None, None]
    return joints[left] * (1 - blend) + joints[np.minimum(left + 1, last)] * blend


@functools.cache
def _leg() -> float:
    rotations = torch.eye(3).expand(1, 22, 3, 3)
    return leg_length(SMPL22.forward_kinematics(rotations, torch.zeros(1, 3))[0])


def _heading(joints: np.ndarray) -> np.ndarray:
    """Yaw `[N]` of the direction that hips and shoulders face."""
    sides = [
        joints[:, SMPL22.index(f"left_{part}")] - joints[:, SMPL22.index(f"right_{part}")]
        for part in ("hip", "hip", "shoulder")
    ]
    across = np.sum(sides, axis=0)  # [N, 3], the hips counted twice
    return np.arctan2(-across[:, 2], across[:, 0])


def _unturn(vectors: np.ndarray, yaw: np.ndarray) -> np.ndarray:
    """Vectors `[..., 3]` in the frame of a body that faces `yaw` `[...]`."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.stack([cos * x - sin * z, y, sin * x + cos * z], axis=-1)
