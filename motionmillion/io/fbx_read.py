"""Reading `.fbx` files, binary and ASCII, with the package `ufbx` (extra `fbx`).

    motion = read_fbx("walk.fbx")
    motion = read_fbx("walks.fbx", index=1)       # the second animation of the file

The rest pose is the bind pose of the skins, where there are any, else that of the nodes. Axes and units are those that
the file states; legs are scaled to SMPL22's all the same (see `motionmillion.io.bvh`). Meshes are dropped.
Unusual: the file is read in a process of its own, since `ufbx` can crash (see `motionmillion.io.fbx_nodes`).
"""

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from motionmillion.io.files import existing_file
from motionmillion.io.options import choose
from motionmillion.io.trees import PosedTree, TreeOptions, check_rate, motion_of_tree
from motionmillion.motion import Motion

_LONGEST = 600
"""Seconds that reading a file may take."""


def read_fbx(
    path: str | Path,
    scale: float | None = None,
    up: str | None = None,
    mapping: Mapping[str, str] | None = None,
    fps: float | None = None,
    index: int | None = None,
) -> Motion:
    """Read an animation of an FBX file onto SMPL22.

    Args:
        scale, up, mapping: see `motionmillion.io.bvh.read_bvh`; a unit is a metre here.
        fps: frames per second to sample the animation at; None takes the file's own.
        index: which animation of several; None takes the first, with a warning.

    Raises:
        ValueError: if `ufbx` is not installed, the file is missing, damaged or without animation, or its joints cannot
            be mapped.
    """
    options = TreeOptions(scale, up, mapping)
    return motion_of_tree(fbx_tree(path, fps, index), str(path), options)


def fbx_tree(path: str | Path, fps: float | None = None, index: int | None = None) -> PosedTree:
    """The joints of a file as they are in it."""
    path = existing_file(path)
    check_rate(fps)
    arrays = node_arrays(path, ["--index", str(index or 0), *([] if fps is None else ["--fps", str(fps)])])
    choose(int(arrays["animations"]), index, path, "animations")
    return PosedTree.from_matrices(
        [str(name) for name in arrays["names"]],
        [int(parent) for parent in arrays["parents"]],
        float(arrays["fps"]),
        arrays["rest"],
        arrays["posed"],
    )


def node_arrays(path: Path, arguments: list[str]) -> dict[str, np.ndarray]:
    """The arrays that `motionmillion.io.fbx_nodes` makes of a file.

    Raises:
        ValueError: if `ufbx` is not installed, or the file cannot be read.
    """
    if importlib.util.find_spec("ufbx") is None:
        raise ValueError(f"reading {str(path)!r} needs the package ufbx; run pip install 'motionmillion[fbx]'")
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "nodes.npz"
        command = [sys.executable, "-m", "motionmillion.io.fbx_nodes", str(path), str(output), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=_LONGEST)
        except subprocess.TimeoutExpired:
            raise ValueError(f"path must be an FBX file that is read in {_LONGEST} s, got {str(path)!r}") from None
        if done.returncode == 2 and done.stderr:
            raise ValueError(done.stderr.strip().splitlines()[-1])
        if done.returncode != 0:
            raise ValueError(
                f"path must be a whole FBX file, got {str(path)!r}, on which ufbx failed; export it again"
            )
        with np.load(output, allow_pickle=False) as arrays:
            return dict(arrays)
