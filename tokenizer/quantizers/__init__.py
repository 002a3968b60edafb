"""Latents <-> codes: the quantizers by name."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.tokenizer.quantizers.base import (
        FiniteScalarQuantizer,
        LookupFreeQuantizer,
        NoQuantizer,
        Quantizer,
        QuantizerOutput,
        ResidualFiniteScalarQuantizer,
        VectorQuantizer,
        build_quantizer,
        code_perplexity,
        code_usage,
    )

__all__ = [
    "FiniteScalarQuantizer",
    "LookupFreeQuantizer",
    "NoQuantizer",
    "Quantizer",
    "QuantizerOutput",
    "ResidualFiniteScalarQuantizer",
    "VectorQuantizer",
    "build_quantizer",
    "code_perplexity",
    "code_usage",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "base": [
            "FiniteScalarQuantizer",
            "LookupFreeQuantizer",
            "NoQuantizer",
            "Quantizer",
            "QuantizerOutput",
            "ResidualFiniteScalarQuantizer",
            "VectorQuantizer",
            "build_quantizer",
            "code_perplexity",
            "code_usage",
        ]
    },
)
