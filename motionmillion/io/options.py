"""Options of readers in messages, named as the user gives them: `fps=` in Python, `--source-fps` on the command line.

    raise ValueError(f"{path!r} must hold its frame rate, got none; pass {option('fps')}")

    with option_names(fps="--source-fps", up="--up", index="--index"):      # in a command
        motion = Motion.load(source)

Also the choice of one motion in a file of several.
"""

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path

_NAMES: ContextVar[Mapping[str, str] | None] = ContextVar("names", default=None)


@contextlib.contextmanager
def option_names(**names: str) -> Iterator[None]:
    """Name options in messages inside the block, e.g. `fps="--source-fps"`."""
    token = _NAMES.set(names)
    try:
        yield
    finally:
        _NAMES.reset(token)


def option(name: str, value: str | int | None = None) -> str:
    """An option as the user would write it: `up="y"` in Python, `--up y` on the command line."""
    given = (_NAMES.get() or {}).get(name)
    if given is None:
        return f"{name}={'' if value is None else repr(value)}".replace("'", '"')
    return given if value is None else f"{given} {value}"


def choose(count: int, index: int | None, path: str | Path, what: str = "motions") -> int:
    """The index of the motion to read of a file with `count` motions; warns if there are several and none is chosen.

    Raises:
        ValueError: if there is no such motion.
    """
    if index is None:
        if count > 1:
            warnings.warn(
                f"{str(path)!r} holds {count} {what}, of which the first is read; {option('index', 1)} reads the next",
                stacklevel=2,
            )
        index = 0
    if not 0 <= index < count:
        raise ValueError(f"index must be 0 to {count - 1} for the {count} {what} of {str(path)!r}, got {index!r}")
    return index
