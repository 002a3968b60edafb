"""Folders of weights as other projects publish them, which pipelines load without a conversion.

    layout = find_layout(folder)                    # None for a folder of our own, and for unknown ones
    pipe = layout.load(folder, "cpu", torch.float32, None)

A layout is one file in `motionmillion.convert` that defines `LAYOUT`, and one line in `_LAYOUTS`.

Unusual: layouts are named here and imported when a folder is not one of ours, because conversions use pipelines.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from motionmillion.tokenizer import MotionTokenizer

_LAYOUTS = (
    "motionmillion.convert.hub_motionmillion",
    "motionmillion.convert.hub_vimogen",
)
"""Modules that define a `LAYOUT`."""


@dataclass(frozen=True)
class Layout:
    """How another project's weights lie in a folder.

    Args:
        name: of the layout, in errors.
        kind: of the pipeline, as in `pipeline.json`.
        defaults: options of the pipeline, as published.
        marks: files of which any one identifies the layout; on the hub, small ones.
        files: patterns of the files that are downloaded.
        load: folder, device, dtype and quantization -> pipeline. Every file is checked before the large ones are read.
        load_tokenizer: folder -> tokenizer; None for a model without one.
    """

    name: str
    kind: str | None
    defaults: Mapping[str, Any]
    marks: tuple[str, ...]
    files: tuple[str, ...]
    load: Callable[..., Any]
    load_tokenizer: "Callable[[Path], MotionTokenizer] | None" = None


def layouts() -> list[Layout]:
    """All known layouts."""
    return [importlib.import_module(module).LAYOUT for module in _LAYOUTS]


def find_layout(folder: Path) -> Layout | None:
    """The layout of a folder that is not a pipeline's own, by its files."""
    return next((each for each in layouts() if any((folder / mark).is_file() for mark in each.marks)), None)
