"""Layouts of public data sets, one file each, for `motionmillion data build`.

    find_layout(Path("download"))                # the class of the layout that recognises a folder
    register(MyLayout)                           # a layout of one's own, in this process

A new layout is one new file with a `Layout` and one new line in `_LAYOUTS`; the first that recognises a folder is
used.
"""

import importlib
from pathlib import Path

from motionmillion.data.layouts.base import Layout

__all__ = ["Layout", "find_layout", "layout_names", "register"]

_LAYOUTS: dict[str, str | type[Layout]] = {
    "motionmillion": "motionmillion:MotionMillion",
    "vimogen": "vimogen:ViMoGen",
    "humanml3d": "humanml3d:HumanML3D",
    "humanml3d-272": "humanml3d_272:HumanML3D272",
    "bones-seed": "bones_seed:BonesSeed",
    "100style": "style100:Style100",
    "lafan1": "lafan1:Lafan1",
    "amass": "amass:Amass",
    "folder": "folder:FolderLayout",
}


def register(layout: type[Layout]) -> None:
    """Add a layout, before those that the library knows.

    Raises:
        ValueError: for a name that is taken.
    """
    if layout.name in _LAYOUTS:
        raise ValueError(f"name must be that of no other layout, got {layout.name!r}")
    known = dict(_LAYOUTS)
    _LAYOUTS.clear()
    _LAYOUTS.update({layout.name: layout, **known})


def layout_names() -> list[str]:
    """Names of all layouts."""
    return list(_LAYOUTS)


def layout_class(name: str) -> type[Layout]:
    """The layout of a name.

    Raises:
        ValueError: for an unknown one.
    """
    if name not in _LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(_LAYOUTS)}, got {name!r}")
    found = _LAYOUTS[name]
    if isinstance(found, str):
        module, attribute = found.split(":")
        found = getattr(importlib.import_module(f"motionmillion.data.layouts.{module}"), attribute)
    return found


def find_layout(source: Path) -> type[Layout]:
    """The first layout that recognises a folder; a folder of motion files is recognised last."""
    return next(kind for name in _LAYOUTS if (kind := layout_class(name)).recognises(source))
