"""Generation with the motion language model: caches, sampling, timelines."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.lm.generation.loop import generate, stream

__all__ = [
    "generate",
    "stream",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "loop": ["generate", "stream"],
    },
)
