"""Motion as plain arrays: `.npy` with features of any representation, or with joint positions.

    motion = read_features("walk.npy")                                    # the array's width tells which
    motion = read_features("walk.npy", representation="rot276_velocity")
    motion = read_features("joints.npy", fps=20, up="z")
    motion = write_features(motion, "walk.npy")                           # 272 features

| array | read as | frame rate | axes |
|---|---|---|---|
| `[T, 272]` | "rot272" | 30 | y up |
| `[T, 276]` | "rot276" | 20 | z up |
| `[T, 263]` | "hml263" | 20 | y up |
| `[T, 22, 3]`, `[T, 66]` and others of `motionmillion.io.joint_arrays` | "joints", metres | `fps` | y up, or `up` |
| `[T, 85]`, `[T, 322]`, dictionaries of `motionmillion.io.content` | SMPL's parameters | 30 or `fps` | as joints |

Features must be in physical units, not normalised: positions of a body that is not of human size are an error.

Unusual: most features do not contain the initial position and heading (see `motionmillion.features`): such a motion
starts at x = z = 0, facing +z. Positions do not determine twist: see `motionmillion.kinematics.joints` for how
rotations are computed for joints and "hml263".
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motionmillion import features as representations
from motionmillion.features.base import Route
from motionmillion.io.arrays import to_finite
from motionmillion.io.content import FLAT, motion_of_flat, motion_of_value
from motionmillion.io.files import atomic_path
from motionmillion.io.joint_arrays import is_joints, motion_of_joints
from motionmillion.io.pickles import load_value
from motionmillion.io.smpl_tables import Reading
from motionmillion.kinematics.joints import HUMAN_LEGS, leg_length
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22

JOINTS = "joints"
"""Name of joint positions in place of a representation."""


def read_features(
    path: str | Path,
    representation: str | None = None,
    route: Route | None = None,
    fps: float | None = None,
    up: str | None = None,
    index: int | None = None,
    sixd: str | None = None,
) -> Motion:
    """Read features `[T, D]`, or joint positions `[T, 22, 3]`, as a motion.

    Args:
        representation: a name of `motionmillion.features.available()`, or "joints"; None infers it from the shape.
        route: "rotations" or "positions", the block that the joint rotations are taken from; None leaves it to the
            representation.
        fps: frames per second of joint positions, or of SMPL parameters instead of 30; features have their own.
        up: the vertical axis of joint positions and SMPL parameters, such as "z"; None takes y, checked on the clip
            (`motionmillion.io.axes`). Features have their own.
        index: which motion of a file of several; None takes the first, with a warning.
        sixd: order of 6D rotations, see `motionmillion.io.rotations`.

    Raises:
        ValueError: if the file is missing, damaged, not plain data, not finite, of a wrong shape, or of a body that
            is not of human size (normalised features); for joint positions without `fps`; for features with an
            `fps` or `up` that differs from theirs.
    """
    return read_with_positions(path, representation, route, fps, up, index, sixd)[0]


def read_with_positions(
    path: str | Path,
    representation: str | None = None,
    route: Route | None = None,
    fps: float | None = None,
    up: str | None = None,
    index: int | None = None,
    sixd: str | None = None,
) -> tuple[Motion, Tensor]:
    """As `read_features`, plus the joint positions `[T, 22, 3]` stored in the file, y up, metres."""
    array = load_value(path)
    reading = Reading(up, fps, index, sixd)
    if array.dtype.kind == "O":
        _check_left_out(path, representation=representation, route=route)
        motion = motion_of_value(array, path, reading)
        return motion, motion.positions()
    if representation is None and array.ndim == 2 and array.shape[1] in FLAT:
        _check_left_out(path, route=route)
        motion = motion_of_flat(array, path, reading)
        return motion, motion.positions()
    name = _by_shape(array, path) if representation is None else representation
    if name == JOINTS:
        if route is not None:
            raise ValueError(f"route must be left out for joint positions, got {route!r} for {str(path)!r}")
        return motion_of_joints(array, path, fps, up, index)
    return motion_of_features(array, path, name, route, fps, up)


def motion_of_features(
    array: np.ndarray,
    path: str | Path,
    name: str,
    route: Route | None = None,
    fps: float | None = None,
    up: str | None = None,
) -> tuple[Motion, Tensor]:
    """The motion of features `[T, D]` of a representation, and their joint positions `[T, 22, 3]`.

    Args:
        path: where they are from, for errors.

    Raises:
        ValueError: as `read_features`.
    """
    codec = representations.get(name)
    if array.ndim != 2 or array.shape[0] == 0 or array.shape[1] != codec.dim:
        raise ValueError(
            f"features of {str(path)!r} must have shape [T, {codec.dim}] for {codec.name}, got {array.shape}"
        )
    if fps not in (None, codec.fps):
        raise ValueError(f"fps must be {codec.fps:g} for {name} features, got {fps!r} for {str(path)!r}; leave it out")
    if up is not None:
        raise ValueError(
            f"up must be left out for {name} features, which have their own axes, got {up!r} for {str(path)!r}"
        )
    values = torch.from_numpy(to_finite(array, "features", path)).float()
    positions = codec.positions(values)
    # normalised features are the most common mistake; their legs have implausible lengths
    leg = leg_length(positions)
    if not HUMAN_LEGS[0] <= leg <= HUMAN_LEGS[1]:
        raise ValueError(
            f"features of {str(path)!r} must be in physical units, got legs {leg:.3g} m long; multiply normalised "
            "ones by the standard deviation and add the mean"
        )
    try:
        return codec.decode(values) if route is None else codec.decode(values, route), positions
    except ValueError as error:
        raise ValueError(f"features of {str(path)!r} must be a motion in {name}: {error}") from None


def _check_left_out(path: str | Path, **options: str | None) -> None:
    for name, value in options.items():
        if value is not None:
            raise ValueError(f"{name} must be left out for SMPL parameters, got {value!r} for {str(path)!r}")


def write_features(motion: Motion, path: str | Path, representation: str = "rot272") -> Path:
    """Encode a motion and write its features `[T, D]` as float32; it is resampled to their frame rate first.

    Args:
        representation: a name of `motionmillion.features.available()`, or "joints" for positions `[T, 22, 3]`, y up,
            metres, at the motion's own frame rate.

    Raises:
        ValueError: if the motion holds NaN or infinity, its joints are not SMPL22's, or the folder cannot be written.
    """
    motion = motion.replace()  # checks again: tensors may have been changed in place
    if representation != JOINTS:
        values = representations.get(representation).encode(motion)
    elif motion.skeleton.names == SMPL22.names:
        values = motion.positions()
    else:
        raise ValueError(f"motion must use the SMPL22 joints, got {len(motion.skeleton)} joints of another skeleton")
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.save(file, values.detach().cpu().numpy().astype(np.float32), allow_pickle=False)
    return Path(path)


def _by_shape(array: np.ndarray, path: str | Path) -> str:
    """Name of the representation of an array, by its shape; if several have the same width, the first by name."""
    widths: dict[int, str] = {}
    for name in representations.available():
        # the first name of a width wins, e.g. rot276 before rot276_velocity
        widths.setdefault(representations.get(name).dim, name)
    if is_joints(array):
        return JOINTS
    if array.ndim == 2 and array.shape[1] in widths:
        return widths[array.shape[1]]
    raise ValueError(
        f"features of {str(path)!r} must have shape [T, {' | '.join(map(str, sorted(widths)))}], or [T, 22, 3] or "
        f"[T, 66] for joint positions, or [T, 85 | 322] for SMPL parameters, got {array.shape}"
    )
