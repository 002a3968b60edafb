"""SMPL parameters under the names of many projects -> Motion; shared by the readers of `.npz`, `.npy`, `.pkl`, `.pt`.

    motion = motion_of_table(table)                       # a motionmillion.io.tables.Table

| of | poses | translation | up | frames per second |
|---|---|---|---|---|
| AMASS, SMPL-H, SMPL-X, stage II | poses, fullpose; root_orient + pose_body | trans, transl | z | in the file |
| SMPL of video (HMR2, smplx) | global_orient + body_pose | transl, trans | z | in the file |
| GVHMR | the same in smpl_params_global | transl | y | 30 |
| WHAM | pose_world | trans_world | y | 30 |
| AIST++ | smpl_poses | smpl_trans / smpl_scaling | y | 60 |
| EDGE | smpl_poses | smpl_trans | z | 30 |
| MDM's SMPL fit | thetas `[24, 6, T]` | root_translation `[3, T]`, of the pelvis | y | 20 |
| Kimodo | local_rot_mats `[T, 22, 3, 3]` | root_positions, of the pelvis | y | 30 |

Poses may be axis-angle, 6D or rotation matrices (`motionmillion.io.rotations`), of the 22 body joints, of SMPL's 24,
SMPL-H's 52 or SMPL-X's 55; without the root, of 21, 23, 51 or 54. Hands, face and body shape are dropped. Several
motions may be stacked along a first axis.

Unusual: the frame rates 30 of GVHMR and WHAM are those of most videos and are used with a warning.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from motionmillion.io.arrays import to_finite
from motionmillion.io.axes import check_up, settle_up, turn_of
from motionmillion.io.options import choose, option
from motionmillion.io.rotations import read_rotations, shape_rotations
from motionmillion.io.tables import Table
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPL22, SMPLX_PELVIS

SMPL_PELVIS = (-0.002, -0.223, 0.028)
RATES = ("mocap_framerate", "mocap_frame_rate", "fps")
_WHOLE, _BODY = (22, 24, 52, 55), (21, 23, 51, 54)
_ROOT_KEYS, _BODY_KEYS = ("root_orient", "global_orient"), ("pose_body", "body_pose")
_TRANS_KEYS = ("trans", "transl", "translation")


@dataclass(frozen=True)
class TableLayout:
    """Names and conventions of one kind of file.

    Args:
        poses: names of the poses of all joints; none for root and body apart.
        trans: names of the root translation.
        up: the vertical axis by convention.
        fps: frames per second by convention; None if files state it.
        pelvis: position of the pelvis relative to `trans`, metres, in the axes of the file; None for SMPL's, or
            SMPL-X's where the file says so.
        scale: name of a number that the translation is divided by.
        sure_of_rate: False where `fps` is only usual.
    """

    poses: tuple[str, ...] = ()
    trans: tuple[str, ...] = _TRANS_KEYS
    up: str = "z"
    fps: float | None = None
    pelvis: tuple[float, float, float] | None = None
    scale: str = ""
    sure_of_rate: bool = True


_AT_PELVIS = (0.0, 0.0, 0.0)
_AIST = TableLayout(("smpl_poses",), ("smpl_trans",), up="y", fps=60.0, scale="smpl_scaling")
_NAMED = (
    TableLayout(("local_rot_mats",), ("root_positions",), up="y", fps=30.0, pelvis=_AT_PELVIS),
    TableLayout(("pose_world",), ("trans_world",), up="y", fps=30.0, sure_of_rate=False),
    TableLayout(("thetas",), ("root_translation",), up="y", fps=20.0, pelvis=_AT_PELVIS),
)
_EDGE = TableLayout(("smpl_poses",), ("smpl_trans",), up="z", fps=30.0)
GVHMR = TableLayout(trans=("transl", "trans"), up="y", fps=30.0, pelvis=SMPLX_PELVIS, sure_of_rate=False)
_GENERAL = TableLayout(("poses", "fullpose", "full_pose", "pose"))


@dataclass(frozen=True)
class Reading:
    """Options of reading.

    Args:
        up: the vertical axis, "y", "z", "-y" or "-z"; None: as the file states, else by convention and checked.
        fps: frames per second, for files that do not state them.
        index: which motion of several; None: the first, with a warning.
        sixd: order of 6D rotations, see `motionmillion.io.rotations`.
    """

    up: str | None = None
    fps: float | None = None
    index: int | None = None
    sixd: str | None = None


def has_poses(table: Table) -> bool:
    """Whether a table holds SMPL parameters."""
    named = [key for layout in (*_NAMED, _AIST, _GENERAL) for key in layout.poses]
    return table.first(named) is not None or None not in (table.first(_ROOT_KEYS), table.first(_BODY_KEYS))


def layout_of(table: Table) -> TableLayout:
    """The layout of a table by the names in it."""
    if "smpl_poses" in table:
        return _AIST if "smpl_scaling" in table else _EDGE
    for layout in _NAMED:
        if table.first(layout.poses) is not None:
            return layout
    return _GENERAL


def motion_of_table(table: Table, reading: Reading = Reading(), layout: TableLayout | None = None) -> Motion:  # noqa: B008
    """The motion that a table of SMPL parameters holds; see the module's docstring.

    Raises:
        ValueError: if a name is missing, a shape is wrong, a value is not finite, or the frame rate is not known.
    """
    path, layout = table.path, layout or layout_of(table)
    check_up(reading.up)
    parts = _parts(table, layout)
    trans, trans_key = _trans(table, layout)
    parts, trans = _one_motion(parts, trans, reading, table)
    bodies = [_body(array, key, joints, path, reading.sixd) for array, key, joints in parts]
    if len({len(body) for body in bodies}) > 1:
        raise ValueError(
            f"root and body poses of {str(path)!r} must have one row per frame, got {parts[0][0].shape} and "
            f"{parts[1][0].shape}"
        )
    rotations = torch.cat(bodies, dim=1)[:, :22]  # [T, 22, 3, 3]
    if trans.shape == (3, len(rotations)) != (3, 3):
        trans = trans.T
    if trans.shape == (len(rotations), 1, 3):
        trans = trans[:, 0]
    if trans.shape != (len(rotations), 3):
        raise ValueError(
            f"{trans_key} of {str(path)!r} must have shape [{len(rotations)}, 3] like poses, got {trans.shape}"
        )
    trans = to_finite(trans, trans_key, path)
    if layout.scale:
        scale = table.number(layout.scale)
        if not scale > 0:
            raise ValueError(f"{layout.scale} of {str(path)!r} must be positive, got {scale!r}")
        trans = trans / scale
    fps = _rate(table, layout, reading)
    pelvis = layout.pelvis or (SMPLX_PELVIS if table.text("surface_model_type") == "smplx" else SMPL_PELVIS)
    # the offset is in the axes of the file, so it is added before the rotation
    translation = torch.from_numpy(trans + np.array(pelvis))
    given = reading.up if reading.up is not None else table.text("up_axis") or None
    check_up(given)
    positions = SMPL22.forward_kinematics(rotations, translation)[0]
    turn = turn_of(settle_up(positions, given, layout.up, repr(str(path))))
    rotations[:, 0] = turn @ rotations[:, 0]
    return Motion(rotations, translation @ turn.mT, fps=fps, caption=table.text("caption"))


def _parts(table: Table, layout: TableLayout) -> list[tuple[np.ndarray, str, tuple[int, ...]]]:
    """The arrays of poses with their names and joint counts."""
    key = table.first(layout.poses)
    if key is not None:
        return [(table[key], key, _WHOLE)]
    root, body = _first_key(table, _ROOT_KEYS, "the poses"), _first_key(table, _BODY_KEYS, "the body's poses")
    return [(table[root], root, (1,)), (table[body], body, _BODY)]


def _trans(table: Table, layout: TableLayout) -> tuple[np.ndarray, str]:
    key = _first_key(table, layout.trans, "the root translation")
    return table[key], key


def _one_motion(parts: list, trans: np.ndarray, reading: Reading, table: Table) -> tuple[list, np.ndarray]:
    """One motion of a file that stacks several along a first axis."""
    array, _, joints = parts[-1]
    if shape_rotations(array, joints) is not None or array.ndim < 3 or len(array) == 0:
        return parts, trans
    if shape_rotations(array[0], joints) is None or any(len(other) != len(array) for other, _, _ in parts):
        return parts, trans
    place = choose(len(array), reading.index, table.path)
    trans = trans[place] if trans.ndim == 3 and len(trans) == len(array) else trans
    return [(other[place], key, count) for other, key, count in parts], trans


def _body(array: np.ndarray, key: str, joints: tuple[int, ...], path: object, sixd: str | None) -> Tensor:
    if array.ndim < 2 or len(array) == 0:
        raise ValueError(f"{key} of {str(path)!r} must have one row per frame, got {array.shape}")
    return read_rotations(array, key, str(path), joints, sixd)


def _first_key(table: Table, keys: tuple[str, ...], what: str) -> str:
    key = table.first(keys)
    if key is None:
        raise ValueError(
            f"{str(table.path)!r} must hold {what} as {' or '.join(keys)}, got only the keys {table.keys()}"
        )
    return key


def _rate(table: Table, layout: TableLayout, reading: Reading) -> float:
    key = table.first(RATES)
    if key is not None:
        return table.number(key)
    if reading.fps is not None:
        return reading.fps
    if layout.fps is None:
        raise ValueError(
            f"{str(table.path)!r} must hold its frame rate as {' or '.join(RATES)}, got none; pass {option('fps')}"
        )
    if not layout.sure_of_rate:
        warnings.warn(
            f"{str(table.path)!r} has no frame rate and is read at {layout.fps:g} frames per second; "
            f"pass {option('fps')} if the video has another",
            stacklevel=2,
        )
    return layout.fps
