"""Reading NumPy files, without ever unpickling, and with one-line errors.

with open_arrays("walk.npz") as arrays: poses = get_array(arrays, "poses", "walk.npz")
features = load_array("walk.npy")
"""

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from motionmillion.io.files import existing_file
from motionmillion.motion import Motion

_CHUNK = 4096

_BROKEN = Exception
"""NumPy raises many kinds of errors on damaged bytes, including those of its header parser and of zlib."""


@contextlib.contextmanager
def open_arrays(path: str | Path) -> Iterator[np.lib.npyio.NpzFile]:
    """Open a `.npz` file; its arrays are read one by one with `get_array`.

    Raises:
        ValueError: if the file is missing, truncated, or not a `.npz` file.
    """
    path = existing_file(path)
    if not is_zip(path):
        raise ValueError(f"path must be a whole .npz file, got {str(path)!r}, which is truncated or of another kind")
    try:
        arrays = np.load(path, allow_pickle=False)
    except _BROKEN as error:
        raise ValueError(f"path must be a whole .npz file, got {str(path)!r} ({_line(error)})") from error
    with arrays:
        yield arrays


def get_array(arrays: np.lib.npyio.NpzFile, key: str, path: str | Path) -> np.ndarray:
    """Read one array of an opened `.npz` file; it must not be a pickle.

    Raises:
        ValueError: if the array is a pickle or its bytes are damaged.
    """
    try:
        return arrays[key]
    except _BROKEN as error:
        raise _unreadable(f"{key!r} of {str(path)!r}", error) from error


def load_array(path: str | Path) -> np.ndarray:
    """Read the array of a `.npy` file.

    Raises:
        ValueError: if the file is missing, truncated, a pickle, or of another kind.
    """
    path = existing_file(path)
    with open(path, "rb") as file:
        magic = file.read(6)
    if magic != b"\x93NUMPY":
        kind = "is empty" if not magic else "is a pickle or of another kind"
        raise ValueError(f"path must be a .npy file, got {str(path)!r}, which {kind}; pickles are never opened")
    try:
        return np.load(path, allow_pickle=False)
    except _BROKEN as error:
        raise _unreadable(repr(str(path)), error) from error


def is_zip(path: str | Path) -> bool:
    """Whether a file is a zip archive; damaged ones are none."""
    try:
        return zipfile.is_zipfile(path)
    except _BROKEN:
        return False


def to_finite(array: np.ndarray, name: str, path: str | Path) -> np.ndarray:
    """`array` as float64, checked to be finite in every frame (its first axis).

    Raises:
        ValueError: for text, NaN or infinity.
    """
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} of {str(path)!r} must hold real numbers, got dtype {array.dtype}")
    array = array.astype(np.float64)
    bad = ~np.isfinite(array)
    if bad.any():
        frame = int(np.argwhere(bad)[0][0]) if array.ndim else 0
        raise ValueError(
            f"{name} of {str(path)!r} must be finite, got NaN or infinity in frame {frame}; repair or cut it"
        )
    return array


def exact_rotations(motion: Motion) -> np.ndarray:
    """Local rotations `[T, J, 3, 3]` in float64, without float32 rounding: the nearest exact rotation matrices.

    Raises:
        ValueError: if the motion holds NaN or infinity.
    """
    motion = motion.replace()  # checks again: tensors may have been changed in place
    rotations = motion.rotations.detach().cpu().numpy().astype(float)
    for start in range(0, len(rotations), _CHUNK):
        part = rotations[start : start + _CHUNK]
        # Newton-Schulz: each step squares the error, which is at most 1e-3
        for _ in range(3):
            part[:] = 1.5 * part - 0.5 * (part @ (part.swapaxes(-1, -2) @ part))
    return rotations


def _unreadable(what: str, error: Exception) -> ValueError:
    if "pickle" in str(error).lower() or "Object arrays" in str(error):
        return ValueError(f"{what} must be a plain array, got a pickled object; save it again as numbers")
    return ValueError(f"{what} must be a whole array, got damaged or truncated data ({_line(error)})")


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
