"""Joint positions in arrays of any layout -> the 22 joints of SMPL.

    positions = joints_of_array(array, path)              # [T, 22, 3], in the axes of the file
    motion, positions = motion_of_joints(array, path, fps=20)

| array | of | joints used |
|---|---|---|
| `[T, 22, 3]`, `[T, 66]` | HumanML3D | all |
| `[N, 22, 3, T]`, `[22, 3, T]` | MDM | all |
| `[1, T, 22, 3]`, `[N, T, 22, 3]` | T2M-GPT, MoMask | all |
| `[T, 24, 3]` | SMPL | the first 22; its last two are the hands |
| `[T, 52, 3]`, `[T, 55, 3]` | SMPL-H, SMPL-X | the first 22 |
| `[T, 17, 3]` | Human3.6M | 14, see below |

Each joint count may be in each layout. Human3.6M's 17 joints lack feet, collars and most of the spine: the spine lies
on the line from pelvis to thorax, collars between spine and shoulders, and feet point forward at right angles to the
shin. Its first joint is between its hips; another set of 17 joints, such as COCO's, is an error.

Unusual: the vertical axis is y unless `up` says otherwise or the whole clip stands about another one, see
`motionmillion.io.axes`.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motionmillion.io.arrays import to_finite
from motionmillion.io.axes import settle_up, turn_of
from motionmillion.io.options import choose, option
from motionmillion.kinematics.joints import motion_from_joints
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22

_COUNTS = (22, 24, 52, 55, 17)
_H36M = 17
_COLLAR = {"spine3": 0.2, "shoulder": 0.45, "neck": 0.35}
_FOOT = (0.156, -0.067)
"""SMPL's ankle to foot, forward and up, relative to the leg's length."""
_JOINT = {name: number for number, name in enumerate(SMPL22.names)}


def is_joints(array: np.ndarray) -> bool:
    """Whether an array has the shape of joint positions."""
    return _stacked(array) is not None


def joints_of_array(array: np.ndarray, path: str | Path, index: int | None = None) -> np.ndarray:
    """Positions `[T, 22, 3]`, float64, in the unit and the axes of the file.

    Args:
        index: which motion of several; None takes the first, with a warning.

    Raises:
        ValueError: for a shape that is not that of joint positions, or values that are not finite.
    """
    stacked = _stacked(array)
    if stacked is None or array.size == 0:
        raise ValueError(
            f"joint positions of {str(path)!r} must have shape [T, 22, 3] or [T, 66], got {array.shape}; with 17, 24, "
            "52 or 55 joints, a leading axis or frames last, see motionmillion.io.joint_arrays"
        )
    joints = to_finite(stacked[choose(len(stacked), index, path)], "joint positions", path)
    return _of_h36m(joints, path) if joints.shape[1] == _H36M else joints[:, :22]


def motion_of_joints(
    array: np.ndarray, path: str | Path, fps: float | None = None, up: str | None = None, index: int | None = None
) -> tuple[Motion, Tensor]:
    """The motion of joint positions, and the positions `[T, 22, 3]`, y up, float32.

    Raises:
        ValueError: without a frame rate, for a wrong shape, values that are not finite, or a body that is not measured
            in metres.
    """
    joints = joints_of_array(array, path, index)
    if fps is None:
        raise ValueError(
            f"fps must be given for joint positions, which have no frame rate of their own, got none for "
            f"{str(path)!r}; HumanML3D's and MBench's have 20, pass {option('fps', 20)}"
        )
    turn = turn_of(settle_up(joints, up, "y", repr(str(path))))
    positions = (torch.from_numpy(joints) @ turn.mT).float()
    try:
        return motion_from_joints(positions, fps), positions
    except ValueError as error:
        raise ValueError(f"joint positions of {str(path)!r} must be a motion: {error}") from None


def _stacked(array: np.ndarray) -> np.ndarray | None:
    """`array` as `[N, T, J, 3]`, or None."""
    shape = array.shape
    if array.ndim == 2 and shape[1] == 66:
        return array.reshape(1, -1, 22, 3)
    if array.ndim == 3:
        if shape[2] == 3 and shape[1] in _COUNTS:
            return array[None]
        if shape[1] == 3 and shape[0] in _COUNTS:
            return np.moveaxis(array, -1, 0)[None]
        if shape[2] == 66:
            return array.reshape(*shape[:2], 22, 3)
    if array.ndim == 4:
        if shape[3] == 3 and shape[2] in _COUNTS:
            return array
        if shape[2] == 3 and shape[1] in _COUNTS:
            return np.moveaxis(array, -1, 1)
    return None


def _of_h36m(joints: np.ndarray, path: str | Path) -> np.ndarray:
    """SMPL's joints `[T, 22, 3]` from Human3.6M's `[T, 17, 3]`."""
    hip = joints[:, 0]
    length = np.median(np.linalg.norm(np.diff(joints[:, 4:7], axis=1), axis=-1).sum(-1))
    between = np.linalg.norm(hip - (joints[:, 1] + joints[:, 4]) / 2, axis=-1)
    if not length > 0 or np.median(between) > 0.15 * length:
        raise ValueError(
            f"joint positions of {str(path)!r} with 17 joints must be Human3.6M's, the first between the hips, got "
            "another set of joints; save them in SMPL's order"
        )
    made = np.zeros((len(joints), 22, 3))
    for name, place in (("pelvis", 0), ("right_hip", 1), ("right_knee", 2), ("right_ankle", 3), ("left_hip", 4)):
        made[:, _JOINT[name]] = joints[:, place]
    for name, place in (("left_knee", 5), ("left_ankle", 6), ("neck", 8), ("left_shoulder", 11), ("left_elbow", 12)):
        made[:, _JOINT[name]] = joints[:, place]
    for name, place in (("left_wrist", 13), ("right_shoulder", 14), ("right_elbow", 15), ("right_wrist", 16)):
        made[:, _JOINT[name]] = joints[:, place]
    spine, neck = joints[:, 7], joints[:, 8]
    made[:, _JOINT["spine1"]] = hip + 0.43 * (spine - hip)
    made[:, _JOINT["spine2"]] = hip + 0.96 * (spine - hip)
    made[:, _JOINT["spine3"]] = spine + 0.2 * (neck - spine)
    made[:, _JOINT["head"]] = neck + 0.6 * (joints[:, 9] - neck)
    forward = np.cross(joints[:, 4] - joints[:, 1], neck - hip)
    for side in ("left", "right"):
        shoulder = made[:, _JOINT[f"{side}_shoulder"]]
        parts = {"spine3": made[:, _JOINT["spine3"]], "shoulder": shoulder, "neck": neck}
        made[:, _JOINT[f"{side}_collar"]] = sum(_COLLAR[name] * part for name, part in parts.items())
        ankle = made[:, _JOINT[f"{side}_ankle"]]
        shin = _unit(made[:, _JOINT[f"{side}_knee"]] - ankle)
        ahead = _unit(forward - (forward * shin).sum(-1, keepdims=True) * shin)
        made[:, _JOINT[f"{side}_foot"]] = ankle + length * (_FOOT[0] * ahead + _FOOT[1] * shin)
    return made


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
