"""The motion diffusion transformer: config, layers, model, sampling, few steps."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.lm.dit.model import MotionDiT, MotionDiTOutput

__all__ = ["MotionDiT", "MotionDiTOutput"]

__getattr__, __dir__ = lazy_names(__name__, {"model": ["MotionDiT", "MotionDiTOutput"]})
