"""MBench: its prompts and its measures."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.eval.suites.mbench.prompts import (
        EVAL_INFO,
        FINAL,
        FPS,
        MBENCH_CATEGORIES,
        MBENCH_DIMENSIONS,
        NAME,
        SOURCE,
        VERSION,
        dimension_prompts,
        mbench_suite,
    )

__all__ = [
    "EVAL_INFO",
    "FINAL",
    "FPS",
    "MBENCH_CATEGORIES",
    "MBENCH_DIMENSIONS",
    "NAME",
    "SOURCE",
    "VERSION",
    "dimension_prompts",
    "mbench_suite",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "prompts": [
            "EVAL_INFO",
            "FINAL",
            "FPS",
            "MBENCH_CATEGORIES",
            "MBENCH_DIMENSIONS",
            "NAME",
            "SOURCE",
            "VERSION",
            "dimension_prompts",
            "mbench_suite",
        ]
    },
)
