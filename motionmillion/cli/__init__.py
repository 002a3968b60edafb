"""The `motionmillion` command; `python -m motionmillion.cli` runs it, too."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.cli.app import main

__all__ = [
    "main",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "app": ["main"],
    },
)
