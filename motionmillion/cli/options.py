"""Options that several commands share, and the parsing of their values."""

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Annotated

import typer

ModelOption = Annotated[str, typer.Option(help="Bundled model, folder or hub id.")]
DeviceOption = Annotated[str, typer.Option(help='"cpu", "cuda", or "auto" for a GPU if there is one.')]


def find_device(name: str) -> str:
    """The device that an option names; raises `ValueError` if it is not available."""
    from motionmillion.configuration import check_device

    return check_device(name)


@contextlib.contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print warnings inside the block to standard error, one line each, without the source location."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_: print(f"motionmillion: {message}", file=sys.stderr)  # type: ignore
        yield
