"""Named arrays of a file, whatever it is: `.npz`, or dictionaries in `.npy`, `.pkl` and `.pt`.

    table = Table.of_npz(arrays, path)         # read one by one, on demand
    table = Table({"poses": ...}, path)
    if "poses" in table: poses = table["poses"]

Unusual: lists of numbers are arrays too, if they are of a bounded size when written out.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from motionmillion.io.arrays import get_array

_VALUES = 20_000_000
_DEPTH = 6


class Table:
    """Arrays by name.

    Args:
        content: the values, which become arrays when they are read.
        path: the file, for errors.
    """

    def __init__(self, content: Mapping[str, Any], path: str | Path) -> None:
        self._content, self.path = content, path

    @classmethod
    def of_npz(cls, arrays: np.lib.npyio.NpzFile, path: str | Path) -> "Table":
        """The arrays of an opened `.npz` file; only those that are asked for are read."""
        return cls(_Lazy(arrays, path), path)

    def __contains__(self, key: str) -> bool:
        return key in self._content

    def keys(self) -> list[str]:
        """Names of the values, sorted; of at most 40."""
        return sorted(str(key) for key in self._content)[:40]

    def __getitem__(self, key: str) -> np.ndarray:
        return as_array(self._content[key], f"{key!r} of {str(self.path)!r}")

    def first(self, keys: Iterable[str]) -> str | None:
        """The first of `keys` that the table has."""
        return next((key for key in keys if key in self), None)

    def text(self, key: str) -> str:
        """A string; "" if the key is missing."""
        if key not in self:
            return ""
        value = self[key]
        if value.size != 1 or value.dtype.kind not in "US":
            raise ValueError(
                f"{key} of {str(self.path)!r} must be one string, got shape {value.shape} of {value.dtype}"
            )
        text = value.reshape(()).item()
        return text.decode("utf-8", errors="replace") if isinstance(text, bytes) else str(text)

    def number(self, key: str) -> float:
        """One number."""
        value = self[key]
        if value.size != 1 or value.dtype.kind not in "fiu":
            raise ValueError(
                f"{key} of {str(self.path)!r} must be one number, got shape {value.shape} of {value.dtype}"
            )
        return float(value.reshape(()))


class _Lazy(Mapping[str, np.ndarray]):
    def __init__(self, arrays: np.lib.npyio.NpzFile, path: str | Path) -> None:
        self._arrays, self._path = arrays, path

    def __getitem__(self, key: str) -> np.ndarray:
        return get_array(self._arrays, key, self._path)

    def __contains__(self, key: object) -> bool:
        return key in self._arrays.files

    def __iter__(self):
        return iter(self._arrays.files)

    def __len__(self) -> int:
        return len(self._arrays.files)


def as_array(value: Any, what: str) -> np.ndarray:
    """A value of a pickle as an array of numbers or text.

    Raises:
        ValueError: for dictionaries, ragged lists, and lists that would be too large.
    """
    if isinstance(value, np.ndarray) and value.dtype.kind == "O":
        value = value.tolist()
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value)
    if not isinstance(value, list | tuple | int | float | str) or _size(value, _DEPTH) > _VALUES:
        raise ValueError(f"{what} must be an array, got {type(value).__name__}")
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{what} must be an array, got a list of different shapes") from error
    if array.dtype.kind == "O":
        raise ValueError(f"{what} must be an array, got a list of other things")
    return array


def _size(value: Any, depth: int) -> int:
    """Number of values in nested lists, counted as often as they are written out; stops above `_VALUES`."""
    if isinstance(value, np.ndarray):
        return value.size if value.dtype.kind != "O" else _VALUES + 1
    if not isinstance(value, list | tuple):
        return 1 if isinstance(value, int | float | str | bool | np.generic) else _VALUES + 1
    if depth == 0:
        return _VALUES + 1
    total = len(value)
    for item in value:
        total += _size(item, depth - 1)
        if total > _VALUES:
            break
    return total
