"""The language model over latents: its flow head and its sampler."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.lm.latents.model import MotionFlowLM

__all__ = ["MotionFlowLM"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "model": ["MotionFlowLM"],
    },
)
