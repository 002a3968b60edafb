"""Acclaim's motion capture files: `.amc` with the skeleton of an `.asf` beside it.

    motion = read_amc("01_02.amc")                              # skeleton: 01.asf, or the only .asf of the folder
    motion = read_amc("01_02.amc", skeleton="bodies/01.asf")

The joint of a bone is where the bone begins: `lfemur` is the left hip. Lengths are inches in most files; the unit of
the `.asf` need not be known, since legs are scaled to SMPL22's (see `motionmillion.io.bvh`).
Unusual: the format has no frame rate. CMU's files, which most of these are, have 120 frames a second; this is taken,
with a warning, unless `fps` is given.

Shapes: T frames, N joints. Source: Acclaim's description of ASF and AMC (version 1.10).
"""

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from motionmillion.configuration import check_number
from motionmillion.io.files import existing_file
from motionmillion.io.options import option
from motionmillion.io.trees import PosedTree, TreeOptions, motion_of_tree
from motionmillion.kinematics.rotations import axis_rotation
from motionmillion.motion import Motion

_CMU_RATE = 120.0
_AXES = {"x": 0, "y": 1, "z": 2}
_MOST_BONES = 1000


@dataclass
class _Bone:
    parent: int = -1
    offset: np.ndarray = field(default_factory=lambda: np.zeros(3))  # from its beginning to its end
    frame: np.ndarray = field(default_factory=lambda: np.eye(3))  # its own axes
    channels: list[str] = field(default_factory=list)  # rx, ry, rz, tx, ty, tz, l, in the file's order


def read_amc(
    path: str | Path,
    skeleton: str | Path | None = None,
    fps: float | None = None,
    scale: float | None = None,
    up: str | None = None,
    mapping: Mapping[str, str] | None = None,
) -> Motion:
    """Read an Acclaim motion onto SMPL22.

    Args:
        skeleton: the `.asf` file; None looks beside the motion.
        fps: frames per second; None takes CMU's 120, with a warning.
        scale, up, mapping: see `motionmillion.io.bvh.read_bvh`.

    Raises:
        ValueError: if a file is missing or damaged (with the line), joints cannot be mapped, or an option is wrong.
    """
    options = TreeOptions(scale, up, mapping)
    return motion_of_tree(amc_tree(path, skeleton, fps), str(path), options)


def amc_tree(path: str | Path, skeleton: str | Path | None = None, fps: float | None = None) -> PosedTree:
    """The joints of a file as they are in it."""
    path = existing_file(path)
    bones = _read_skeleton(existing_file(skeleton) if skeleton is not None else _skeleton_beside(path))
    if fps is None:
        warnings.warn(
            f"{str(path)!r} has no frame rate; {_CMU_RATE:g} is taken, {option('fps')} sets it", stacklevel=2
        )
    rate = _CMU_RATE if fps is None else check_number("fps", fps)
    return _pose(bones, _read_frames(path, bones), rate)


