"""Jitter of rotations and paths, removed by a zero-phase filter that leaves accents alone.

    rotations = steady_rotations(rotations, fps)      # [T, J, 3, 3], NumPy, float64
    path = steady_path(path, fps)                     # [T, 3]

Around each frame the neighbours are seen in the tangent space of its rotation, and a quadratic is fitted to a fifth of
a second of them (Savitzky and Golay, 1964). What the fit leaves out is jitter or an accent. The jitter of a joint is
measured by fourth differences over a second, which hardly see a person's movement; where the remainder is much larger
than it, as in the hit of a punch, it is kept, with a Wiener filter's weight in between.

Unusual: below `LOWEST_FPS` a movement cannot be told from jitter, and nothing is changed. The end frames stay.

Shapes: T frames, J joints, W frames of a window.
"""

import functools
import math

import numpy as np
import roma
import torch

from motionmillion.kinematics.contacts import windows

LOWEST_FPS = 15.0
_RADIUS, _NOISE_RADIUS = 0.1, 0.5
"""Seconds on either side of a frame for the fit and for measuring the jitter."""
_FOURTH = np.array([1.0, -4.0, 6.0, -4.0, 1.0])
_STRENGTH = 3.0
"""Energy, in units of the jitter's, below which the remainder of the fit is dropped."""
_SWIFT = 1.5
"""Speed of a joint's rotation, radians per second, at which half as much is dropped: nobody sees jitter there."""
_MEDIAN = 0.79
"""Median of the squared length of a normal vector of three numbers, over its mean."""


def reach(fps: float) -> int:
    """Number of frames on either side that a frame depends on."""
    return 2 * _radius(fps) + round(_NOISE_RADIUS * fps) + 2


def steady_rotations(rotations: np.ndarray, fps: float) -> np.ndarray:
    """Rotations `[T, J, 3, 3]` without jitter; the array itself below `LOWEST_FPS`."""
    if fps < LOWEST_FPS or len(rotations) < 3:
        return rotations
    quaternions = roma.rotmat_to_unitquat(torch.from_numpy(rotations)).numpy()  # x, y, z, w
    steps = _around(len(rotations), _radius(fps))
    relative = _relative(quaternions[:, None], quaternions[steps])  # [T, W, J, 3]
    turn = roma.rotvec_to_rotmat(torch.from_numpy(_shift(_odd(relative, steps), fps, _SWIFT))).numpy()
    return rotations @ turn


def steady_path(path: np.ndarray, fps: float) -> np.ndarray:
    """A path `[T, 3]` without jitter; the array itself below `LOWEST_FPS`."""
    if fps < LOWEST_FPS or len(path) < 3:
        return path
    steps = _around(len(path), _radius(fps))
    return path + _shift(_odd((path[steps] - path[:, None])[:, :, None], steps), fps, math.inf)[:, 0]


def _radius(fps: float) -> int:
    return max(round(_RADIUS * fps), 2)


def _around(frames: int, radius: int) -> np.ndarray:
    """Frames around each frame, `[T, W]`; -1 outside of the clip, the frame itself if its mirror image is, too."""
    wanted = np.arange(frames)[:, None] + np.arange(-radius, radius + 1)
    mirrored = 2 * np.arange(frames)[:, None] - wanted
    inside = (wanted >= 0) & (wanted < frames)
    usable = (mirrored >= 0) & (mirrored < frames)
    return np.where(inside, wanted, np.where(usable, -1, np.arange(frames)[:, None]))


def _odd(relative: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """`relative` `[T, W, J, 3]` with the values outside of the clip continued as an odd function about each frame."""
    outside = steps < 0
    if outside.any():
        rows, columns = np.nonzero(outside)
        relative[rows, columns] = -relative[rows, steps.shape[1] - 1 - columns]
    return relative


def _relative(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Rotation vectors from unit quaternions `own` to `other`, `[..., 4]`, scalar last."""
    (a, s), (b, t) = (own[..., :3], own[..., 3:]), (other[..., :3], other[..., 3:])
    vector = s * b - t * a - np.cross(a, b)
    scalar = (a * b).sum(-1, keepdims=True) + s * t
    vector, scalar = vector * np.where(scalar < 0, -1.0, 1.0), np.abs(scalar)
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    return vector * np.where(length > 1e-9, 2.0 * np.arctan2(length, scalar) / np.maximum(length, 1e-9), 2.0)


@functools.lru_cache(maxsize=16)
def _fit(radius: int) -> np.ndarray:
    """Weights `[W]` of the value in the middle of a least-squares quadratic, with a window that fades out."""
    time = np.arange(-radius, radius + 1) / (radius + 1)
    fade = 1.0 - time**2
    powers = np.stack([np.ones_like(time), time, time**2])
    return np.linalg.solve((powers * fade) @ powers.T, powers * fade)[0]


def _shift(relative: np.ndarray, fps: float, swift: float) -> np.ndarray:
    """Movement `[T, J, 3]` of each frame towards the fit, from its neighbours `[T, W, J, 3]` relative to it.

    From the speed `swift`, per second, on, more and more of the remainder is kept.
    """
    radius = (relative.shape[1] - 1) // 2
    fit = _fit(radius)
    towards = np.einsum("w,twjc->tjc", fit, relative)
    fourth = np.einsum("w,twjc->tjc", _FOURTH, relative[:, radius - 2 : radius + 3])
    spans = windows((fourth**2).sum(-1), round(_NOISE_RADIUS * fps))
    jitter = np.median(spans, axis=-1) / (_MEDIAN * (_FOURTH**2).sum())
    remainder = fit.copy()
    remainder[radius] -= 1.0
    near = windows((towards**2).sum(-1), radius)
    fade = 1.0 - (np.arange(-radius, radius + 1) / (radius + 1)) ** 2
    energy = near @ (fade / fade.sum())
    slope = np.einsum("w,twjc->tjc", np.arange(-radius, radius + 1) / (2 * radius + 1), relative)
    speed = np.linalg.norm(slope, axis=-1) * fps * 3.0 / (radius * (radius + 1))
    strength = _STRENGTH / (1.0 + (speed / swift) ** 2)
    expected = (remainder**2).sum() * jitter
    kept = np.clip(1.0 - strength * expected / np.maximum(energy, 1e-18), 0.0, 1.0)
    return towards * (1.0 - kept)[..., None]
