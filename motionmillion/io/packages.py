"""Optional packages of file formats, with one line that says how to install them.

gltf = require("pygltflib", "glb", "write .glb files")
"""

import importlib
from typing import Any


def require(module: str, extra: str, purpose: str) -> Any:
    """Import an optional module.

    Args:
        extra: the package's extra that installs it.
        purpose: what it is needed for, such as "write .glb files".

    Raises:
        ImportError: if it is missing; one line with the remedy.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f'{module} must be installed to {purpose}; run: pip install "motionmillion[{extra}]"'
        ) from error
