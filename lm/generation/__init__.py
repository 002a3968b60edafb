"""Generation with the motion language model: caches, sampling, timelines."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.lm.generation.loop import CACHES, checked_codes, generate, stream

__all__ = ["CACHES", "checked_codes", "generate", "stream"]

__getattr__, __dir__ = lazy_names(__name__, {"loop": ["CACHES", "checked_codes", "generate", "stream"]})
