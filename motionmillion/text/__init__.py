"""Text encoders, prompts, and their rewriting."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.text.encoder import (
        MINILM,
        SETTINGS,
        DeferredTextEncoder,
        TextEncoder,
        feature_size,
        positions,
        read_config,
        write_settings,
    )

__all__ = [
    "DeferredTextEncoder",
    "MINILM",
    "SETTINGS",
    "TextEncoder",
    "feature_size",
    "positions",
    "read_config",
    "write_settings",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "encoder": [
            "DeferredTextEncoder",
            "MINILM",
            "SETTINGS",
            "TextEncoder",
            "feature_size",
            "positions",
            "read_config",
            "write_settings",
        ]
    },
)
