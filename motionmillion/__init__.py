"""motionmillion: text to 3D human motion with motion-token language models.

    import motionmillion as mm
    pipe = mm.MotionPipeline.from_pretrained("mini")
    motion = pipe(["a person waves"], seconds=4)[0]
    motion.save("wave.html")

Unusual: every public name is imported on first use, so that `import motionmillion` takes far less than a second
although the library is built on torch and transformers.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_LAZY = {
    "Motion": "motionmillion.motion",
    "Skeleton": "motionmillion.skeleton",
    "SMPL22": "motionmillion.skeleton",
    "MotionPipeline": "motionmillion.pipeline",
    "TextEncoder": "motionmillion.text",
}
_SUBMODULES = ("convert", "data", "eval", "features", "io", "lm", "tokenizer", "training")

__all__ = [
    "SMPL22",
    "Motion",
    "MotionPipeline",
    "Skeleton",
    "TextEncoder",
    "__version__",
    "convert",
    "data",
    "eval",
    "features",
    "io",
    "lm",
    "tokenizer",
    "training",
]

if TYPE_CHECKING:
    from motionmillion import data, eval, features, io, lm, tokenizer, training
    from motionmillion.convert import tokenizer as convert
    from motionmillion.motion import Motion
    from motionmillion.pipeline.base import MotionPipeline
    from motionmillion.skeleton import SMPL22, Skeleton
    from motionmillion.text.encoder import TextEncoder


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _SUBMODULES:
        return importlib.import_module(f"motionmillion.{name}")
    raise AttributeError(f"module 'motionmillion' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
