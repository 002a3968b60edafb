"""MBench: its prompts and its measures."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.eval.suites.mbench.prompts import mbench_suite

__all__ = [
    "mbench_suite",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "prompts": ["mbench_suite"],
    },
)
