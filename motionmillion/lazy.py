"""Lazy imports: names of a package that are imported on first use, so that using one module does not load all others.

    __getattr__, __dir__ = lazy_names(__name__, {"codes": ["MotionPipeline", "find_pipeline"]})

Keys are modules of the package (or full names of other modules), values the names that the package re-exports.
"""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazy_names(
    package: str, names: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make a package's `__getattr__` and `__dir__`.

    Args:
        package: its full name.
        names: re-exported names by module; a module name without a dot is relative to the package.
    """
    homes = {
        name: module if "." in module else f"{package}.{module}" for module, held in names.items() for name in held
    }

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    return load, lambda: sorted({*vars(sys.modules[package]), *homes})
