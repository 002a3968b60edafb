"""A software rasteriser for triangles, in NumPy: the surface of a skinned body under a camera.

    color, covered, corner = shade_triangles(vertices, normals, faces, colors, camera)

Unusual: triangles that face away are left out, and there is no loop over the others. Those of about the same size on
the picture test the pixels of their bounding boxes together, and all pixels found are sorted by depth.

Shapes: V vertices, F triangles, H and W pixels, N pixels within a triangle.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from motionmillion.io.render import SUPERSAMPLING, Camera, Layer, lit, window

_PIXELS_AT_ONCE = 2_000_000
"""Pixels of bounding boxes that are tested together, which bounds memory."""


class _Hits(NamedTuple):
    """Pixels within triangles: row-major index, depth, triangle, and weights of its second and third corner, `[N]`."""

    pixel: np.ndarray
    depth: np.ndarray
    face: np.ndarray
    second: np.ndarray
    third: np.ndarray


def shade_triangles(
    vertices: np.ndarray, normals: np.ndarray, faces: np.ndarray, colors: np.ndarray, camera: Camera
) -> Layer:
    """Draw a surface with smooth shading.

    Args:
        vertices: `[V, 3]`, metres.
        normals: unit normals of the vertices `[V, 3]`.
        faces: corners of the triangles `[F, 3]`.
        colors: sRGB of the triangles in 0 to 255 `[F, 3]`.
    """
    projected = camera.project(vertices, SUPERSAMPLING)
    corner, (height, width) = window(projected, 2.0, camera)
    corners = (projected[:, :3] - [*corner, 0.0]).astype(np.float32)[faces]  # [F, 3, (x, y, depth)]
    found = [*_hits(corners, height, width)]
    color, covered = np.zeros((height * width, 3), dtype=np.uint8), np.zeros(height * width, dtype=np.uint8)
    if found:
        # from back to front, so that the nearest is written last
        hits = _Hits(*(np.concatenate(column) for column in zip(*found, strict=True)))
        order = np.argsort(_steps(-hits.depth), kind="stable")
        last = np.full(height * width, -1, dtype=np.int64)
        last[hits.pixel[order]] = order
        seen = np.flatnonzero(last >= 0)
        nearest = _Hits(*(column[last[seen]] for column in hits))
        color[seen] = lit(_normals(nearest, normals @ camera.axes.T, faces), colors[nearest.face])
        covered[seen] = 255
    return color.reshape(height, width, 3), covered.reshape(height, width), corner


def _normals(hits: _Hits, normals: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals `[N, 3]` in the camera's axes, interpolated between the corners of each triangle."""
    corners = normals.astype(np.float32)[faces][hits.face]  # [N, 3, 3]
    weights = np.stack([1 - hits.second - hits.third, hits.second, hits.third], axis=1)
    mixed = np.einsum("nc,ncx->nx", weights, corners)
    return mixed / np.sqrt(np.maximum(np.einsum("nx,nx->n", mixed, mixed), 1e-12))[:, None]


def _steps(values: np.ndarray) -> np.ndarray:
    """Values in 65536 steps: of a body of 2 m they are 0.03 mm deep, and numbers of 16 bits are sorted fast."""
    low = values.min()
    return ((values - low) * (65535.0 / max(float(values.max() - low), 1e-9))).astype(np.uint16)


def _hits(corners: np.ndarray, height: int, width: int) -> Iterator[_Hits]:
    """The pixels whose centres lie in triangles `[F, 3, (x, y, depth)]`, part by part."""
    a, b, c = (corners[:, corner] for corner in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    # first and last pixel of each bounding box, (x, y)
    low = np.maximum(np.ceil(corners[..., :2].min(1) - 0.5), 0).astype(np.int32)
    high = np.minimum(np.floor(corners[..., :2].max(1) - 0.5), [width - 1, height - 1]).astype(np.int32)
    sides = (high - low + 1).max(1)
    # y points down, so triangles that face the camera have negative areas
    drawn = np.flatnonzero((high >= low).all(1) & (area < -1e-6))
    side = 1
    while len(drawn):
        fits = sides[drawn] <= side
        faces, drawn = drawn[fits], drawn[~fits]
        for part in np.array_split(faces, max(1, len(faces) * side * side // _PIXELS_AT_ONCE)) if len(faces) else ():
            yield _within(a[part], b[part], c[part], area[part], low[part], high[part], side, part, width)
        side *= 2


def _within(
    a: np.ndarray,
    b: np.ndarray,
    c: np.ndarray,
    area: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    side: int,
    faces: np.ndarray,
    width: int,
) -> _Hits:
    """The pixels of boxes of at most `side` x `side` that lie in their triangles."""
    steps = np.arange(side, dtype=np.int32)
    columns, rows = low[:, 0, None, None] + steps, low[:, 1, None, None] + steps[:, None]  # [F, 1, S], [F, S, 1]
    half = np.float32(0.5)
    x = columns.astype(np.float32) + (half - a[:, 0, None, None])
    y = rows.astype(np.float32) + (half - a[:, 1, None, None])
    (bx, by), (cx, cy) = ((corner - a)[:, :2].T[..., None, None] for corner in (b, c))
    # barycentric weights of b and c, [F, S, S]
    second = (x * cy - y * cx) / area[:, None, None]
    third = (bx * y - by * x) / area[:, None, None]
    inside = (second >= 0) & (third >= 0) & (second + third <= 1)
    inside &= (columns <= high[:, 0, None, None]) & (rows <= high[:, 1, None, None])
    face, row, column = np.nonzero(inside)
    second, third = second[inside], third[inside]
    depth = a[face, 2] + second * (b - a)[face, 2] + third * (c - a)[face, 2]
    pixel = (low[face, 1] + row) * width + low[face, 0] + column
    return _Hits(pixel, depth, faces[face], second, third)
