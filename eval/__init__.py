"""Evaluation of motions: functions on positions and embeddings, each with its units in the docstring."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from motionmillion.eval import distribution, physics, reconstruction

__all__ = ["distribution", "physics", "reconstruction"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"motionmillion.eval.{name}")
    raise AttributeError(f"module 'motionmillion.eval' has no attribute {name!r}")
