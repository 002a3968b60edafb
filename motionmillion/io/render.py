"""A small software renderer: a camera, light, a metre grid and a soft shadow, in NumPy and Pillow.

    actor = make_actor(motion)                                    # motionmillion.io.actors
    camera = Camera.around(motion, actor.points, actor.points[:, 0], size=(480, 480))
    image = draw_scene(actor, 0, camera.at(actor.points[0, 0]))

Unusual: no GPU and no plotting library. Colours are 8-bit sRGB.

Shapes: T frames, P points, H and W pixels.
"""

import importlib
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from motionmillion.io.figure import Figure
from motionmillion.motion import Motion, heading

SUPERSAMPLING = 2
_FOCAL = 1.9  # focal length in picture heights: a field of view of 30 degrees
_LIGHT = np.array([-0.42, 0.66, -0.62])  # towards the light: left, above and in front
_SUN = (0.35, -1.0, 0.4)  # of the shadow: to the camera's right, down, and away from the camera
_SHADOW_MARGIN, _SHADOW_BLUR, _SHADOW_PIXELS = 0.2, 0.015, 900  # metres, metres, and most pixels of a side
_BACKGROUND, _TILE, _LINE, _SHADOW = (246, 246, 248), (238, 239, 243), (214, 217, 225), (70, 74, 92)
_TRAIL = (150, 132, 190)
_GRID_REACH = 7


def optional_package(name: str) -> Any:
    """Import a package of the extra `demo`.

    Raises:
        ImportError: if it is missing; one line with the remedy.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = "Pillow" if name.startswith("PIL") else name.replace("_", "-")
        raise ImportError(
            f'{package} must be installed to draw pictures and videos; run: pip install "motionmillion[demo]"'
        ) from error


@dataclass(frozen=True)
class Camera:
    """Looks at `target` from `distance` metres; `azimuth` about y and `elevation` in radians; `size` is (W, H)."""

    target: tuple[float, float, float]
    azimuth: float
    elevation: float
    distance: float
    size: tuple[int, int]

    @staticmethod
    def around(
        motion: Motion, points: np.ndarray, centres: np.ndarray, size: tuple[int, int], azimuth: float = 35.0
    ) -> "Camera":
        """A camera that shows the whole body in every frame.

        Args:
            points: `[T, P, 3]`, metres.
            centres: `[T, 3]`, the positions that the camera will follow with `at`.
            azimuth: degrees between the initial facing direction and the direction to the camera.
        """
        facing = float(heading(motion.rotations[:1, 0].cpu())[0])
        low, high = points[..., 1].min(), points[..., 1].max()
        reach = np.linalg.norm((points - centres[:, None])[..., [0, 2]], axis=-1).max()
        width, height = size
        needed = max((high - low) * 1.22, 2.0 * reach * 1.05 * height / width, 1.2)
        middle = (float(centres[0, 0]), float(low + high) / 2, float(centres[0, 2]))
        return Camera(middle, facing + math.radians(azimuth), math.radians(13.0), needed * _FOCAL + reach, size)

    def at(self, position: np.ndarray) -> "Camera":
        """The same camera over another point of the floor, at the same height."""
        return replace(self, target=(float(position[0]), self.target[1], float(position[2])))

    @cached_property
    def axes(self) -> np.ndarray:
        """Rows right, up and forward, `[3, 3]`."""
        sin, cos = math.sin(self.azimuth), math.cos(self.azimuth)
        rise, flat = math.sin(self.elevation), math.cos(self.elevation)
        forward = np.array([-sin * flat, -rise, -cos * flat])
        right = np.array([cos, 0.0, -sin])
        return np.stack([right, np.cross(right, forward), forward])

    def project(self, points: np.ndarray, samples: int = 1) -> np.ndarray:
        """Project points `[..., 3]` to pixels `[..., 4]`: x, y, depth behind the target, and pixels per metre."""
        width, height = self.size[0] * samples, self.size[1] * samples
        view = (points - np.array(self.target)) @ self.axes.T
        depth = np.maximum(view[..., 2] + self.distance, 0.05)
        zoom = _FOCAL * height / depth
        unit = _FOCAL * height / self.distance
        x, y = width / 2 + view[..., 0] * zoom, height / 2 - view[..., 1] * zoom
        return np.stack([x, y, view[..., 2] * unit, zoom], axis=-1)


Layer = tuple[np.ndarray, np.ndarray, tuple[int, int]]
"""A part of the supersampled picture: colour `[H, W, 3]`, coverage `[H, W]` (0 or 255), and its top left corner."""


class Actor(Protocol):
    """A body in every frame of a motion."""

    figure: Figure
    points: np.ndarray
    """Ends of the figure's limbs `[T, P, 3]`, metres, the pelvis first."""

    def shade(self, frame: int, camera: Camera) -> Layer:
        """The body in one frame as the camera sees it, supersampled."""
        ...


