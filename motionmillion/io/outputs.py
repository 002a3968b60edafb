"""Check that a command writes over nothing that it should not; call it before anything slow starts.

    check_outputs([Path("walk.html")], sources=[Path("walk.bvh")], overwrite=False)

A file that exists is only replaced with `overwrite`, and a source never. Unusual: paths are compared as files, so that
another spelling, a link or another case on a file system that ignores it does not hide a source.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from motionmillion.io.files import PathError, check_writable


def check_outputs(outputs: Sequence[str | Path], sources: Iterable[str | Path] = (), overwrite: bool = False) -> None:
    """Raise `PathError` unless every output may be written; creates nothing.

    Args:
        outputs: files to write, all different.
        sources: files or folders that the command reads.
        overwrite: whether existing files may be replaced, apart from `sources`.

    Raises:
        PathError: for an output that is a source, is named twice, exists without `overwrite`, or cannot be written.
    """
    sources, seen = list(sources), set()
    for output in outputs:
        check_writable(output)
        for source in sources:
            if same_file(output, source):
                raise PathError(
                    f"output must not be a source, got {str(output)!r}, which is read by the same command; choose "
                    "another name"
                )
        name = _name(output)
        if name in seen:
            raise PathError(f"outputs must be different files, got {str(output)!r} twice; choose another name")
        seen.add(name)
    existing = [path for path in outputs if os.path.lexists(path)]
    if existing and not overwrite:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise PathError(
            f"output must be a new file, got {str(existing[0])!r}{more}, which exists; choose another name or add "
            "--overwrite"
        )


def check_output_folder(folder: str | Path, sources: Iterable[str | Path]) -> None:
    """Raise `PathError` if a folder to write is a source."""
    for source in sources:
        if same_file(folder, source):
            raise PathError(
                f"output must not be a source, got {str(folder)!r}, which is read by the same command; choose another "
                "folder"
            )


def same_file(first: str | Path, second: str | Path) -> bool:
    """Whether two paths name one file or folder, which need not exist."""
    try:
        return os.path.samefile(first, second)
    except OSError:
        return _name(first) == _name(second)


def _name(path: str | Path) -> str:
    return os.path.normcase(os.path.realpath(path))
