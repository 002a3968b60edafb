"""The data that the player in HTML pages shows: motions, their skeletons, and the human body.

    scene([motion], ["a person waves"])        # what `new Player(canvas, scene)` takes
    shared_data()                              # what all players of a page share: the mesh of the human

Arrays are base64 of little-endian bytes. A motion is its local rotations as 16-bit quaternions and its root path as
float32, so the player's own forward kinematics is within 1 mm of `Motion.positions()`. A body is drawn as in GLB
files: "human" has its own proportions, "mannequin" and "stick" those of the motion (`motionmillion.io.skinned`).
Unusual: motions on `SMPL22` refer to the skeleton in the shared data.

Shapes: T frames, J joints.
"""

import base64
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import roma
import torch

from motionmillion.io.arrays import exact_rotations
from motionmillion.io.figure import COLORS, Figure
from motionmillion.io.skinned.bodies import load_body
from motionmillion.io.skinned.human import HUMANS
from motionmillion.io.smpl_tables import SMPL_PELVIS
from motionmillion.kinematics.contacts import find_contacts
from motionmillion.motion import Motion, heading
from motionmillion.skeleton import SMPL22, SMPLX_PELVIS, Skeleton

BODIES = (*HUMANS, "mannequin", "stick")
AZIMUTH = 35.0
_QUATERNION = 32767
_VERTEX = 1e-4
"""Metres per step of the 16-bit vertices of the human."""

Part = tuple[float, float, str]
"""First second, last second and text of a part of a motion."""


def scene(
    motions: Sequence[Motion],
    captions: Sequence[str],
    azimuth: float = AZIMUTH,
    body: str = "human",
    parts: Sequence[Sequence[Part]] | None = None,
) -> dict[str, Any]:
    """The data of one `Player`: motions that start together, as JSON values.

    Args:
        motions: at least one.
        captions: one per motion.
        azimuth: degrees between the initial facing direction and the direction to the camera.
        body: one of `BODIES`; motions without SMPL22's joints get the mannequin for a human.
        parts: for each motion the parts that have texts of their own, as (start, end, text) in seconds.

    Raises:
        ValueError: for an unknown body, and a part that does not end after its start.
    """
    if body not in BODIES:
        raise ValueError(f"body must be one of {list(BODIES)}, got {body!r}")
    skeletons = [skeleton for skeleton in dict.fromkeys(one.skeleton for one in motions) if skeleton != SMPL22]
    told = parts if parts is not None else [[] for _ in motions]
    return {
        "azimuth": round(float(np.deg2rad(azimuth)), 6),
        "body": "human" if body in HUMANS else body,
        "skeletons": [_skeleton(skeleton, _human(body)) for skeleton in skeletons],
        "motions": [
            {**_motion(one), "caption": caption, "parts": _parts(own), "skeleton": _place(one.skeleton, skeletons)}
            for one, caption, own in zip(motions, captions, told, strict=True)
        ],
    }


@cache
def shared_data(body: str = "human") -> dict[str, Any]:
    """What the players of a page share, as JSON values: SMPL22, the mesh of the human, and the colours of limbs.

    Args:
        body: that of the scenes; if it is no human, the page has the first one of `HUMANS`.
    """
    human = load_body(_human(body), SMPL22)
    faces = np.concatenate([part.faces for part in human.parts])
    return {
        "colors": COLORS,
        "pelvis": {"smplh": SMPL_PELVIS, "smplx": SMPLX_PELVIS},
        "smpl22": _skeleton(SMPL22, human.name),
        "human": {
            "unit": _VERTEX,
            "vertices": _base64(np.round(human.vertices / _VERTEX).astype("<i2")),
            "faces": _base64(faces.astype("<u2")),
            "parts": [[part.name, part.color, len(part.faces)] for part in human.parts],
            "joints": _base64(human.joints.astype("u1")),
            "weights": _base64(np.round(human.weights * 255).astype("u1")),
            "inverseBind": _base64(human.inverse_bind.astype("<f4")),
            "offsets": [_rounded(offset) for offset in human.skeleton.offsets],
        },
    }


def _motion(motion: Motion) -> dict[str, Any]:
    motion = motion.replace()  # checks again: tensors may have been changed in place
    quaternions = roma.rotmat_to_unitquat(torch.from_numpy(exact_rotations(motion))).numpy()  # [T, J, 4]
    return {
        "fps": motion.fps,
        "frames": motion.num_frames,
        "facing": round(float(heading(motion.rotations[:1, 0].detach().cpu())[0]), 6),
        "root": _base64(motion.translation.detach().cpu().numpy().astype("<f4")),
        "rotations": _base64(np.round(quaternions * _QUATERNION).astype("<i2")),
        "contacts": _contacts(motion),
    }


def _contacts(motion: Motion) -> str:
    """Bits of each frame: left ankle, left toes, right ankle, right toes; empty for other joints than SMPL22's."""
    if motion.skeleton.names != SMPL22.names:
        return ""
    contacts = find_contacts(motion.positions().detach().cpu().numpy(), motion.fps).reshape(-1, 4)
    return _base64(contacts.astype("u1") @ np.array([1, 2, 4, 8], dtype="u1"))


def _human(body: str) -> str:
    """The human that a page has."""
    return body if body in HUMANS else HUMANS[0]


def _skeleton(skeleton: Skeleton, human: str) -> dict[str, Any]:
    figure = Figure.of(skeleton)
    return {
        "names": skeleton.names,
        "parents": skeleton.parents,
        "offsets": [_rounded(offset) for offset in skeleton.offsets],
        "anchors": [[joint, *offset] for joint, offset in figure.anchors],
        "limbs": [[limb.start, limb.stop, limb.start_radius, limb.stop_radius, limb.side] for limb in figure.limbs],
        "human": _fit(skeleton, human),
    }


def _fit(skeleton: Skeleton, human: str) -> list[float] | None:
    """Scale and lift of a path on the human, or None if the human does not fit."""
    try:
        body = load_body(human, skeleton)
    except ValueError:
        return None
    return _rounded((body.scale, body.lift))


def _place(skeleton: Skeleton, skeletons: Sequence[Skeleton]) -> int:
    """Index among the scene's own skeletons, -1 for SMPL22."""
    return -1 if skeleton == SMPL22 else skeletons.index(skeleton)


def _parts(parts: Sequence[Part]) -> list[list[Any]]:
    for start, end, text in parts:
        if not 0 <= start < end:
            raise ValueError(f"parts must end after their start, got {start!r} to {end!r} for {text!r}")
    return [[round(float(start), 4), round(float(end), 4), str(text)] for start, end, text in parts]


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(float(value), 6) for value in values]


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
