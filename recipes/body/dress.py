"""Dress a raw body for the bundled `human`: suit, shoes, and clean lines at collar, wrists and ankles.

    python recipes/body/dress.py raw.npz motionmillion/bundled/body/human.npz

`raw.npz` holds a mesh on SMPL22's joints: `v` [V, 3] metres in the bind pose, `f` [F, 3], `j` and `w` [V, 4] joints
and weights, `ibm` [22, 4, 4] inverse bind matrices, and `off` [22, 3] joint offsets of the T-pose.
Clothes are the body's own surface, low-pass filtered so that no anatomy shows, and moved outwards by some millimetres.
Triangles are cut along the seams, so that no colour ends in a zigzag.

Shapes: V vertices, F triangles.
"""

import sys
from pathlib import Path

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph

from motionmillion.skeleton import SMPL22

PARTS = ("suit", "shoes", "skin", "eyes")
EYE, MOUTH = 60, 120
"""Most vertices of the loose pieces that are eyes and the inside of the mouth."""

Seam = tuple[np.ndarray, np.ndarray, tuple[str, ...], bool]
CHEST, CHEST_ROUNDS = ("spine2", "spine3", "left_collar", "right_collar"), 25


def main(source: str, target: str) -> None:
    """Read, dress and write a body."""
    with np.load(source) as raw:
        mesh = {key: raw[key] for key in raw.files}
    vertices, faces = mesh["v"].astype(float), mesh["f"].astype(int)
    weights = np.zeros((len(vertices), len(SMPL22)))
    np.add.at(weights, (np.arange(len(vertices))[:, None], mesh["j"].astype(int)), mesh["w"].astype(float))
    joints = dict(zip(SMPL22.names, np.linalg.inv(mesh["ibm"].astype(float))[:, :3, 3], strict=True))
    vertices, faces, weights, eyes = without_mouth(vertices, faces, weights)
    skin, shoes = np.zeros(len(vertices), bool), np.zeros(len(vertices), bool)
    for place, normal, limbs, worn in seams(joints):
        inside = weights[:, [SMPL22.index(name) for name in limbs]].sum(1) > 0.3
        height = np.where(inside, (vertices - place) @ (normal / np.linalg.norm(normal)), -1.0)
        before = len(vertices)
        vertices, faces, weights, height = cut(vertices, faces, weights, height)
        grow = [np.concatenate([flags, np.zeros(len(vertices) - before, bool)]) for flags in (skin, shoes, eyes)]
        skin, shoes, eyes = grow
        (shoes if worn else skin)[height >= 0] = True
    of_skin, of_shoes, of_eyes = (flags[faces].all(1) for flags in (skin, shoes, eyes))
    part = np.where(of_eyes, 3, np.where(of_skin, 2, np.where(of_shoes, 1, 0)))
    vertices = clothe(vertices, faces, part, weights)
    vertices, faces, weights, part = without_slivers(vertices, faces, weights, part)
    order = np.argsort(-weights, axis=1)[:, :4]
    kept = np.take_along_axis(weights, order, 1)
    kept = np.round(kept / kept.sum(1, keepdims=True) * 255).astype(np.uint8)
    np.savez_compressed(
        target,
        vertices=np.round(vertices * 1e5).astype(np.int32),
        faces=faces.astype(np.uint16),
        part=part.astype(np.uint8),
        joints=np.where(kept > 0, order, 0).astype(np.uint8),
        weights=kept,
        inverse_bind=mesh["ibm"].astype(np.float32),
        offsets=mesh["off"].astype(np.float32),
    )
    print(f"{len(vertices)} vertices, {len(faces)} triangles, {Path(target).stat().st_size} bytes")


def seams(joints: dict[str, np.ndarray]) -> list[Seam]:
    """Planes (a point and a normal towards skin or shoe), the joints whose vertices they cut, whether it is a shoe."""
    collar: tuple[str, ...] = ("neck", "head", "spine3", "left_collar", "right_collar")
    found: list[Seam] = [(joints["neck"], np.array([0, 1.0, 0.25]), collar, False)]
    for side in ("left", "right"):
        forearm = joints[f"{side}_wrist"] - joints[f"{side}_elbow"]
        found.append((joints[f"{side}_wrist"] + 0.02 * forearm, forearm, (f"{side}_elbow", f"{side}_wrist"), False))
        ankle = joints[f"{side}_ankle"] + [0, 0.025, 0]
        found.append((ankle, np.array([0, -1.0, -0.1]), tuple(f"{side}_{n}" for n in ("knee", "ankle", "foot")), True))
    return found


