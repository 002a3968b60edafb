"""Motion representations: Motion <-> features `[T, D]`.

    features = get("rot272").encode(motion)

A new representation is one new file with a `Representation` subclass and one new line in `_REPRESENTATIONS`.
"""

import importlib

from motionmillion.features.base import Layout, Representation

_REPRESENTATIONS = {
    "rot272": "motionmillion.features.rot272:Rot272",
    "rot276": "motionmillion.features.rot276:Rot276",
    "rot276_velocity": "motionmillion.features.rot276:Rot276Velocity",
    "hml263": "motionmillion.features.hml263:Hml263",
}

__all__ = ["Layout", "Representation", "available", "get"]


def available() -> list[str]:
    """Names of all representations."""
    return sorted(_REPRESENTATIONS)


def get(name: str) -> Representation:
    """The representation called `name`, e.g. `"rot272"`."""
    if name not in _REPRESENTATIONS:
        raise ValueError(f"features must be one of {available()}, got {name!r}")
    module, attribute = _REPRESENTATIONS[name].split(":")
    return getattr(importlib.import_module(module), attribute)()
