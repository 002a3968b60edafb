"""Errors and warnings as the command line shows them: one line, with remedies that exist there.

    message_of(ValueError("accelerate must be installed; run: pip install \"motionmillion[train]\""))
    # accelerate must be installed; run: pip install "accelerate>=1.10" "datasets>=4"

Unusual: an extra such as `motionmillion[train]` cannot be installed by name unless the package is on an index, so the
packages that it stands for are named instead.
"""

import contextlib
import importlib.metadata
import re
import warnings
from collections.abc import Iterator
from typing import Any

from motionmillion.progress import say

_TELLING = (
    *(f"transformers.{name}" for name in ("training_args", "configuration_utils", "modeling_utils", "utils.hub")),
    *("transformers.integrations.flex_attention", "torch.nn.attention.flex_attention", "huggingface_hub.dataclasses"),
)
"""Modules of other packages whose errors of a value name a user's mistake."""

_EXTRA = re.compile(r'"motionmillion\[([\w-]+)\]"')


def message_of(error: Exception) -> str:
    """The message of an error in one line."""
    return _EXTRA.sub(lambda found: packages_of(found[1]) or found[0], " ".join(str(error).split()))


def is_known(error: BaseException) -> bool:
    """Whether an error's message says what is wrong: one of files, of imports, or one that this package raised."""
    if isinstance(error, OSError | ImportError):
        return True
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    module = "" if place is None else str(place.tb_frame.f_globals.get("__name__"))
    if module in _TELLING:
        return (
            isinstance(error, ValueError | NotImplementedError) or type(error).__module__ == "huggingface_hub.errors"
        )
    return isinstance(error, ValueError) and module.split(".")[0] == "motionmillion"


@contextlib.contextmanager
def option_names(**names: str) -> Iterator[None]:
    """Errors of values that name an argument of Python name the option instead, `option_names(path="prefix")`."""
    try:
        yield
    except ValueError as error:
        first, space, rest = str(error).partition(" ")
        if first in names and len(error.args) == 1:
            error.args = (names[first] + space + rest,)
        raise


def usage_message(error: Exception) -> str:
    """The message of one of typer's errors, which points to the help of the command at hand."""
    context = getattr(error, "ctx", None)
    command = getattr(context, "command_path", "") or "motionmillion"
    return f"{error.format_message().rstrip('.')}. See {command} --help."  # type: ignore[attr-defined]


def packages_of(extra: str) -> str:
    """The packages of an extra of this distribution, quoted for a shell; "" if it is not installed."""
    try:
        lines = importlib.metadata.requires("motionmillion") or []
    except importlib.metadata.PackageNotFoundError:
        return ""
    found = []
    for line in lines:
        requirement, _, marker = line.partition(";")
        if re.search(rf"extra\s*==\s*[\"']{re.escape(extra)}[\"']", marker):
            nested = re.match(r"motionmillion\[([\w-]+)\]", requirement)
            found.append(packages_of(nested[1]) if nested else f'"{requirement.strip()}"')
    return " ".join(found)


@contextlib.contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print the library's warnings inside the block to standard error, one line each, without the source location."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        other = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
            if category is UserWarning:
                say(f"motionmillion: {message}")
            else:
                other(message, category, *where)

        warnings.showwarning = show  # type: ignore[assignment]
        yield
