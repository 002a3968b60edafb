"""What is shown before a training starts: a bar for what takes minutes, in log files too, and lines.

with progress_bar(len(clips), "clips") as bar:
    bar.update(64)
say("composed 12 clips")
"""

import os
import sys

from tqdm.auto import tqdm

_LOG_INTERVAL = 20.0
"""Seconds between two lines where nobody watches."""


def progress_bar(total: int, unit: str, shown: bool = True) -> tqdm:
    """A bar on the first process; where the output is no terminal, a line now and then."""
    interval = 0.1 if sys.stderr.isatty() else _LOG_INTERVAL
    quiet = not shown or not _first()
    return tqdm(total=total, unit=f" {unit}", desc=f"encoding {unit}", disable=quiet, mininterval=interval)


def say(line: str) -> None:
    """One line on standard error, from the first process alone."""
    if _first():
        tqdm.write(line, file=sys.stderr)


def _first() -> bool:
    return os.environ.get("RANK", "0") == "0"
