"""Planning of runs: dry runs that check a recipe and estimate its memory and time."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.training.plan.cost import (
        GIB,
        GPUS,
        STAGES,
        Gpu,
        Memory,
        Step,
        count_parameters,
        find_gpu,
        hours,
        lm_shape,
        memory,
        step_flops,
    )

__all__ = [
    "GIB",
    "GPUS",
    "STAGES",
    "Gpu",
    "Memory",
    "Step",
    "count_parameters",
    "find_gpu",
    "hours",
    "lm_shape",
    "memory",
    "step_flops",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "cost": [
            "GIB",
            "GPUS",
            "Gpu",
            "Memory",
            "STAGES",
            "Step",
            "count_parameters",
            "find_gpu",
            "hours",
            "lm_shape",
            "memory",
            "step_flops",
        ],
    },
)
