"""Bodies in themselves and out of the ordinary: capsules, meshes, and priors of poses."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.eval.body.capsules import (
        CAPSULES,
        PAIRS,
        TOUCH,
        Capsule,
        Unit,
        capsule_depths,
        capsule_penetration,
        capsule_penetrations,
        segment_distance,
    )

__all__ = [
    "CAPSULES",
    "Capsule",
    "PAIRS",
    "TOUCH",
    "Unit",
    "capsule_depths",
    "capsule_penetration",
    "capsule_penetrations",
    "segment_distance",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "capsules": [
            "CAPSULES",
            "Capsule",
            "PAIRS",
            "TOUCH",
            "Unit",
            "capsule_depths",
            "capsule_penetration",
            "capsule_penetrations",
            "segment_distance",
        ]
    },
)
