"""Joint rotations in arrays of any layout -> rotation matrices, recognised by shape.

    rotations = read_rotations(array, "body_pose", path, joints=(21, 23))          # [T, 21 or 23, 3, 3]

| layout | of n joints |
|---|---|
| axis-angle | `[T, 3 n]`, `[T, n, 3]` |
| 6D | `[T, 6 n]`, `[T, n, 6]`, `[n, 6, T]` |
| rotation matrices | `[T, n, 3, 3]`, `[T, 9 n]`, `[T, n, 9]`; `[T, 3, 3]` of one joint |

A joint axis of 1 may be left out. No two layouts of the joint counts of SMPL have the same width.

6D rotations are two of the three vectors of the matrix, in one of three orders:

| `sixd` | the six numbers | of |
|---|---|---|
| "rows" | first row, second row | PyTorch3D, MDM, this library's "rot272" |
| "columns" | first column, second column | HumanML3D |
| "interleaved" | r00 r01 r10 r11 r20 r21, the first two columns row by row | SPIN, HMR, 4D-Humans, VIBE |

Unusual: "interleaved" is told from the others by which numbers form unit vectors at right angles, and found if `sixd`
is None. Rows and columns look alike (one is the inverse rotation of the other): None takes rows.
"""

import warnings
from pathlib import Path

import numpy as np
import roma
import torch
from torch import Tensor

from motionmillion.io.arrays import to_finite

_BENT = 0.1
"""Radians by which knees are bent on the mean of a clip that tells the order of 6D rotations."""
_TOLERANCE = 0.05
SIXD = ("rows", "columns", "interleaved")
_SIZES = {3: "axis-angle", 6: "6D", 9: "rotation matrices"}


def read_rotations(
    array: np.ndarray, key: str, path: str | Path, joints: tuple[int, ...], sixd: str | None = None
) -> Tensor:
    """Rotation matrices `[T, n, 3, 3]`, float64, for one of the joint counts n in `joints`.

    Raises:
        ValueError: for a shape that fits no layout, values that are not finite, or matrices that are not rotations.
    """
    if sixd is not None and sixd not in SIXD:
        raise ValueError(f"sixd must be one of {SIXD}, got {sixd!r}")
    shaped = shape_rotations(array, joints)
    if shaped is None:
        counts = " | ".join(map(str, joints))
        widths = ", ".join(f"{' | '.join(str(n * size) for n in joints)} ({_SIZES[size]})" for size in _SIZES)
        raise ValueError(
            f"{key} of {str(path)!r} must have shape [T, {widths}] for {counts} joints, got {array.shape}; "
            "the joint count is not that of an SMPL body"
        )
    values = torch.from_numpy(to_finite(shaped, key, path))  # [T, n, 3 | 6 | 9]
    if values.shape[-1] == 3:
        return torch.as_tensor(roma.rotvec_to_rotmat(values))
    if values.shape[-1] == 6:
        return _from_6d(values, sixd, key, path)
    return _checked(values.unflatten(-1, (3, 3)), key, path)


def shape_rotations(array: np.ndarray, joints: tuple[int, ...]) -> np.ndarray | None:
    """`array` as `[T, n, 3 | 6 | 9]` if it is one motion in one of the layouts, else None."""
    shape = array.shape
    if array.ndim == 4 and shape[2:] == (3, 3) and shape[1] in joints:
        return array.reshape(shape[0], shape[1], 9)
    if array.ndim == 3:
        if 1 in joints and shape[1:] == (3, 3):
            return array.reshape(shape[0], 1, 9)
        if shape[1] in joints and shape[2] in _SIZES:
            return array
        if shape[0] in joints and shape[1] == 6:
            return np.moveaxis(array, -1, 0)
        if shape[1] == 1:  # [T, 1, width]
            return shape_rotations(array[:, 0], joints)
    if array.ndim == 2:
        for count in joints:
            if shape[1] in [count * size for size in _SIZES]:
                return array.reshape(shape[0], count, shape[1] // count)
    return None


def _from_6d(values: Tensor, given: str | None, key: str, path: str | Path) -> Tensor:
    sixd = given
    pairs = {"rows": values.unflatten(-1, (2, 3)), "interleaved": values.unflatten(-1, (3, 2)).mT}
    misfit = {name: _misfit(pair) for name, pair in pairs.items()}
    if sixd is None:
        sixd = "interleaved" if misfit["interleaved"] < 0.5 * misfit["rows"] else "rows"
    if misfit["interleaved" if sixd == "interleaved" else "rows"] > _TOLERANCE:
        warnings.warn(
            f"{key} of {str(path)!r} holds 6D rotations that are not exact as {sixd}; sixd= may be one of {SIXD}",
            stacklevel=2,
        )
    pair = pairs["interleaved" if sixd == "interleaved" else "rows"]
    if bool((pair.norm(dim=-1) < 1e-3).any()):
        raise ValueError(f"{key} of {str(path)!r} must hold 6D rotations of unit vectors, got a vector of length 0")
    rotations = torch.as_tensor(roma.special_gramschmidt(pair.mT))  # the two vectors as columns
    if given is None and sixd == "rows" and _knees_bend_forward(rotations.mT):
        sixd = "columns"
    return rotations.mT if sixd == "rows" else rotations


def _knees_bend_forward(rotations: Tensor) -> bool:
    """Whether the knees of SMPL's local rotations `[T, n, 3, 3]` bend the wrong way on the mean of the clip.

    Reading columns as rows gives the inverse rotations, in which they do. False for rotations without knees.
    """
    count = rotations.shape[1]
    if count < 21:
        return False
    left = 3 if count in (21, 23) else 4  # without the root, or with it
    bend = roma.rotmat_to_rotvec(rotations[:, left : left + 2])[..., 0].mean()
    return bool(bend < -_BENT)


def _misfit(pairs: Tensor) -> float:
    """Mean deviation of pairs of vectors `[..., 2, 3]` from unit vectors at right angles."""
    return float((pairs @ pairs.mT - torch.eye(2, dtype=pairs.dtype)).abs().mean())


def _checked(matrices: Tensor, key: str, path: str | Path) -> Tensor:
    error = (matrices @ matrices.mT - torch.eye(3, dtype=matrices.dtype)).abs().flatten(1).amax(1)
    wrong = (error > _TOLERANCE) | (torch.linalg.det(matrices) < 0).any(1)
    if bool(wrong.any()):
        raise ValueError(
            f"{key} of {str(path)!r} must hold rotation matrices, got others in frame {int(wrong.nonzero()[0])}"
        )
    return torch.as_tensor(roma.special_procrustes(matrices))
