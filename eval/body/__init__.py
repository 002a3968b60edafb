"""Bodies in themselves and out of the ordinary: capsules, meshes, and priors of poses."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.eval.body.capsules import capsule_penetration, capsule_penetrations

__all__ = [
    "capsule_penetration",
    "capsule_penetrations",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "capsules": ["capsule_penetration", "capsule_penetrations"],
    },
)
