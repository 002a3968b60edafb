"""The text-motion evaluator: one space for captions and motions."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.eval.evaluator.model import MotionDecoder, TextMotionEvaluator, find_evaluator

__all__ = [
    "MotionDecoder",
    "TextMotionEvaluator",
    "find_evaluator",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "model": ["MotionDecoder", "TextMotionEvaluator", "find_evaluator"],
    },
)
