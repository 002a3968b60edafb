"""The `motionmillion` command; `python -m motionmillion.cli` runs it, too."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.cli.app import main
    from motionmillion.cli.bench import Benched
    from motionmillion.cli.convert import Converted
    from motionmillion.cli.data import data_app, describe, encode_text
    from motionmillion.cli.files import detokenize, export, tokenize, view
    from motionmillion.cli.train import Part

__all__ = [
    "Benched",
    "Converted",
    "Part",
    "data_app",
    "describe",
    "detokenize",
    "encode_text",
    "export",
    "main",
    "tokenize",
    "view",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "app": ["main"],
        "bench": ["Benched"],
        "convert": ["Converted"],
        "data": ["data_app", "describe", "encode_text"],
        "files": ["detokenize", "export", "tokenize", "view"],
        "train": ["Part"],
    },
)
