"""Rotations as NumPy matrices in float64: about an axis, between directions, means, twists and fits over a clip.

    turned = swing(bone, wanted)                  # the smallest rotation from one direction to another
    angle = twist_fit(rotations, target, axis)    # the twist about a bone that fits a whole clip

Code on tensors uses `roma` directly; here are the operations of retargeting, most of which it does not have.
Shapes: T frames; `...` is any leading dimensions.
"""

import numpy as np
import roma
import torch

_TINY = 1e-6


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors `[..., 3]` scaled to length 1; zero vectors stay."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def angle_between(a: np.ndarray, b: np.ndarray) -> float:
    """The angle between two directions `[3]`, radians."""
    return float(np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b))


def axis_rotation(angle: np.ndarray, axis: int) -> np.ndarray:
    """Rotations `[..., 3, 3]` by `angle` `[...]`, radians, about x, y or z (`axis` 0, 1 or 2)."""
    matrix = np.zeros((*np.shape(angle), 3, 3))
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix[..., axis, axis] = 1.0
    matrix[..., first, first] = matrix[..., second, second] = np.cos(angle)
    matrix[..., second, first] = np.sin(angle)
    matrix[..., first, second] = -matrix[..., second, first]
    return matrix


def about(axis: np.ndarray, angle: float) -> np.ndarray:
    """The rotation `[3, 3]` by `angle`, radians, about the direction `axis` `[3]`."""
    frame = swing(np.array([1.0, 0.0, 0.0]), axis)
    return frame @ axis_rotation(np.asarray(angle), 0) @ frame.T


def swing(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The smallest rotations `[..., 3, 3]` from vectors `start` to the directions of `end`, both `[..., 3]`."""
    a, b = np.broadcast_arrays(unit(start), unit(end))
    cross = np.cross(a, b)
    cos = (a * b).sum(-1)[..., None, None]
    skew = np.zeros((*a.shape, 3))
    skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0] = np.moveaxis(cross, -1, 0)
    skew -= skew.swapaxes(-1, -2)
    result = np.eye(3) + skew + skew @ skew / np.maximum(1.0 + cos, _TINY)
    opposite = cos[..., 0, 0] < -1.0 + _TINY
    if opposite.any():  # half a turn about any perpendicular axis
        helper = np.eye(3)[np.abs(a[opposite]).argmin(-1)]
        across = unit(np.cross(a[opposite], helper))
        result[opposite] = 2.0 * across[:, :, None] * across[:, None, :] - np.eye(3)
    return result


def rotate(rotations: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Vectors `[..., 3]` turned by rotations `[..., 3, 3]`."""
    return (rotations @ vectors[..., None])[..., 0]


def nearest(matrices: np.ndarray) -> np.ndarray:
    """The rotations nearest to matrices `[..., 3, 3]`, by least squares."""
    found = roma.special_procrustes(torch.from_numpy(matrices))
    assert isinstance(found, torch.Tensor)  # not a tuple: no gain is asked for
    return found.numpy()


def power(rotations: np.ndarray, exponent: float) -> np.ndarray:
    """Rotations `[..., 3, 3]` with their angles times `exponent`."""
    return roma.rotvec_to_rotmat(roma.rotmat_to_rotvec(torch.from_numpy(rotations)) * exponent).numpy()


def twist_fit(rotations: np.ndarray, target: np.ndarray, axis: np.ndarray) -> float:
    """The angle about `axis` `[3]` that turns `rotations` `[T, 3, 3]` closest to `target` on their right; radians."""
    fit = np.einsum("tji,tjk->ik", rotations, target)
    sine = axis @ np.array([fit[2, 1] - fit[1, 2], fit[0, 2] - fit[2, 0], fit[1, 0] - fit[0, 1]])
    return float(np.arctan2(sine, np.trace(fit) - axis @ fit @ axis))


def whole_fit(rotations: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation `[3, 3]` that turns `rotations` `[T, 3, 3]` closest to `target` when it is put on their right."""
    return nearest(np.einsum("tji,tjk->ik", rotations, target))
