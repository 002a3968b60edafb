"""The files of a folder and of the archives in it, read safely and in a fixed order.

    for unit in find_units(Path("download"), is_motion):
        for found in read_unit(unit, Path("download"), is_motion, scratch, skip=0):
            found                                  # a Member, or the Fault of what cannot be read

A unit is what one worker reads: an archive, or up to `_FILES` loose files. Nothing is ever extracted by the name that
an archive gives: a member is copied to one file of a scratch folder, read, and overwritten by the next one. Members
with absolute paths, with `..` and links are refused, as are members and archives that inflate too much.

Archives are `.tar`, `.tar.gz`, `.tgz`, `.tar.bz2`, `.tar.xz` and `.zip`. A cut-off archive gives what it has, then a
fault. Unusual: a compressed tar can only be read from its beginning, so `skip` passes over members without copying
them.
"""

import bz2
import gzip
import hashlib
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from motionmillion.data.shards.motion_writer import Fault
from motionmillion.data.shards.pool import report
from motionmillion.io.files import is_disk_full
from motionmillion.provenance import fingerprint

Wanted = Callable[[str], bool]

LARGEST = 1 << 30
"""Bytes of a member at the most."""
_RATIO, _FREE = 200, 1 << 26
"""How many times as large as the bytes read an archive may become, and bytes that are not counted."""
_FILES = 1000
_HEADER = 1 << 20
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_POINTER = b"version https://git-lfs"
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, zlib.error, lzma.LZMAError, ValueError)
_SPECIAL = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE)


class Member(NamedTuple):
    """A file to read: its name in the source, `archive!member` in an archive, and where it can be read now."""

    name: str
    path: Path

    @property
    def inner(self) -> str:
        """The name without the archive."""
        return self.name.rpartition("!")[2]


