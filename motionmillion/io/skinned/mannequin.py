"""A mannequin of rounded limbs, built on the joints of any skeleton; the figure of our pictures as a mesh.

    body = make_mannequin(motion.skeleton)

Every limb of `motionmillion.io.figure.Figure` becomes a closed tapered capsule. A limb inside one bone is rigid; one
between two bones (of the trunk, a shoulder, a foot) blends smoothly from the first bone to the second. Joints, path
and height are exactly the motion's own.

Shapes: V vertices, F triangles.
"""

import numpy as np

from motionmillion.io.figure import COLORS, Figure, Limb
from motionmillion.io.skinned.body import Part, SkinnedBody
from motionmillion.kinematics.rotations import swing
from motionmillion.skeleton import Skeleton

_AROUND = 20
_CAP, _MIDDLE = 5, 7  # rings of each cap and between the caps
_SHORTEST = 1e-4
_PART_NAMES = {"left": "left side", "right": "right side", "centre": "trunk", "head": "head"}


def make_mannequin(skeleton: Skeleton) -> SkinnedBody:
    """The mannequin on the joints of `skeleton`; a skeleton of one joint is a ball."""
    figure = Figure.of(skeleton)
    rest = skeleton.rest_positions().numpy()
    limbs = figure.limbs or (Limb(0, 0, 0.05, 0.05, "centre"),)
    points = np.array([rest[joint] + offset for joint, offset in figure.anchors])
    vertices: list[np.ndarray] = []
    carriers: list[list[int]] = []
    triangles: dict[str, list[np.ndarray]] = {}
    for limb in limbs:
        triangles.setdefault(limb.side, []).append(_FACES + len(_WAY) * len(vertices))
        vertices.append(_capsule(points[limb.start], points[limb.stop], limb.start_radius, limb.stop_radius))
        carriers.append([figure.anchors[limb.start][0], _carrier(figure.anchors[limb.stop], skeleton)])
    both = np.repeat(np.array(carriers), len(_WAY), axis=0)  # [V, 2]
    smooth = np.tile(_WAY * _WAY * (3 - 2 * _WAY), len(limbs))  # no kink at either end
    blend = np.where(both[:, 0] == both[:, 1], 0.0, smooth)
    weights = np.stack([1 - blend, blend], axis=1)
    inverse_bind = np.tile(np.eye(4), (len(skeleton), 1, 1))
    inverse_bind[:, :3, 3] = -rest
    spare = np.zeros((len(blend), 2))
    return SkinnedBody(
        name="mannequin",
        skeleton=skeleton,
        vertices=np.concatenate(vertices),
        parts=tuple(Part(_PART_NAMES[side], COLORS[side], np.concatenate(faces)) for side, faces in triangles.items()),
        joints=np.concatenate([np.where(weights > 0, both, 0), spare.astype(np.int64)], axis=1),
        weights=np.concatenate([weights, spare], axis=1),
        inverse_bind=inverse_bind,
    )


def _carrier(anchor: tuple[int, tuple[float, float, float]], skeleton: Skeleton) -> int:
    """The joint whose rotation moves the end of a limb: a joint's own place is moved by its parent."""
    joint, offset = anchor
    return joint if any(offset) else max(skeleton.parents[joint], 0)


def _topology(rings: int) -> np.ndarray:
    """Triangles `[F, 3]` of rings without the poles' first and last, plus one vertex for each pole, listed last."""
    faces = []
    for ring in range(rings - 1):
        for step in range(_AROUND):
            a, b = ring * _AROUND + step, ring * _AROUND + (step + 1) % _AROUND
            faces += [[a, b, b + _AROUND], [a, b + _AROUND, a + _AROUND]]
    first, last = rings * _AROUND, rings * _AROUND + 1
    for step in range(_AROUND):
        following = (step + 1) % _AROUND
        faces.append([first, following, step])
        faces.append([last, (rings - 1) * _AROUND + step, (rings - 1) * _AROUND + following])
    return np.array(faces)


_WAY_OF_RINGS = np.concatenate([np.zeros(_CAP), np.linspace(0, 1, _MIDDLE), np.ones(_CAP)])
"""Fraction of the way from start to stop of the rings of a capsule, from pole to pole."""
_FACES = _topology(len(_WAY_OF_RINGS) - 2)
_WAY = np.concatenate([np.repeat(_WAY_OF_RINGS[1:-1], _AROUND), [0.0, 1.0]])
"""Fraction `[vertices of a capsule]` of the way."""


def _capsule(start: np.ndarray, stop: np.ndarray, start_radius: float, stop_radius: float) -> np.ndarray:
    """Vertices `[V, 3]` of a tapered capsule: two spheres and the cone that touches both."""
    length = float(np.linalg.norm(stop - start))
    axis = (stop - start) / length if length > _SHORTEST else np.array([0.0, 1.0, 0.0])
    # angle of the circles where the cone touches the spheres, above their equators
    touch = float(np.arcsin(np.clip((start_radius - stop_radius) / max(length, _SHORTEST), -0.95, 0.95)))
    below = np.linspace(-np.pi / 2, touch, _CAP + 1)[:-1]
    above = np.linspace(touch, np.pi / 2, _CAP + 1)[1:]
    angle = np.concatenate([below, np.full(_MIDDLE, touch), above])
    radius = start_radius + (stop_radius - start_radius) * _WAY_OF_RINGS
    height = length * _WAY_OF_RINGS + radius * np.sin(angle)
    turns = np.linspace(0, 2 * np.pi, _AROUND, endpoint=False)
    circle = np.stack([np.sin(turns), np.zeros(_AROUND), np.cos(turns)], axis=1)
    rings = (radius * np.cos(angle))[1:-1, None, None] * circle  # [rings, around, 3]
    rings[..., 1] += height[1:-1, None]
    poles = np.array([[0.0, height[0], 0.0], [0.0, height[-1], 0.0]])
    turn = swing(np.array([0.0, 1.0, 0.0]), axis)
    return np.concatenate([rings.reshape(-1, 3), poles]) @ turn.T + start