def _skeleton_beside(path: Path) -> Path:
    """`01.asf` for `01_02.amc`, or the only `.asf` of the folder."""
    subject = path.stem.split("_")[0]
    for name in (f"{path.stem}.asf", f"{subject}.asf", f"{subject}.ASF"):
        if (path.parent / name).is_file():
            return path.parent / name
    found = [file for file in path.parent.iterdir() if file.suffix.lower() == ".asf"]
    if len(found) != 1:
        raise ValueError(
            f"skeleton must be named by {option('skeleton')}, got {len(found)} .asf files beside {str(path)!r}, none "
            f"called {subject}.asf"
        )
    return found[0]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines without comments, with their numbers."""
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.split("#", 1)[0].strip(" \t\0\x1a")
        if line:
            yield number, line


def _numbers(path: Path, number: int, words: list[str], count: int | None, what: str) -> list[float]:
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if not values or (count is not None and len(values) != count) or not np.isfinite(values).all():
        wanted = "finite numbers" if count is None else f"{count} finite numbers"
        raise ValueError(f"{path}, line {number}: {what} must be {wanted}, got {' '.join(words)[:60]!r}")
    return values


def _read_skeleton(path: Path) -> dict[str, _Bone]:
    """The bones of an `.asf` file by name, the root first, parents before children."""
    bones: dict[str, _Bone] = {"root": _Bone()}
    degrees, section, current, length = True, "", "", 0.0
    parents: dict[str, str] = {}
    for number, line in _lines(path):
        words = line.split()
        key = words[0].lower()
        if key.startswith(":"):
            section = key[1:]
        elif section == "units" and key == "angle":
            degrees = not (len(words) > 1 and words[1].lower().startswith("rad"))
        elif section == "root" and key == "order":
            bones["root"].channels = [word.lower() for word in words[1:]]
        elif section == "root" and key == "orientation":
            bones["root"].frame = _euler(_numbers(path, number, words[1:4], 3, "orientation"), "xyz", degrees)
        elif section == "bonedata" and key == "name":
            current, length = line[4:].strip(), 0.0
            if not current or current in bones or len(bones) > _MOST_BONES:
                raise ValueError(f"{path}, line {number}: a bone must have a name of its own, got {current!r}")
            bones[current] = _Bone()
        elif section == "bonedata" and current and key == "length":
            length = _numbers(path, number, words[1:2], 1, "length")[0]
            bones[current].offset = bones[current].offset * length
        elif section == "bonedata" and current and key == "direction":
            vector = np.array(_numbers(path, number, words[1:4], 3, "direction"))
            bones[current].offset = vector * (length or 1.0)
        elif section == "bonedata" and current and key == "axis":
            order = words[4].lower() if len(words) > 4 else "xyz"
            bones[current].frame = _euler(_numbers(path, number, words[1:4], 3, "axis"), order, degrees)
        elif section == "bonedata" and current and key == "dof":
            bones[current].channels = [word.lower() for word in words[1:]]
        elif section == "hierarchy" and key not in ("begin", "end"):
            for child in words[1:]:
                parents[child] = words[0]
    return _in_order(path, bones, parents)


def _in_order(path: Path, bones: dict[str, _Bone], parents: dict[str, str]) -> dict[str, _Bone]:
    """The bones with parents before children; those that hang nowhere are left out."""
    known = {"rx", "ry", "rz", "tx", "ty", "tz", "l"}
    for name, bone in bones.items():
        if not set(bone.channels) <= known:
            raise ValueError(f"{path}: channels of {name!r} must be among {sorted(known)}, got {bone.channels}")
    ordered, waiting = {"root": bones["root"]}, dict(parents)
    while True:
        ready = [child for child, parent in waiting.items() if parent in ordered and child in bones]
        if not ready:
            break
        for child in ready:
            bones[child].parent = list(ordered).index(waiting.pop(child))
            ordered[child] = bones[child]
    if len(ordered) == 1:
        raise ValueError(f"{path} must hold :bonedata and a :hierarchy below the root, got none; it is no .asf file")
    return ordered


def _read_frames(path: Path, bones: Mapping[str, _Bone]) -> dict[str, np.ndarray]:
    """Values `[T, channels]` of each bone that moves; angles in radians."""
    rows: list[dict[str, list[float]]] = []
    degrees = True
    for number, line in _lines(path):
        words = line.split()
        if words[0].startswith(":"):
            degrees = degrees and words[0].lower() != ":radians"
        elif re.fullmatch(r"\d+", words[0]) and len(words) == 1:
            rows.append({})
        elif rows and words[0] in bones:
            count = len(bones[words[0]].channels)
            rows[-1][words[0]] = _numbers(path, number, words[1:], count, f"values of {words[0]}")
        else:
            raise ValueError(
                f"{path}, line {number}: a frame number or a bone of the skeleton must follow, got {line[:60]!r}; "
                "the .asf file is another one's, or the file is damaged"
            )
    moving = [name for name, bone in bones.items() if bone.channels]
    whole = [row for row in rows if all(name in row for name in moving)]
    if rows and len(whole) == len(rows) - 1 and whole == rows[:-1]:
        warnings.warn(f"{str(path)!r} ends within a frame; the {len(whole)} whole frames are read", stacklevel=3)
    elif len(whole) != len(rows) or not rows:
        raise ValueError(
            f"{path} must hold frames with values of every bone, got {len(rows)} frames, {len(whole)} of them whole"
        )
    if not whole:
        raise ValueError(f"{path} must hold at least one whole frame, got none; the file is truncated")
    values = {name: np.array([row[name] for row in whole]) for name in moving}
    if degrees:
        for name in moving:
            turning = [index for index, channel in enumerate(bones[name].channels) if channel.startswith("r")]
            values[name][:, turning] = np.deg2rad(values[name][:, turning])
    return values


def _pose(bones: Mapping[str, _Bone], values: Mapping[str, np.ndarray], fps: float) -> PosedTree:
    """Forward kinematics; the tips of bones without children become joints called `<bone> end`."""
    frames = len(next(iter(values.values())))
    names, parents = list(bones), [bone.parent for bone in bones.values()]
    starts, ends, turned = [], [], []  # [T, 3], [T, 3] and [T, 3, 3] of each bone
    rest: list[np.ndarray] = []
    tips: list[np.ndarray] = []
    for name, bone in bones.items():
        moved, shift = np.tile(np.eye(3), (frames, 1, 1)), np.zeros((frames, 3))
        for column, channel in enumerate(bone.channels):
            if channel.startswith("r"):
                # later channels turn about axes that do not move with the earlier ones
                moved = axis_rotation(values[name][:, column], _AXES[channel[1]]) @ moved
            elif channel.startswith("t"):
                shift[:, _AXES[channel[1]]] = values[name][:, column]
        local = bone.frame @ moved @ bone.frame.T
        if bone.parent < 0:
            starts.append(shift)
            turned.append(local)
            rest.append(np.zeros(3))
        else:
            starts.append(ends[bone.parent])
            turned.append(turned[bone.parent] @ local)
            rest.append(tips[bone.parent])
        ends.append(starts[-1] + turned[-1] @ bone.offset)
        tips.append(rest[-1] + bone.offset)
    for bone in [joint for joint in range(len(names)) if joint not in parents]:
        names.append(f"{names[bone]} end")
        parents.append(bone)
        starts.append(ends[bone])
        turned.append(turned[bone])
        rest.append(tips[bone])
    return PosedTree(names, parents, fps, np.stack(rest), np.stack(starts, axis=1), np.stack(turned, axis=1))


def _euler(angles: list[float], order: str, degrees: bool) -> np.ndarray:
    """The rotation `[3, 3]` by angles about x, y and z in an order, axes standing still."""
    result = np.eye(3)
    for letter in order:
        if letter not in _AXES:
            raise ValueError(f"axis order must be of x, y and z, got {order!r}; the .asf file is damaged")
        angle = angles[order.index(letter)]
        result = axis_rotation(np.asarray(np.deg2rad(angle) if degrees else angle), _AXES[letter]) @ result
    return result
