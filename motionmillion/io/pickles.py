"""Reading pickles without running them: numbers, text, arrays, tensors and containers, and nothing else.

    value = load_pickle("results.pkl")          # plain pickle, of Python 2 and 3, or of joblib, compressed or not
    value = load_checkpoint("results.pt")       # torch.save

A pickle is a program that builds objects, and Python's own reader calls any function that a file names. This reader
decodes the instructions with `pickletools` and interprets them itself: it knows lists, tuples, dictionaries and sets,
and the few names with which NumPy, joblib and torch write arrays, each with implementations of its own
(`motionmillion.io.pickle_machine`). Every other name is an error, so a hostile file calls nothing.

Unusual: memory is bounded, since a few bytes can ask for any amount: arrays must have as many values as the file
holds, everything made from the file together is at most `LIMIT` bytes, and the number of
instructions is limited. Tensors become NumPy arrays. Dictionaries have flat keys only.
"""

import bz2
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from motionmillion.io.arrays import is_zip, load_array
from motionmillion.io.files import existing_file
from motionmillion.io.pickle_machine import LIMIT, Machine, RefusedError, short


def load_pickle(path: str | Path) -> Any:
    """Read a pickle of plain data; see the module's docstring.

    Raises:
        ValueError: if the file is missing, damaged, too large, or holds anything but plain data.
    """
    path = existing_file(path)
    return read_pickle(inflated(path), repr(str(path)))


def load_checkpoint(path: str | Path) -> Any:
    """Read a file of `torch.save`, with its tensors as NumPy arrays: by torch's own restricted reader first.

    Raises:
        ValueError: as `load_pickle`.
    """
    path = existing_file(path)
    what = repr(str(path))
    check_zip(path)
    try:
        return _by_torch(path)
    except Exception as error:  # files with NumPy arrays inside, and many kinds of damage
        if not is_zip(path):
            try:
                return load_pickle(path)
            except ValueError:
                raise ValueError(
                    f"{what} must be a whole file of torch.save or a pickle, got {_line(error)}"
                ) from None
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.split("/")[1:] == ["data.pkl"]]
            if len(names) != 1:
                raise ValueError("no data.pkl")
            folder = names[0].split("/")[0]
            return read_pickle(archive.read(names[0]), what, lambda key: archive.read(f"{folder}/data/{key}"))
    except ValueError:
        raise
    except Exception as error:
        raise _damaged(what, error) from None


def load_value(path: str | Path) -> np.ndarray:
    """The array of a `.npy` file; an array of objects is read as plain data.

    Raises:
        ValueError: as `load_pickle`.
    """
    path = existing_file(path)
    try:
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            objects = read(file)[2].hasobject
            rest = file.read(LIMIT + 1) if objects else b""
    except Exception:
        return load_array(path)  # whose errors say what is wrong
    if not objects:
        return load_array(path)
    if len(rest) > LIMIT:
        raise _too_large(path)
    made = np.empty((), dtype=object)
    made[()] = read_pickle(rest, repr(str(path)))
    return made


def read_pickle(data: bytes, what: str, storage: Callable[[str], bytes] | None = None) -> Any:
    """The plain data of a pickle's bytes.

    Args:
        what: the file's name in errors.
        storage: the bytes of a tensor's storage by key, for checkpoints.

    Raises:
        ValueError: as `load_pickle`.
    """
    try:
        return Machine(storage).run(io.BytesIO(data))
    except RefusedError as error:
        raise ValueError(f"{what} must hold plain numbers, text and arrays, got {error}; nothing was run") from None
    except Exception as error:  # any kind, since every byte may be damaged
        raise ValueError(f"{what} must be a whole pickle of plain data, got damaged data ({_line(error)})") from None


def inflated(path: Path) -> bytes:
    """The bytes of a file, decompressed if they are zlib, gzip, bzip2 or xz, as joblib writes; at most `LIMIT`."""
    if path.stat().st_size > LIMIT:
        raise _too_large(path)
    data = path.read_bytes()
    try:
        if data[:2] == b"\x1f\x8b" or (data[:1] == b"\x78" and len(data) > 1 and int.from_bytes(data[:2]) % 31 == 0):
            opened: Any = zlib.decompressobj(wbits=47)
        elif data[:3] == b"BZh":
            opened = bz2.BZ2Decompressor()
        elif data[:6] == b"\xfd7zXZ\x00":
            opened = lzma.LZMADecompressor(memlimit=2**28)
        else:
            return data
        data = opened.decompress(data, LIMIT + 1)
    except Exception as error:
        raise ValueError(f"path must be a whole file, got {str(path)!r} ({_line(error)})") from None
    if len(data) > LIMIT:
        raise _too_large(path)
    return data


def check_zip(path: str | Path) -> None:
    """Raise `ValueError` if the members of a zip file (`.npz`, `.pt`) are together larger than `LIMIT`."""
    if Path(path).stat().st_size > LIMIT:
        raise _too_large(path)
    if is_zip(path):
        try:
            with zipfile.ZipFile(path) as archive:
                size = sum(member.file_size for member in archive.infolist())
        except Exception as error:
            raise ValueError(f"path must be a whole file, got {str(path)!r} ({_line(error)})") from None
        if size > LIMIT:
            raise _too_large(path)


def _by_torch(path: Path) -> Any:
    import torch

    return _without_tensors(torch.load(path, map_location="cpu", weights_only=True), {})


def _without_tensors(value: Any, seen: dict[int, Any], depth: int = 0) -> Any:
    """`value` with NumPy arrays in the place of tensors, which must be whole."""
    import torch

    if depth > 50:
        raise ValueError("data nested too deeply")
    if isinstance(value, torch.Tensor):
        if value.layout != torch.strided or value.nbytes > value.untyped_storage().nbytes():
            raise ValueError("a tensor that is larger than its data")
        value = value.detach().cpu()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    if isinstance(value, dict | list | tuple):
        if id(value) not in seen:
            items = value.values() if isinstance(value, dict) else value
            made = [_without_tensors(item, seen, depth + 1) for item in items]
            seen[id(value)] = dict(zip(value, made, strict=True)) if isinstance(value, dict) else made
        return seen[id(value)]
    return value


def _too_large(path: str | Path) -> ValueError:
    return ValueError(f"path must hold at most {LIMIT >> 30} GiB, got more in {str(path)!r}; cut it into parts")


def _damaged(what: str, error: Exception) -> ValueError:
    return ValueError(f"{what} must be a whole file of torch.save or a pickle, got damaged data ({_line(error)})")


def _line(error: Exception) -> str:
    return short((str(error).splitlines() or [""])[0]) or type(error).__name__
