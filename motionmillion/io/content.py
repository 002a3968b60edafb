"""What a file of arrays holds, recognised by its names and shapes -> Motion.

    motion = motion_of_content(Table.of_npz(arrays, path))
    motion = motion_of_value(load_pickle(path), path)

| content | of |
|---|---|
| SMPL parameters by name | see `motionmillion.io.smpl_tables` |
| the same in a dictionary `smpl_params_global`, or another inner one | GVHMR |
| dictionary of such dictionaries, one a person | WHAM, VIBE |
| dictionary or list of frames with `smpl`, and `tid`, `camera`, `time` | PHALP, 4D-Humans |
| `motion` `[N, 22, 3, T]` or `[N, 25, 6, T]`, `lengths`, `text` | MDM's results.npy |
| `posed_joints`, `joints`, `joints3d`, `keypoints3d`, `positions` `[T, J, 3]` | Kimodo, others |
| array `[T, 85]`: 72 axis-angle, 3 translation, 10 shape | 272-dim-Motion-Representation |
| array `[T, 322]`: root, body, hands, jaw, face, translation, shape | Motion-X |
| array of joint positions | see `motionmillion.io.joint_arrays` |

Of several motions or people one is read, see `index`; people of PHALP are sorted by the length of their tracks.

Unusual: PHALP's people are in the coordinates of the camera, y down, their path too, whose depth is a guess; frames
without the person repeat the one before. In arrays of 85 numbers the translation is SMPL's, or the pelvis itself in
files made from features: whichever puts the feet nearer to height 0. Kimodo's rotations are checked against its joint
positions, which are used instead where the two differ.
"""

import math
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from motionmillion.io.joint_arrays import is_joints, motion_of_joints
from motionmillion.io.options import choose
from motionmillion.io.smpl_tables import GVHMR, RATES, Reading, TableLayout, has_poses, motion_of_table
from motionmillion.io.tables import Table, as_array
from motionmillion.motion import Motion
from motionmillion.skeleton import SMPLX_PELVIS

_JOINT_KEYS = ("posed_joints", "joints", "joints3d", "keypoints3d", "positions")
_MDM_FPS = 20.0
_FLAT_FPS = 30.0
_DEPTH = 4
_APART = 0.1
"""Mean distance of joints, metres, at which rotations and positions of one file contradict each other."""
_PHALP = TableLayout(trans=("trans",), up="-y", fps=30.0, sure_of_rate=False)
FLAT = {85: "SMPL's parameters", 322: "Motion-X"}
"""Widths of arrays of SMPL parameters."""


def motion_of_content(table: Table, reading: Reading = Reading()) -> Motion:  # noqa: B008
    """The motion in named arrays.

    Raises:
        ValueError: if they are not a motion; see `motionmillion.io.smpl_tables`.
    """
    key = table.first(_JOINT_KEYS)
    if has_poses(table):
        try:
            motion = motion_of_table(table, reading)
        except ValueError:
            if key is None or "local_rot_mats" not in table or not is_joints(table[key]):
                raise
        else:
            if "posed_joints" not in table or not _contradict(motion, table, reading):
                return motion
    if key is None:
        return motion_of_table(table, reading)  # whose error names what is missing
    rate = table.first(RATES)
    fps = reading.fps if rate is None else table.number(rate)
    if fps is None and key == "posed_joints":
        fps = _FLAT_FPS
    up = reading.up if reading.up is not None else table.text("up_axis") or None
    return motion_of_joints(table[key], table.path, fps, up, reading.index)[0]


