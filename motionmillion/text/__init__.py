"""Text encoders, prompts, and their rewriting."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.text.encoder import MINILM, TextEncoder, positions

__all__ = [
    "MINILM",
    "TextEncoder",
    "positions",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "encoder": ["MINILM", "TextEncoder", "positions"],
    },
)
