"""The pipeline of the DiT: options, windows, references, editing."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.pipeline.dit.pipeline import DiTPipeline

__all__ = ["DiTPipeline"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "pipeline": ["DiTPipeline"],
    },
)