@dataclass(frozen=True)
class Unit:
    """What one worker reads.

    Args:
        name: of the archive, or of the first and last file.
        stamp: changes when the files do.
        size: bytes.
        archive: whether `files` is one archive.
        files: names relative to the source.
    """

    name: str
    stamp: str
    size: int
    archive: bool
    files: tuple[str, ...]

    @property
    def key(self) -> str:
        """A short name for files, the same in every run."""
        return hashlib.sha256(self.name.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def is_archive(name: str) -> bool:
    """Whether a file is an archive, by its suffix."""
    return name.lower().endswith((*_TARS, ".zip"))


def find_units(source: Path, wanted: Wanted, archives: Wanted = is_archive, size: int = _FILES) -> list[Unit]:
    """The units of a folder in the order of their names; hidden files and folders are passed over.

    Args:
        wanted: whether a loose file is a motion, by its name relative to the folder.
        archives: whether an archive has motions.
    """
    loose: list[tuple[str, os.stat_result]] = []
    units = []
    for folder, below, names in os.walk(source):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for file in sorted(name for name in names if not name.startswith(".")):
            path = Path(folder, file)
            name = path.relative_to(source).as_posix()
            if is_archive(name) and archives(name):
                state = path.stat()
                units.append(Unit(name, f"{state.st_size} {state.st_mtime_ns}", state.st_size, True, (name,)))
            elif wanted(name):
                loose.append((name, path.stat()))
    loose.sort(key=lambda each: each[0])
    for start in range(0, len(loose), size):
        part = loose[start : start + size]
        stamp = fingerprint([[name, state.st_size, state.st_mtime_ns] for name, state in part])
        total = sum(state.st_size for _, state in part)
        units.append(Unit(f"{part[0][0]} to {part[-1][0]}", stamp, total, False, tuple(name for name, _ in part)))
    return sorted(units, key=lambda unit: unit.name)


def read_unit(unit: Unit, source: Path, wanted: Wanted, scratch: Path, skip: int = 0) -> Iterator[Member | Fault]:
    """Wanted files and members of a unit, and what is wrong with it, always in the same order.

    Args:
        scratch: folder for the file that is being read.
        skip: how many of them have been dealt with already; they are passed over.
    """
    if not unit.archive:
        for name in unit.files[skip:]:
            path = source / name
            yield _pointer(name) if _is_pointer(path) else Member(name, path)
            report(path.stat().st_size if path.exists() else 0)
        return
    path = source / unit.name
    if _is_pointer(path):
        if not skip:
            yield _pointer(unit.name)
        return
    members = _zip_members if unit.name.lower().endswith(".zip") else _tar_members
    count = 0
    try:
        for count, (name, copy) in enumerate(members(path, wanted), 1):
            if count <= skip:
                continue
            whole = f"{unit.name}!{name}"
            if isinstance(copy, Fault):
                yield copy._replace(name=whole)
                continue
            target = scratch / f"member{PurePosixPath(name).suffix.lower()}"
            copy(target)
            yield Member(whole, target)
    except _DAMAGE as error:
        if is_disk_full(error):  # of the scratch folder
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        yield Fault("archive cut off or damaged", unit.name, f"after {count} motions: {reason}")


def read_texts(path: Path, wanted: Wanted) -> Iterator[tuple[str, bytes] | Fault]:
    """Names and bytes of the wanted members of an archive of small files, such as texts; then its fault, if any."""
    members = _zip_members if path.name.lower().endswith(".zip") else _tar_members
    if _is_pointer(path):
        yield _pointer(path.name)
        return
    try:
        for name, copy in members(path, wanted):
            yield copy._replace(name=f"{path.name}!{name}") if isinstance(copy, Fault) else (name, copy(None))
    except _DAMAGE as error:
        yield Fault("archive cut off or damaged", path.name, " ".join(str(error).split()) or type(error).__name__)


Found = tuple[str, "Fault | Callable[[Path | None], bytes]"]


class _Info(tarfile.TarInfo):
    """A member whose name and attributes must be short, because they are read at once."""

    def _proc_member(self, tar: tarfile.TarFile) -> Any:
        if self.type in _SPECIAL and self.size > _HEADER:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return super()._proc_member(tar)  # type: ignore[misc]


class _Counted:
    """A file that reports the bytes that are read of it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.bytes = file, 0

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.bytes += len(data)
        report(len(data))
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def _tar_members(path: Path, wanted: Wanted) -> Iterator[Found]:
    with path.open("rb") as raw:
        counted = _Counted(raw)
        stream = _inflated(counted, raw)
        inflated = 0
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Info) as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps all of them
                inflated += member.size + tarfile.BLOCKSIZE
                if inflated > _FREE and inflated > _RATIO * max(counted.bytes, path.stat().st_size // 100):
                    raise tarfile.ReadError(f"inflates to more than {_RATIO} times its size; refused")
                if not member.isfile():
                    if wanted(member.name) and not member.isdir():
                        yield member.name, Fault("unsafe path", "", "a link or device")
                elif wanted(member.name):
                    yield member.name, _refused(member.name, member.size) or _tar_copy(archive, member)
        while stream.read(1 << 20):  # so that a cut or damaged end is noticed
            pass
        if stream is counted:
            raw.seek(-min(tarfile.BLOCKSIZE, path.stat().st_size), os.SEEK_END)
            if raw.read().strip(b"\0"):
                raise EOFError("ends without the mark of an archive's end")


def _tar_copy(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[Path | None], bytes]:
    def copy(target: Path | None) -> bytes:
        file = archive.extractfile(member)
        data = b"" if file is None else file.read()
        if len(data) != member.size:
            raise EOFError("ends within a member")
        return data if target is None else _put(data, target)

    return copy


def _zip_members(path: Path, wanted: Wanted) -> Iterator[Found]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.is_dir() or not wanted(member.filename):
                continue
            fault = _refused(member.filename, member.file_size)
            if member.file_size > _FREE and member.file_size > _RATIO * max(member.compress_size, 1):
                fault = Fault("too large", "", f"inflates to more than {_RATIO} times its size")
            elif member.external_attr >> 28 == 0xA:
                fault = Fault("unsafe path", "", "a link")
            yield member.filename, fault or _zip_copy(archive, member)
            report(member.compress_size)


def _zip_copy(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Callable[[Path | None], bytes]:
    def copy(target: Path | None) -> bytes:
        with archive.open(member) as file:
            data = file.read(member.file_size + 1)
        if len(data) > member.file_size:
            raise zipfile.BadZipFile("a member is larger than it says")
        return data if target is None else _put(data, target)

    return copy


def _put(data: bytes, target: Path) -> bytes:
    target.write_bytes(data)
    return b""


def _inflated(counted: _Counted, raw: IO[bytes]) -> Any:
    magic = raw.read(6)
    raw.seek(0)
    if magic[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=counted)  # type: ignore[arg-type]
    if magic[:3] == b"BZh":
        return bz2.BZ2File(counted)  # type: ignore[arg-type]
    return lzma.LZMAFile(counted) if magic == b"\xfd7zXZ\x00" else counted  # type: ignore[arg-type]


def _refused(name: str, size: int) -> Fault | None:
    """Why a member is not read, if it is not."""
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or parts[0].endswith(":"):
        return Fault("unsafe path", "", "leads out of its folder")
    return Fault("too large", "", f"{size} bytes") if size > LARGEST else None


def _is_pointer(path: Path) -> bool:
    """Whether a file is the text that git-lfs puts in the place of a file that is not downloaded."""
    try:
        with path.open("rb") as file:
            return file.read(len(_POINTER)) == _POINTER
    except OSError:
        return False


def _pointer(name: str) -> Fault:
    return Fault("not downloaded", name, "a pointer of git-lfs; run git lfs pull, or download the file")
