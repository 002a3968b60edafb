"""Atomic writing of files and folders.

    with atomic_path("out/wave.bvh") as path:
        path.write_text(text, encoding="utf-8")

Every writer of the library uses `atomic_path`: it gives a temporary path in the same folder, renames it when the block
ends without an error, and removes it otherwise. Missing folders are created, and removed again on failure.
`atomic_folder` does the same for a whole folder.
"""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path


class PathError(OSError, ValueError):
    """A path that cannot be written or read; the message is one line with a remedy."""


class MissingFileError(PathError, FileNotFoundError):
    """A file to read that does not exist."""


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path in the folder of `path` that becomes `path` when the block ends without an error.

    The temporary name has the suffix of `path`. An existing file at `path` is replaced on success and unchanged on
    failure; if `path` is a link, its target is replaced.

    Raises:
        PathError: if `path` is a folder, or its folder cannot be created or written, or nothing was written.
    """
    check_writable(path)
    target = Path(os.path.realpath(path))
    created = _make_folder(target.parent, path)
    temporary = target.with_name(f".{target.stem[:40]}-{secrets.token_hex(6)}{target.suffix}")
    try:
        yield temporary
        if not temporary.is_file():
            raise PathError(f"path must be written inside the block, got nothing for {str(path)!r}")
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        _remove_empty(created)
        raise


@contextlib.contextmanager
def atomic_folder(folder: str | Path) -> Iterator[Path]:
    """A temporary folder next to `folder` that becomes `folder` when the block ends without an error.

    Raises:
        PathError: if `folder` is a file, holds anything, or cannot be written.
    """
    check_new_folder(folder)
    target = Path(os.path.realpath(folder))
    created = _make_folder(target.parent, folder)
    temporary = target.with_name(f".{target.name[:40]}-{secrets.token_hex(6)}")
    try:
        temporary.mkdir()
        yield temporary
        with contextlib.suppress(FileNotFoundError):
            target.rmdir()  # an empty one
        os.replace(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        _remove_empty(created)
        raise


def check_new_folder(folder: str | Path) -> None:
    """Raise `PathError` unless `folder` can be created or is empty; creates nothing."""
    folder = Path(folder)
    if folder.is_file():
        raise PathError(f"output must be a folder, got the file {str(folder)!r}; name another")
    if folder.is_dir() and any(folder.iterdir()):
        raise PathError(f"output must be a new or empty folder, got {str(folder)!r} with files; name another")
    check_writable(folder / "config.json")


def write_text(text: str, path: str | Path) -> Path:
    """Write `text` as UTF-8 with `\\n` line ends, atomically."""
    return write_bytes(text.encode("utf-8"), path)


def write_bytes(data: bytes, path: str | Path) -> Path:
    """Write `data` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    return Path(path)


def read_text(path: str | Path, name: str = "path") -> str:
    """The text of a file in UTF-8, on every platform; a byte order mark is left out.

    Args:
        name: name of the file in errors.

    Raises:
        MissingFileError: if it does not exist.
        PathError: if it is a folder or not readable, or its text is not UTF-8.
    """
    try:
        return existing_file(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise PathError(
            f"{name} must be a text file in UTF-8, got {str(path)!r}, which is not (byte {error.start}); save it as "
            "UTF-8"
        ) from None


def existing_file(path: str | Path) -> Path:
    """Return `path` if it is a readable file.

    Raises:
        MissingFileError: if it does not exist.
        PathError: if it is a folder or not readable.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFileError(
            f"path must name an existing file, got {str(path)!r}; check the spelling and the folder"
        )
    if not path.is_file():
        raise PathError(f"path must name a file, got the folder {str(path)!r}; add a file name")
    if not os.access(path, os.R_OK):
        raise PathError(f"path must be readable, got {str(path)!r}; change its permissions")
    return path


def check_writable(path: str | Path) -> None:
    """Raise `PathError` unless a file could be written at `path`; creates nothing.

    Missing folders are fine if they could be created.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir() or not target.name:
        raise PathError(f"path must name a file, got the folder {str(path)!r}; add a file name")
    ancestor = target.parent
    while not ancestor.exists():
        ancestor = ancestor.parent
    if not ancestor.is_dir():
        raise _unwritable(path, f"{str(ancestor)!r} is not a folder")
    if not os.access(ancestor, os.W_OK | os.X_OK):
        raise _unwritable(path, f"{str(ancestor)!r} is not writable")


def _make_folder(folder: Path, path: str | Path) -> list[Path]:
    """Create `folder` if it is missing; returns the folders that were created, deepest first."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    try:
        if missing:
            missing[0].mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _remove_empty(missing)
        raise _unwritable(path, f"{str(missing[0])!r} cannot be created ({error.strerror})") from None
    return missing


def _unwritable(path: str | Path, problem: str) -> PathError:
    return PathError(f"path must lie in a writable folder, got {str(path)!r}, but {problem}; choose another folder")


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that a disk is full, or a quota used up."""
    if not isinstance(error, OSError):
        return False
    words = ("no space left", "disk quota exceeded", "file too large")
    numbers = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
    return error.errno in numbers or any(word in str(error).lower() for word in words)