def motion_of_value(value: Any, path: str | Path, reading: Reading = Reading(), depth: int = 0) -> Motion:  # noqa: B008
    """The motion in the plain data of a pickle.

    Raises:
        ValueError: if it is not a motion.
    """
    while isinstance(value, np.ndarray) and value.dtype.kind == "O":
        value = value.reshape(-1).tolist()
        value = value[0] if len(value) == 1 else value
    if depth > _DEPTH:
        raise _nothing(path, "data nested too deeply")
    if isinstance(value, dict):
        return _of_dictionary(value, path, reading, depth)
    if isinstance(value, list | tuple) and value and all(isinstance(item, dict) for item in value):
        if all("smpl" in item for item in value):
            return _of_frames(list(value), path, reading)
        place = choose(len(value), reading.index, path)
        return motion_of_value(value[place], path, replace(reading, index=0), depth + 1)
    if not isinstance(value, np.ndarray | list | tuple):
        raise _nothing(path, type(value).__name__)
    array = as_array(value, repr(str(path)))
    if array.ndim == 2 and array.shape[1] in FLAT:
        return motion_of_flat(array, path, reading)
    if not is_joints(array):
        raise _nothing(path, f"an array of shape {array.shape}")
    return motion_of_joints(array, path, reading.fps, reading.up, reading.index)[0]


def motion_of_flat(array: np.ndarray, path: str | Path, reading: Reading = Reading()) -> Motion:  # noqa: B008
    """The motion in SMPL parameters `[T, 85]` or `[T, 322]`, y up.

    Raises:
        ValueError: for another width, and as `motion_of_table`.
    """
    if array.ndim != 2 or array.shape[1] not in FLAT or len(array) == 0:
        raise _nothing(path, f"an array of shape {array.shape}")
    layout = TableLayout(("poses",), up="y", fps=_FLAT_FPS, pelvis=SMPLX_PELVIS)
    if array.shape[1] == 322:
        return motion_of_table(Table({"poses": array[:, :66], "trans": array[:, 309:312]}, path), reading, layout)
    table = Table({"poses": array[:, :72], "trans": array[:, 72:75]}, path)
    motion = motion_of_table(table, reading, replace(layout, pelvis=None))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the same kinds as before
        other = motion_of_table(table, reading, replace(layout, pelvis=(0.0, 0.0, 0.0)))
    floors = [abs(float(torch.quantile(m.positions()[..., 1].amin(1), 0.1))) for m in (motion, other)]
    return other if floors[1] < floors[0] else motion


def _of_dictionary(value: dict, path: str | Path, reading: Reading, depth: int) -> Motion:
    table = Table(value, path)
    if "motion" in value and not has_poses(table):
        return _of_mdm(value, path, reading)
    if isinstance(value.get("smpl_params_global"), dict):
        inner = {**value["smpl_params_global"], **{key: value[key] for key in RATES if key in value}}
        return motion_of_table(Table(inner, path), reading, GVHMR)
    if has_poses(table) or table.first(_JOINT_KEYS) is not None:
        return motion_of_content(table, reading)
    inner = {key: item for key, item in value.items() if isinstance(item, dict)}
    if inner and all("smpl" in item for item in inner.values()):
        return _of_frames([inner[key] for key in sorted(inner, key=_natural)], path, reading)
    people = [inner[key] for key in sorted(inner, key=_natural) if _holds_motion(inner[key], path)]
    if not people:
        raise _nothing(path, f"only the keys {table.keys()}")
    place = choose(len(people), reading.index, path, "people")
    return motion_of_value(people[place], path, replace(reading, index=0), depth + 1)


def _holds_motion(value: dict, path: str | Path) -> bool:
    table = Table(value, path)
    return has_poses(table) or table.first(_JOINT_KEYS) is not None or "smpl_params_global" in value


def _of_mdm(value: dict, path: str | Path, reading: Reading) -> Motion:
    motions = as_array(value["motion"], f"'motion' of {str(path)!r}")
    if motions.ndim == 3:
        motions = motions[None]
    place = choose(len(motions), reading.index, path) if len(motions) else 0
    if motions.ndim != 4 or len(motions) == 0:
        raise _nothing(path, f"a motion of shape {motions.shape}")
    one = motions[place]  # [J, 3, T]
    if "lengths" in value:
        lengths = as_array(value["lengths"], f"'lengths' of {str(path)!r}").reshape(-1)
        if len(lengths) > place and lengths.dtype.kind in "iu":
            one = one[..., : max(int(lengths[place]), 0)]
    fps = _MDM_FPS if reading.fps is None else reading.fps
    reading = replace(reading, index=0, fps=fps)
    if one.shape[:2] == (25, 6):  # 24 rotations, and the root's path
        return motion_of_table(Table({"thetas": one[:24], "root_translation": one[24, :3]}, path), reading)
    motion = motion_of_joints(one, path, fps, reading.up, 0)[0]
    text = value.get("text")
    told = isinstance(text, list | tuple) and len(text) > place and isinstance(text[place], str)
    return motion.replace(caption=text[place]) if told else motion  # type: ignore[index]


