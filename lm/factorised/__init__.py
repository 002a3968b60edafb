"""Language models over factorised codes: the model with its depth head, and the sampler."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.lm.factorised.model import MotionFactorisedLM

__all__ = ["MotionFactorisedLM"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "model": ["MotionFactorisedLM"],
    },
)
