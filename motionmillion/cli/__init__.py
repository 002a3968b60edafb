"""The `motionmillion` command; `python -m motionmillion.cli` runs it, too."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.cli.app import (
        Benched,
        Converted,
        Part,
        data_app,
        describe,
        detokenize,
        encode_text,
        export,
        main,
        tokenize,
        view,
    )

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
        "app": [
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
    },
)
