"""Conversion of other projects' checkpoints to ours, with identical outputs.

    tokenizer = load_upstream_tokenizer("fsq_net.pth", RELEASED_TOKENIZER_OPTIONS, mean, std)
    convert_tokenizer("fsq_net.pth", "my_tokenizer", mean="mean.npy", std="std.npy")    # files in, folder out
    convert_lm("net_last.pth", "my_lm")                    # see motionmillion.convert.lm
    convert_dit("model.pt", "my_dit")                      # see motionmillion.convert.dit
    convert_evaluator("epoch=199.ckpt", "my_evaluator")    # see motionmillion.convert.evaluator

Reads the FSQ tokenizer and the language model of MotionMillion-Codes (Go to Zero, arXiv 2507.07095), and the
transformer of ViMoGen (arXiv 2510.26794). Their checkpoints are pickles, which are read with `weights_only=True`, so
no code in them is executed.
"""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.convert.dit import RELEASED_DIT_OPTIONS, convert_dit, load_upstream_dit
    from motionmillion.convert.evaluator import convert_evaluator, load_upstream_evaluator
    from motionmillion.convert.lm import convert_lm, load_upstream_lm
    from motionmillion.convert.options import RELEASED_TOKENIZER_OPTIONS
    from motionmillion.convert.tokenizer import convert_tokenizer, load_upstream_tokenizer

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
        "dit": ["RELEASED_DIT_OPTIONS", "convert_dit", "load_upstream_dit"],
        "evaluator": ["convert_evaluator", "load_upstream_evaluator"],
        "lm": ["convert_lm", "load_upstream_lm"],
        "options": ["RELEASED_TOKENIZER_OPTIONS"],
        "tokenizer": ["convert_tokenizer", "load_upstream_tokenizer"],
    },
)
