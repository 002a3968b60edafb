"""Inverse kinematics of the legs: ankles and toes to given points, knees bending as before.

    rotations = move_legs(skeleton, rotations, root, ankles, toes, fps)

A leg is two bones: the knee's bend sets the distance of the ankle from the hip, about the axis that it bends about
already, and the thigh turns the ankle into its direction; the foot turns its toes. Where nothing is to move, nothing
changes. A target out of reach is approached as far as the leg goes.

Shapes: T frames, J joints, F two feet (left, right).
"""

import numpy as np
import torch

from motionmillion.kinematics.contacts import windows
from motionmillion.kinematics.rotations import rotate, swing, unit
from motionmillion.skeleton import SMPL22, Skeleton

_PARTS = ("hip", "knee", "ankle", "foot")
_LEGS = np.array([[SMPL22.names.index(f"{side}_{part}") for part in _PARTS] for side in ("left", "right")])
_STRAIGHT = 0.05
"""Weight of the thigh's own sideways axis beside the sine of the knee's bend, which has no axis in a straight leg."""
_NEARLY, _SMOOTHED = (0.94, 0.98), 0.1
"""Distances of ankle and hip, as shares of the leg, between which the bend is smoothed more and more; seconds."""
LONGEST = 0.998
"""Longest distance from hip to ankle, as a share of the leg."""


def posed(skeleton: Skeleton, rotations: np.ndarray, root: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joint positions `[T, J, 3]` and global rotations `[T, J, 3, 3]`."""
    points, turned = skeleton.forward_kinematics(torch.from_numpy(rotations), torch.from_numpy(root))
    return points.numpy(), turned.numpy()


def lowering(points: np.ndarray, ankles: np.ndarray) -> np.ndarray:
    """How far the hips must come down for the legs to reach the ankles' targets `[T, F, 3]`; metres `[T]`."""
    hip, knee, ankle, _ = np.moveaxis(points[:, _LEGS], 2, 0)  # each [T, F, 3]
    length = np.linalg.norm(knee - hip, axis=-1) + np.linalg.norm(ankle - knee, axis=-1)
    longest = np.maximum(LONGEST * length, np.linalg.norm(ankle - hip, axis=-1))
    apart = np.linalg.norm((ankles - hip)[..., [0, 2]], axis=-1)
    height = np.sqrt(np.maximum(longest**2 - apart**2, 0.0))
    return np.clip(hip[..., 1] - ankles[..., 1] - height, 0.0, None).max(1)


def move_legs(
    skeleton: Skeleton, rotations: np.ndarray, root: np.ndarray, ankles: np.ndarray, toes: np.ndarray, fps: float
) -> np.ndarray:
    """Local rotations `[T, J, 3, 3]` with ankles and toes at the targets `[T, F, 3]`, as far as the legs reach."""
    points, turned = posed(skeleton, rotations, root)
    rotations = rotations.copy()
    for side, (hip, knee, ankle, foot) in enumerate(_LEGS):
        target = ankles[:, side]
        thigh, shin = points[:, knee] - points[:, hip], points[:, ankle] - points[:, knee]
        axis = unit(np.cross(unit(thigh), unit(shin)) + _STRAIGHT * turned[:, hip, :, 0])
        bent = _bend(thigh, shin, axis, target - points[:, hip], fps)  # [T, 3, 3], of the shin about the knee
        reach = thigh + rotate(bent, shin)
        whole = swing(reach, target - points[:, hip])
        sole = points[:, foot] - points[:, ankle]
        tilt = swing(sole, toes[:, side] - (points[:, hip] + rotate(whole, reach)))
        new_hip, new_knee = whole @ turned[:, hip], whole @ bent @ turned[:, knee]
        parent = skeleton.parents[hip]
        rotations[:, hip] = turned[:, parent].swapaxes(-1, -2) @ new_hip
        rotations[:, knee] = new_hip.swapaxes(-1, -2) @ new_knee
        rotations[:, ankle] = new_knee.swapaxes(-1, -2) @ tilt @ turned[:, ankle]
    return rotations


def _bend(thigh: np.ndarray, shin: np.ndarray, axis: np.ndarray, wanted: np.ndarray, fps: float) -> np.ndarray:
    """Rotations of the shin about the knee's axis that put the ankle as far from the hip as `wanted` is long."""
    # split into the parts along the axis, which stay, and those across it, which form a triangle
    along = (thigh * axis).sum(-1) + (shin * axis).sum(-1)
    first, second = (v - (v * axis).sum(-1, keepdims=True) * axis for v in (thigh, shin))
    a, b = np.linalg.norm(first, axis=-1), np.linalg.norm(second, axis=-1)
    now = np.linalg.norm(thigh + shin, axis=-1)
    longest = np.maximum(LONGEST * (np.linalg.norm(thigh, axis=-1) + np.linalg.norm(shin, axis=-1)), now)
    distance = np.minimum(np.linalg.norm(wanted, axis=-1), longest)
    cosine = (distance**2 - along**2 - a**2 - b**2) / np.maximum(2.0 * a * b, 1e-12)
    angle = np.arctan2((np.cross(first, second) * axis).sum(-1), (first * second).sum(-1))
    bend = np.where(angle < 0, -1.0, 1.0) * np.arccos(np.clip(cosine, -1.0, 1.0)) - angle
    # the knee of a nearly straight leg swings far for millimetres of distance: there the bend is smoothed over time
    reach = distance / np.maximum(np.linalg.norm(thigh, axis=-1) + np.linalg.norm(shin, axis=-1), 1e-12)
    straight = np.clip((reach - _NEARLY[0]) / (_NEARLY[1] - _NEARLY[0]), 0.0, 1.0)
    radius = max(round(_SMOOTHED * fps), 1)
    kernel = np.hanning(2 * radius + 3)[1:-1]
    smooth = windows(bend, radius) @ (kernel / kernel.sum())
    return _about(axis, bend + straight * (smooth - bend))


def _about(axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Rotations `[T, 3, 3]` about unit axes `[T, 3]` by angles `[T]`."""
    skew = np.zeros((*axis.shape, 3))
    skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0] = np.moveaxis(axis, -1, 0)
    skew -= skew.swapaxes(-1, -2)
    sine, cosine = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    return np.eye(3) + sine * skew + (1.0 - cosine) * skew @ skew