def draw_scene(actor: Actor, frame: int, camera: Camera) -> Any:
    """Draw one frame on the floor, with the path so far, as a Pillow image of the camera's size."""
    image = _floor(camera)
    if frame > 0:
        _draw_trail(image, camera, actor.points[: frame + 1, 0])
    _cast_shadow(image, actor.points[frame], actor.figure, camera)
    pil = optional_package("PIL.Image")
    color, covered, corner = actor.shade(frame, camera)
    image.paste(pil.fromarray(color), corner, pil.fromarray(covered))
    return image.reduce(SUPERSAMPLING)


def window(pixels: np.ndarray, margin: float, camera: Camera) -> tuple[tuple[int, int], tuple[int, int]]:
    """The part of the supersampled picture around projected points `[P, 4]`: top left corner (x, y), and (H, W)."""
    limit = np.array(camera.size) * SUPERSAMPLING
    left, top = np.clip(np.floor(pixels[:, :2].min(0) - margin), 0, limit - 1).astype(int)
    right, bottom = np.clip(np.ceil(pixels[:, :2].max(0) + margin), (left + 1, top + 1), limit).astype(int)
    return (int(left), int(top)), (int(bottom - top), int(right - left))


def lit(normal: np.ndarray, color: np.ndarray) -> np.ndarray:
    """Shade colours `[pixels, 3]`; `normal` has x right, y up, z away from the viewer."""
    light = (_LIGHT / np.linalg.norm(_LIGHT)).astype(np.float32)
    half = light + np.array([0.0, 0.0, -1.0], dtype=np.float32)
    # wrapped diffuse light, Blinn-Phong gloss, and ambient light from above
    diffuse = np.clip(normal @ light * 0.75 + 0.25, 0.0, 1.0)
    gloss = np.clip(normal @ (half / np.linalg.norm(half)), 0.0, 1.0) ** 24
    sky = 0.5 + 0.5 * normal[:, 1]
    tone = (0.34 + 0.16 * sky + 0.62 * diffuse) * (0.72 + 0.28 * np.clip(-normal[:, 2] * 1.6, 0.0, 1.0))
    return np.clip(color * tone[:, None] + 34.0 * gloss[:, None], 0, 255).astype(np.uint8)


