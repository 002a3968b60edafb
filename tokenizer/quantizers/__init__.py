"""Latents <-> codes: the quantizers by name."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.tokenizer.quantizers.base import Quantizer, QuantizerOptions, QuantizerOutput
    from motionmillion.tokenizer.quantizers.continuous import NoQuantizer
    from motionmillion.tokenizer.quantizers.fsq import FiniteScalarQuantizer
    from motionmillion.tokenizer.quantizers.lfq import LookupFreeQuantizer
    from motionmillion.tokenizer.quantizers.registry import build_quantizer, register
    from motionmillion.tokenizer.quantizers.residual_fsq import ResidualFiniteScalarQuantizer
    from motionmillion.tokenizer.quantizers.usage import code_perplexity, code_usage
    from motionmillion.tokenizer.quantizers.vq import VectorQuantizer

__all__ = [
    "FiniteScalarQuantizer",
    "LookupFreeQuantizer",
    "NoQuantizer",
    "Quantizer",
    "QuantizerOptions",
    "QuantizerOutput",
    "ResidualFiniteScalarQuantizer",
    "VectorQuantizer",
    "build_quantizer",
    "code_perplexity",
    "code_usage",
    "register",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "base": ["Quantizer", "QuantizerOptions", "QuantizerOutput"],
        "continuous": ["NoQuantizer"],
        "fsq": ["FiniteScalarQuantizer"],
        "lfq": ["LookupFreeQuantizer"],
        "registry": ["build_quantizer", "register"],
        "residual_fsq": ["ResidualFiniteScalarQuantizer"],
        "usage": ["code_perplexity", "code_usage"],
        "vq": ["VectorQuantizer"],
    },
)