def without_mouth(
    vertices: np.ndarray, faces: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The mesh without the piece inside the mouth, and which vertices belong to the eyes."""
    _, piece = scipy.sparse.csgraph.connected_components(adjacency(faces, len(vertices)), directed=False)
    size = np.bincount(piece)[piece]
    mouth = (size > EYE) & (size <= MOUTH)
    new = np.cumsum(~mouth) - 1
    faces = new[faces[~mouth[faces].any(1)]]
    return vertices[~mouth], faces, weights[~mouth], size[~mouth] <= EYE


def cut(
    vertices: np.ndarray, faces: np.ndarray, weights: np.ndarray, height: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Split triangles where `height` [V] changes its sign; new vertices have height 0."""
    height = np.where(np.abs(height) < 2e-3, 0.0, height)  # no slivers
    made: dict[tuple[int, int], int] = {}
    points, new_weights, triangles = list(vertices), list(weights), []

    def between(a: int, b: int) -> int:
        key = (min(a, b), max(a, b))
        if key not in made:
            t = height[a] / (height[a] - height[b])
            made[key] = len(points)
            points.append(points[a] + t * (points[b] - points[a]))
            new_weights.append(new_weights[a] + t * (new_weights[b] - new_weights[a]))
        return made[key]

    for face in faces.tolist():
        signs = np.sign(height[face])
        if signs.min() >= 0 or signs.max() <= 0 or np.abs(height[face]).max() >= 0.5:
            triangles.append(face)
            continue
        ring: list[int] = []
        sides: list[float] = []
        for a, b in zip(face, face[1:] + face[:1], strict=True):
            ring.append(a)
            sides.append(float(height[a]))
            if height[a] * height[b] < 0:
                ring.append(between(a, b))
                sides.append(0.0)
        for sign in (1, -1):
            polygon = [corner for corner, side in zip(ring, sides, strict=True) if side * sign >= 0]
            triangles += [[polygon[0], polygon[i], polygon[i + 1]] for i in range(1, len(polygon) - 1)]
    height = np.concatenate([height, np.zeros(len(points) - len(height))])
    return np.array(points), np.array(triangles), np.array(new_weights), height


def clothe(vertices: np.ndarray, faces: np.ndarray, part: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Vertices with suit and shoes smoothed and moved outwards."""
    size = len(vertices)
    neighbours = adjacency(faces, size)
    mean = scipy.sparse.diags(1 / np.maximum(np.asarray(neighbours.sum(1)).ravel(), 1)) @ neighbours
    only = [np.bincount(faces[part == kind].ravel(), minlength=size) > 0 for kind in range(len(PARTS))]
    free = [only[0] & ~only[2] & ~only[1], only[1] & ~only[0]]
    result = vertices.copy()
    chest = free[0] & (weights[:, [SMPL22.index(name) for name in CHEST]].sum(1) > 0.6) & (vertices[:, 2] > 0.0)
    for _ in range(CHEST_ROUNDS):
        result = np.where(chest[:, None], 0.4 * result + 0.6 * (mean @ result), result)
    for moving, rounds in zip(free, (30, 40), strict=True):
        for turn in range(2 * rounds):
            step = 0.6 if turn % 2 == 0 else -0.61
            result = np.where(moving[:, None], result + step * (mean @ result - result), result)
    normal = np.zeros_like(result)
    corners = result[faces]
    for corner in range(3):
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        np.add.at(normal, faces[:, corner], cross)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    away = np.where(free[0], 0.003, 0.0) + np.where(free[1], 0.006, 0.0)
    for _ in range(3):
        away = np.where(only[2] | only[3], 0.0, mean @ away)
    return result + normal * away[:, None]


def without_slivers(
    vertices: np.ndarray, faces: np.ndarray, weights: np.ndarray, part: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The mesh without triangles of no area and without unused vertices."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    keep = np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-9
    used = np.unique(faces[keep])
    new = np.full(len(vertices), -1)
    new[used] = np.arange(len(used))
    return vertices[used], new[faces[keep]], weights[used], part[keep]


def adjacency(faces: np.ndarray, size: int) -> scipy.sparse.csr_array:
    """Symmetric matrix `[V, V]` with 1 where an edge is."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    both = np.concatenate([edges, edges[:, ::-1]])
    matrix = scipy.sparse.coo_array((np.ones(len(both)), tuple(both.T)), (size, size)).tocsr()
    matrix.data[:] = 1.0
    return matrix


if __name__ == "__main__":
    main(*sys.argv[1:3])
