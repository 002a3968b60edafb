"""Motion files that clients upload: .bvh, .glb and .npz, read in a folder of the request's own.

    with Uploads(settings) as uploads:
        motion = uploads.motion("motion", await file.read(), file.filename)
        character = uploads.keep("character", data, "hero.glb")        # a path

Unusual: only the suffix of a client's file name is used. What cannot be read is the client's mistake, whatever the
reader raises; errors name the field, never a path of this machine.
"""

import io
import logging
import re
import tempfile
import zipfile
from pathlib import Path
from types import TracebackType
from typing import Self

from motionmillion.motion import Motion
from motionmillion.serve.problems import Problem
from motionmillion.serve.settings import Settings

log = logging.getLogger("motionmillion.serve")

SUFFIXES = (".bvh", ".glb", ".npz")
_UNPACKED = 8
"""Times the largest body that the arrays of a .npz file may take."""


class Uploads:
    """A temporary folder for the files of one request."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._folder = tempfile.TemporaryDirectory(prefix="motionmillion-")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._folder.cleanup()

    def keep(self, field: str, content: bytes, name: str | None, suffixes: tuple[str, ...] = SUFFIXES) -> Path:
        """Write a file, under the name of its field; raises `Problem` for other kinds of file."""
        suffix = Path(name or "").suffix.lower()
        if suffix not in suffixes:
            raise Problem(422, f"{field} must be a file ending in one of {list(suffixes)}, got {(name or '')[-80:]!r}")
        if suffix == ".npz":
            self._check_unpacked(field, content)
        path = Path(self._folder.name, f"{field}{suffix}")
        path.write_bytes(content)
        return path

    def motion(self, field: str, content: bytes, name: str | None) -> Motion:
        """The motion in a file; raises `Problem` for files that hold none, or too long a one."""
        path = self.keep(field, content, name)
        try:
            motion = Motion.load(path)
        except Exception as error:
            raise self.unreadable(field, error) from error
        if motion.seconds > self.settings.max_upload_seconds:
            most = self.settings.max_upload_seconds
            raise Problem(422, f"{field} must be at most {most:g} seconds long, got {motion.seconds:g}; cut it")
        return motion

    def unreadable(self, field: str, error: Exception) -> Problem:
        """The answer for a file that cannot be read."""
        if isinstance(error, Problem):
            return error
        if isinstance(error, ValueError | ImportError):
            return Problem(422, self._without_paths(field, " ".join(str(error).split())))
        log.warning("upload could not be read", exc_info=error, extra={"fields": {"field": field}})
        return Problem(422, f"{field} must hold a motion, got a file that cannot be read; export it again")

    def _without_paths(self, field: str, told: str) -> str:
        """A message without the places of this machine, which may be cut off in it; readers call the field `path`."""
        told = told.replace(f"{self._folder.name}/", "").replace(self._folder.name, field)
        told = re.sub(re.escape(tempfile.gettempdir()) + r"""[^'")]*""", field, told)
        return re.sub(r"^path\b", field, told)

    def _check_unpacked(self, field: str, content: bytes) -> None:
        most = _UNPACKED * self.settings.max_body_mb * 1e6
        try:
            size = sum(entry.file_size for entry in zipfile.ZipFile(io.BytesIO(content)).infolist())
        except Exception as error:
            raise Problem(422, f"{field} must be a whole .npz file, got one that is damaged") from error
        if size > most:
            raise Problem(422, f"{field} must unpack to at most {most / 1e6:g} MB, got {size / 1e6:.0f} MB; cut it")