def _of_frames(frames: list[dict], path: str | Path, reading: Reading) -> Motion:
    """One track of PHALP's frames."""
    times = [frame.get("time") for frame in frames]
    if all(isinstance(time, int | float | np.number) and math.isfinite(time) for time in times):
        frames = [frames[place] for place in np.argsort(np.array(times, dtype=float), kind="stable")]
    tracks: dict[Any, dict[int, tuple[Any, Any]]] = {}
    for number, frame in enumerate(frames):
        people = frame["smpl"] if isinstance(frame["smpl"], list | tuple) else [frame["smpl"]]
        names, cameras = (_listed(frame.get(key)) for key in ("tid", "camera"))
        for place, person in enumerate(people):
            name = names[place] if place < len(names) else place
            camera = cameras[place] if place < len(cameras) else None
            if isinstance(person, dict) and isinstance(name, str | int | float | np.generic):
                tracks.setdefault(name, {})[number] = (person, camera)
    if not tracks:
        raise _nothing(path, f"{len(frames)} frames without people")
    order = sorted(tracks, key=lambda name: (-len(tracks[name]), str(name)))
    track = tracks[order[choose(len(order), reading.index, path, "people")]]
    held, rows = track[min(track)], []
    for number in range(min(track), max(track) + 1):
        held = track.get(number, held)
        rows.append(held)
    table = {key: np.stack([_pose(row[0], key, path) for row in rows]) for key in ("global_orient", "body_pose")}
    cameras = [as_array(row[1], f"camera of {str(path)!r}") for row in rows if row[1] is not None]
    whole = len(cameras) == len(rows) and all(camera.shape == (3,) for camera in cameras)
    table["trans"] = np.stack(cameras) if whole else np.zeros((len(rows), 3))
    return motion_of_table(Table(table, path), replace(reading, index=0), _PHALP)


def _pose(person: dict, key: str, path: str | Path) -> np.ndarray:
    if key not in person:
        raise _nothing(path, f"people with only the keys {Table(person, path).keys()}")
    array = as_array(person[key], f"{key!r} of {str(path)!r}")
    joints = 1 if key == "global_orient" else 23
    if array.size not in (3 * joints, 9 * joints):
        raise ValueError(f"{key} of {str(path)!r} must have {joints} joints a frame, got shape {array.shape}")
    return array.reshape((joints, 3, 3) if array.size == 9 * joints else (joints, 3))


def _contradict(motion: Motion, table: Table, reading: Reading) -> bool:
    """Whether the joint positions of Kimodo's file are not those of its rotations."""
    joints = table["posed_joints"]
    if joints.shape != (motion.num_frames, 22, 3) or joints.dtype.kind != "f" or not np.isfinite(joints).all():
        return False
    if reading.up not in (None, "y"):
        return False
    found = torch.from_numpy(joints).to(motion.translation)
    apart = (found - found[:, :1]) - (motion.positions() - motion.translation[:, None])
    return float(apart.norm(dim=-1).mean()) > _APART


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple | np.ndarray) and np.ndim(value) else []


def _natural(key: Any) -> tuple:
    """Sorts text by the numbers in it."""
    return tuple((0, int(part[:300]), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", str(key)))


def _nothing(path: str | Path, found: str) -> ValueError:
    return ValueError(
        f"{str(path)!r} must hold SMPL poses (such as poses and trans), joint positions [T, 22, 3] or features, got "
        f"{found}"
    )
