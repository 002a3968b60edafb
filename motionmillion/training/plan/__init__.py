"""What a run will cost, and whether it can run: dry runs and plans."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.training.plan.cost import (
        BUCKET,
        GIB,
        GPUS,
        LIVE,
        STAGES,
        USABLE,
        Gpu,
        Memory,
        ModelShape,
        Step,
        count_parameters,
        find_gpu,
        hours,
        lm_shape,
        memory,
        step_flops,
    )

__all__ = [
    "BUCKET",
    "GIB",
    "GPUS",
    "Gpu",
    "LIVE",
    "Memory",
    "ModelShape",
    "STAGES",
    "Step",
    "USABLE",
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
            "BUCKET",
            "GIB",
            "GPUS",
            "Gpu",
            "LIVE",
            "Memory",
            "ModelShape",
            "STAGES",
            "Step",
            "USABLE",
            "count_parameters",
            "find_gpu",
            "hours",
            "lm_shape",
            "memory",
            "step_flops",
        ]
    },
)