def _floor(camera: Camera) -> Any:
    """The background: a floor of 1 m squares that fade with distance."""
    pil, drawing = optional_package("PIL.Image"), optional_package("PIL.ImageDraw")
    image = pil.new("RGB", tuple(side * SUPERSAMPLING for side in camera.size), _BACKGROUND)
    draw = drawing.Draw(image)
    x0, z0 = round(camera.target[0]), round(camera.target[2])
    steps = np.arange(-_GRID_REACH, _GRID_REACH)
    squares = np.stack(np.meshgrid(steps + x0, steps + z0, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    corners = np.insert(squares + np.array([[0, 0], [1, 0], [1, 1], [0, 1]]), 1, 0, axis=-1).astype(float)  # [N, 4, 3]
    # horizontal distance of each square from the target, metres
    away = np.linalg.norm((corners.mean(1) - np.array(camera.target))[:, [0, 2]], axis=-1)
    strengths = np.maximum(0.0, 1.0 - away / (_GRID_REACH - 1)) ** 0.8
    seen = ((corners - np.array(camera.target)) @ camera.axes[2] + camera.distance).min(1) >= 0.3
    outlines = camera.project(corners, SUPERSAMPLING)[..., :2]
    for place in np.flatnonzero(seen & (strengths > 0.0)):
        outline, strength = [tuple(point) for point in outlines[place].tolist()], float(strengths[place])
        if squares[place].sum() % 2:
            draw.polygon(outline, fill=_blend(_BACKGROUND, _TILE, strength))
        draw.line([*outline, outline[0]], fill=_blend(_BACKGROUND, _LINE, strength), width=SUPERSAMPLING)
    return image


def _cast_shadow(image: Any, points: np.ndarray, figure: Figure, camera: Camera) -> None:
    """Darken the floor where limbs keep the sun from it: drawn on the floor from above, then seen by the camera."""
    pil, drawing, filters = (optional_package(f"PIL.{name}") for name in ("Image", "ImageDraw", "ImageFilter"))
    right, _, forward = camera.axes
    sun = right * _SUN[0] + np.array([0.0, _SUN[1], 0.0]) + forward * np.array([1.0, 0.0, 1.0]) * _SUN[2]
    ground = (points - sun * (points[:, 1:2] / sun[1]))[:, [0, 2]]  # [P, (x, z)]
    low, high = ground.min(0) - _SHADOW_MARGIN, ground.max(0) + _SHADOW_MARGIN
    scale = min(_FOCAL * camera.size[1] / camera.distance, _SHADOW_PIXELS / float((high - low).max()))
    mask = pil.new("L", tuple(np.ceil((high - low) * scale).astype(int).tolist()), 0)
    draw, places = drawing.Draw(mask), (ground - low) * scale
    for limb in figure.limbs:
        ends = [tuple(map(float, places[place])) for place in (limb.start, limb.stop)]
        radii = [scale * radius for radius in (limb.start_radius, limb.stop_radius)]
        draw.line(ends, fill=255, width=max(1, round(sum(radii))))
        for (x, y), radius in zip(ends, radii, strict=True):
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=255)
    mask = mask.filter(filters.GaussianBlur(float(_SHADOW_BLUR * scale))).point([round(v * 0.34) for v in range(256)])
    # the four corners of the mask on the picture, and the part of the picture between them
    corners = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
    pixels = camera.project(np.insert(corners, 1, 0.0, axis=1), SUPERSAMPLING)
    start, (height, width) = window(pixels, 0.0, camera)
    warp = _homography(pixels[:, :2] - start, (corners - low) * scale)
    mask = mask.transform((width, height), pil.Transform.PERSPECTIVE, warp, pil.Resampling.BILINEAR)
    image.paste(_SHADOW, (*start, start[0] + width, start[1] + height), mask)


def _homography(points: np.ndarray, images: np.ndarray) -> list[float]:
    """The eight numbers of Pillow's perspective transform that takes four points `[4, 2]` to their images."""
    rows, values = [], []
    for (x, y), (u, v) in zip(points, images, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.linalg.solve(np.array(rows, float), np.array(values, float)).tolist()


def _draw_trail(image: Any, camera: Camera, trail: np.ndarray) -> None:
    ground = trail * np.array([1.0, 0.0, 1.0])
    seen = (ground - np.array(camera.target)) @ camera.axes[2] + camera.distance > 0.3
    pixels = [tuple(map(float, point[:2])) for point in camera.project(ground, SUPERSAMPLING)]
    draw = optional_package("PIL.ImageDraw").Draw(image)
    for index in range(len(pixels) - 1):
        if seen[index] and seen[index + 1]:
            strength = 0.15 + 0.6 * (index + 1) / len(pixels)
            draw.line(
                pixels[index : index + 2], fill=_blend(_BACKGROUND, _TRAIL, strength), width=3 * SUPERSAMPLING // 2
            )


def _blend(base: tuple[int, int, int], tint: tuple[int, int, int], strength: float) -> tuple[int, ...]:
    return tuple(round(b + (t - b) * strength) for b, t in zip(base, tint, strict=True))
