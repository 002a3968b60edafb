"""Motion representations: Motion <-> features `[T, D]`.

    features = get("rot272").encode(motion)

A new representation is one new file with a `Representation` subclass, and one new line in `_REPRESENTATIONS`, or in
code of your own `register("mine", Mine)`.
"""

import importlib

from motionmillion.features.base import Layout, Representation

_REPRESENTATIONS: dict[str, str | type[Representation]] = {
    "rot272": "motionmillion.features.rot272:Rot272",
    "rot276": "motionmillion.features.rot276:Rot276",
    "rot276_velocity": "motionmillion.features.rot276:Rot276Velocity",
    "hml263": "motionmillion.features.hml263:Hml263",
}

__all__ = ["Layout", "Representation", "available", "get", "register"]


def available() -> list[str]:
    """Names of all representations."""
    return sorted(_REPRESENTATIONS)


def register(name: str, representation: type[Representation]) -> None:
    """Add a representation, for recipes, files and the command line, in this process.

    Raises:
        ValueError: if the name is taken.
    """
    if name in _REPRESENTATIONS:
        raise ValueError(f"name must be that of no other representation, got {name!r} beside {available()}")
    _REPRESENTATIONS[name] = representation


def get(name: str) -> Representation:
    """The representation called `name`, e.g. `"rot272"`."""
    if name not in _REPRESENTATIONS:
        raise ValueError(f"features must be one of {available()}, got {name!r}")
    found = _REPRESENTATIONS[name]
    if isinstance(found, str):
        module, attribute = found.split(":")
        found = getattr(importlib.import_module(module), attribute)
    return found()
