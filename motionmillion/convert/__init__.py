"""Checkpoints of other projects -> ours, with the same numbers out."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.convert.tokenizer import (
        RELEASED_DIT_OPTIONS,
        RELEASED_TOKENIZER_OPTIONS,
        convert_dit,
        convert_evaluator,
        convert_lm,
        convert_tokenizer,
        load_upstream_dit,
        load_upstream_evaluator,
        load_upstream_lm,
        load_upstream_tokenizer,
    )

__all__ = [
    "RELEASED_DIT_OPTIONS",
    "RELEASED_TOKENIZER_OPTIONS",
    "convert_dit",
    "convert_evaluator",
    "convert_lm",
    "convert_tokenizer",
    "load_upstream_dit",
    "load_upstream_evaluator",
    "load_upstream_lm",
    "load_upstream_tokenizer",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "tokenizer": [
            "RELEASED_DIT_OPTIONS",
            "RELEASED_TOKENIZER_OPTIONS",
            "convert_dit",
            "convert_evaluator",
            "convert_lm",
            "convert_tokenizer",
            "load_upstream_dit",
            "load_upstream_evaluator",
            "load_upstream_lm",
            "load_upstream_tokenizer",
        ]
    },
)
