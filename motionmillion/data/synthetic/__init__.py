"""Procedurally generated motions with matching captions."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.data.synthetic.clips import ACTIONS, synthesize, synthetic_clips

__all__ = [
    "ACTIONS",
    "synthesize",
    "synthetic_clips",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "clips": ["ACTIONS", "synthesize", "synthetic_clips"],
    },
)
