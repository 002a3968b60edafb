"""The text-motion evaluator: one space for captions and motions."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.eval.evaluator.losses import Embedding
    from motionmillion.eval.evaluator.model import (
        BUNDLED,
        MotionDecoder,
        SequenceEmbedder,
        TextMotionEvaluator,
        find_evaluator,
        sinusoids,
    )

__all__ = [
    "BUNDLED",
    "Embedding",
    "MotionDecoder",
    "SequenceEmbedder",
    "TextMotionEvaluator",
    "find_evaluator",
    "sinusoids",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "losses": ["Embedding"],
        "model": [
            "BUNDLED",
            "MotionDecoder",
            "SequenceEmbedder",
            "TextMotionEvaluator",
            "find_evaluator",
            "sinusoids",
        ],
    },
)
