"""Human bodies in a suit, from `motionmillion/bundled/body` (CC0, see the README there).

    body = make_human(SMPL22, "woman")

Unusual: the body keeps its own proportions. A motion's joint rotations are taken over, and its path is scaled by the
ratio of the leg lengths and lifted so that the soles stand where the foot joints of the motion's rest pose did. The
mesh is modelled in an A-pose; the inverse bind matrices hold the turn from there to the T-pose of `SMPL22`.
"""

from dataclasses import replace
from importlib.resources import files

import numpy as np

from motionmillion.io.arrays import get_array, open_arrays
from motionmillion.io.skinned.body import Part, SkinnedBody
from motionmillion.skeleton import SMPL22, Skeleton

_PARTS = (
    ("suit", (74, 92, 122), 0.85),
    ("shoes", (44, 46, 54), 0.7),
    ("skin", (196, 154, 128), 0.65),
    ("eyes", (58, 48, 44), 0.3),
)
"""Name, sRGB and roughness of the parts that `part` in the file counts."""
_UNITS_PER_METRE = 1e5
_LEG = ("hip", "knee", "ankle")

HUMANS = ("human", "man", "woman")
"""The builds: one between the sexes, 1.63 m tall, a man of 1.82 m, a woman of 1.69 m."""


def make_human(skeleton: Skeleton, build: str = "human") -> SkinnedBody:
    """A human body for motions on `skeleton`.

    Args:
        build: one of `HUMANS`.

    Raises:
        ValueError: if the skeleton's joints are not SMPL22's, or it has no legs.
    """
    if skeleton.names != SMPL22.names or skeleton.parents != SMPL22.parents:
        raise ValueError(
            f'body must be "mannequin" for a skeleton without SMPL22\'s joints, got "{build}" for {len(skeleton)} '
            "joints"
        )
    path = str(files("motionmillion").joinpath(f"bundled/body/{build}.npz"))
    with open_arrays(path) as arrays:
        given = {key: get_array(arrays, key, path) for key in arrays.files}
    faces, part = given["faces"].astype(np.int64), given["part"]
    weights = given["weights"].astype(np.float64)
    offsets = tuple((float(x), float(y), float(z)) for x, y, z in given["offsets"])
    own = Skeleton(SMPL22.names, SMPL22.parents, offsets)
    body = SkinnedBody(
        name=build,
        skeleton=own,
        vertices=given["vertices"] / _UNITS_PER_METRE,
        parts=tuple(
            Part(name, color, faces[part == number], roughness)
            for number, (name, color, roughness) in enumerate(_PARTS)
        ),
        joints=given["joints"].astype(np.int64),
        weights=weights / weights.sum(1, keepdims=True),
        inverse_bind=given["inverse_bind"].astype(np.float64),
    )
    scale = _leg(own) / _leg(skeleton)
    standing = -float(skeleton.rest_positions()[:, 1].min())  # pelvis above the lowest joint
    return replace(body, scale=scale, lift=body.rest_height - scale * standing)


def _leg(skeleton: Skeleton) -> float:
    """Length of the left leg from the hip to the ankle, metres."""
    points = skeleton.rest_positions().numpy()[[skeleton.index(f"left_{name}") for name in _LEG]]
    length = float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())
    if not length > 1e-3:
        raise ValueError(f'skeleton must have legs for body "human", got {length:.3g} m; use body="mannequin"')
    return length
