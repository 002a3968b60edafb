"""Capsules with a depth buffer: the limbs of a figure under a camera.

    color, covered, corner = shade_capsules(points, figure, camera)

Unusual: a limb is shaded per pixel as the exact front surface of a swept sphere under orthographic projection, so
limbs join without seams; perspective scales the two ends.

Shapes: P points, H and W pixels.
"""

import math

import numpy as np

from motionmillion.io.figure import COLORS, Figure
from motionmillion.io.render import SUPERSAMPLING, Camera, Layer, lit, window


def shade_capsules(points: np.ndarray, figure: Figure, camera: Camera) -> Layer:
    """Draw the limbs of a figure whose points are at `[P, 3]`, metres."""
    pixels = camera.project(points, SUPERSAMPLING)
    # wider than any limb's radius
    corner, shape = window(pixels, 0.15 * pixels[:, 3].max(), camera)
    pixels[:, :2] -= corner
    depth = np.full(shape, np.inf, dtype=np.float32)
    normal = np.zeros((*shape, 3), dtype=np.float32)
    color = np.zeros((*shape, 3), dtype=np.float32)
    for limb in figure.limbs:
        start, stop = pixels[limb.start], pixels[limb.stop]
        _sweep(depth, normal, color, start, stop, limb.start_radius, limb.stop_radius, COLORS[limb.side])
    covered = np.isfinite(depth)
    shaded = np.zeros((*shape, 3), dtype=np.uint8)
    shaded[covered] = lit(normal[covered], color[covered])
    return shaded, covered.astype(np.uint8) * 255, corner


def _sweep(
    depth: np.ndarray,
    normal: np.ndarray,
    color: np.ndarray,
    start: np.ndarray,
    stop: np.ndarray,
    start_radius: float,
    stop_radius: float,
    tint: tuple[int, int, int],
) -> None:
    """Draw a sphere swept from `start` to `stop` (x, y, depth, pixels per metre) where it passes the depth test."""
    radii = np.array([start_radius * start[3], stop_radius * stop[3]], dtype=np.float32)
    low = np.minimum(start[:2] - radii[0], stop[:2] - radii[1])
    high = np.maximum(start[:2] + radii[0], stop[:2] + radii[1])
    left, top = np.maximum(np.floor(low), 0).astype(int)
    right, bottom = np.minimum(np.ceil(high) + 1, depth.shape[::-1]).astype(int)
    if left >= right or top >= bottom:
        return
    along = (stop - start)[:2]
    length = max(float(np.hypot(*along)), 1e-2)
    direction = along / length
    slope = float(stop[2] - start[2]) / length
    x = np.arange(left, right, dtype=np.float32)[None] + np.float32(0.5 - start[0])
    y = np.arange(top, bottom, dtype=np.float32)[:, None] + np.float32(0.5 - start[1])
    q = np.float32(direction[0]) * x + np.float32(direction[1]) * y
    across = (x * x + y * y) - q * q  # squared distance from the axis
    taper = np.float32((radii[1] - radii[0]) / length)
    radius = radii[0] + taper * np.clip(q, 0, length)
    # the sphere whose front is nearest to the viewer is offset from the foot of the perpendicular
    reach = np.sqrt(np.maximum(radius * radius - across, 0)) * np.float32(slope / math.hypot(1.0, slope))
    s = np.clip(q - reach, 0, length).astype(np.float32)
    # where a steep taper makes that sphere miss the pixel, use the one at the perpendicular
    short = (radii[0] + taper * s) ** 2 <= across + (q - s) ** 2
    s = np.where(short, np.clip(q, 0, length), s).astype(np.float32)
    radius = radii[0] + taper * s
    rise2 = radius * radius - across - (q - s) ** 2
    front = np.float32(start[2]) + np.float32(slope) * s - np.sqrt(np.maximum(rise2, 0))
    window = (slice(top, bottom), slice(left, right))
    hit = (rise2 > 0) & (front < depth[window])
    if not hit.any():
        return
    nx, ny = x - direction[0] * s, y - direction[1] * s
    ball = np.stack([nx / radius, -ny / radius, -np.sqrt(np.maximum(rise2, 0)) / radius], axis=-1)
    depth[window][hit] = front[hit]
    normal[window][hit] = ball[hit]
    color[window][hit] = tint
