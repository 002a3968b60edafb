"""Progress of slow work on standard error: bars with the time left, and what is being done.

    with shown():                                          # the command line does this once
        for clip in tracked(clips, "reading", "clips"):    # anywhere below, in every layer
            ...
        with doing("loading the model"):
            ...
    say("12 clips are left out")

Outside `shown` there are no bars, so the library's functions never draw any of their own accord. On a terminal a bar
appears at once and disappears when the work is done; elsewhere, such as in a log file, slow work prints a line every
20 seconds. Of several processes only the first prints.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextvars import ContextVar
from typing import IO, Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

_SHOWN: ContextVar[bool] = ContextVar("motionmillion_progress", default=False)
_BAR = "{desc}: {n_fmt}/{total_fmt} {unit} |{bar}| {remaining} left"
_LINE = "{desc}: {n_fmt}/{total_fmt} {unit}, {remaining} left"
_LOG_INTERVAL = 20.0
"""Seconds between two lines if the output is not a terminal."""


@contextlib.contextmanager
def shown() -> Iterator[None]:
    """Show the progress of everything inside the block."""
    token = _SHOWN.set(True)
    try:
        yield
    finally:
        _SHOWN.reset(token)


def tracked(items: Collection[Item], what: str, unit: str = "") -> Iterator[Item]:
    """The items, with a bar; a single item has none.

    Args:
        what: what is done, such as "reading".
        unit: what the items are, in the plural.
    """
    with progress_bar(len(items), what, unit) as bar:
        for item in items:
            yield item
            bar.update()


def progress_bar(total: int, what: str, unit: str = "", done: int = 0) -> tqdm:
    """A bar to be moved by `update`, for work that is not a loop over items; close it, or use it in `with`.

    Args:
        done: how much of `total` an earlier run has done.
    """
    return _bar(total, _BAR if sys.stderr.isatty() else _LINE, total < 2, desc=what, unit=unit, initial=done)


@contextlib.contextmanager
def doing(what: str) -> Iterator[Callable[[str], None]]:
    """Name work whose length is not known, on terminals, while the block runs; the value changes the name."""
    with _bar(None, "{desc} ...", hidden=not sys.stderr.isatty(), desc=what) as bar:
        yield bar.set_description_str


def say(line: str, file: IO[str] | None = None) -> None:
    """Print a line above the bars, by default to standard error."""
    if not _first():
        return
    out = sys.stderr if file is None else file
    if sys.stderr.isatty():
        tqdm.write(line, file=out)
        out.flush()
    else:
        print(line, file=out, flush=True)


def say_lines(lines: Iterable[str]) -> None:
    """Print lines to standard error, as `say` does."""
    for line in lines:
        say(line)


class _LogBar(tqdm):
    """A bar of which every state is a line of its own."""

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        if msg is None and self.fp is not None:
            print(self, file=self.fp, flush=True)

    def clear(self, nolock: bool = False) -> None:
        """Lines in a log stay."""


def _bar(total: int | None, form: str, hidden: bool, **options: Any) -> tqdm:
    options |= {"total": total, "bar_format": form, "leave": False, "file": sys.stderr}
    options |= {"disable": hidden or not _SHOWN.get() or not _first()}
    if sys.stderr.isatty():
        return tqdm(dynamic_ncols=True, **options)
    return _LogBar(mininterval=_LOG_INTERVAL, delay=_LOG_INTERVAL, miniters=1, **options)


def _first() -> bool:
    return os.environ.get("RANK", "0") == "0"
