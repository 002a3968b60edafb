"""Console output of the preparation of a training: progress bars, which also work in log files, and messages.

with progress_bar(len(clips), "clips") as bar:
    bar.update(64)
say("composed 12 clips")
"""

import os
import sys
from collections.abc import Iterable

from tqdm.auto import tqdm

_LOG_INTERVAL = 20.0
"""Seconds between two lines if the output is not a terminal."""


def progress_bar(total: int, unit: str, shown: bool = True, doing: str = "encoding") -> tqdm:
    """A progress bar on the first process; an occasional line if the output is not a terminal."""
    interval = 0.1 if sys.stderr.isatty() else _LOG_INTERVAL
    quiet = not shown or not _first()
    return tqdm(total=total, unit=f" {unit}", desc=f"{doing} {unit}", disable=quiet, mininterval=interval)


def say(line: str) -> None:
    """Print a line to standard error, on the first process only."""
    if _first():
        tqdm.write(line, file=sys.stderr)


def say_lines(lines: Iterable[str]) -> None:
    """Print lines to standard error, on the first process only."""
    for line in lines:
        say(line)


def _first() -> bool:
    return os.environ.get("RANK", "0") == "0"
