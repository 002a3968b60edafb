"""Reading and writing motion files; the suffix sets the format.

    motion = read_motion("walk.bvh")
    write_motion(motion, "walk.html", caption="a person walks")

A new format is one new file with a reader or a writer, and one new line in `_FORMATS`, or in code of your own
`register(".mine", read_mine, write_mine)`. Options are passed to the format's own function: see
`motionmillion.io.smpl`, `.bvh`, `.glb`, `.gltf_nodes`, `.fbx`, `.fbx_read`, `.usd`, `.features`, `.html` and `.video`.
`.npy` holds features of any representation, joint positions or SMPL parameters, distinguished by the array's shape;
`.pkl` and `.pt` files of other projects, see `motionmillion.io.content`; `.txt` the caption.
Unusual: nothing heavy is imported before a file is read or written.
"""

import importlib
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from motionmillion.io.trees import JointTree
    from motionmillion.motion import Motion

__all__ = ["check_output", "read_motion", "readable_suffixes", "register", "writable_suffixes", "write_motion"]


class _Format(NamedTuple):
    """Functions, or where they are: "module:function" in motionmillion.io; None if there is none.

    `check` raises the error of a writer whose package or program is missing; `tree` gives the named joints of a file
    as they are in it, a `motionmillion.io.trees.JointTree`.
    """

    reader: str | Callable[..., Any] | None
    writer: str | Callable[..., Any] | None
    check: str | None = None
    tree: str | None = None


_FORMATS = {
    ".npz": _Format("smpl:read_smpl", "smpl:write_smpl"),
    ".bvh": _Format("bvh:read_bvh", "bvh:write_bvh", tree="bvh:bvh_tree"),
    ".amc": _Format("amc:read_amc", None, tree="amc:amc_tree"),
    ".glb": _Format("gltf_nodes:read_gltf", "glb:write_glb", "glb:check_glb", "gltf_nodes:gltf_tree"),
    ".gltf": _Format("gltf_nodes:read_gltf", None, tree="gltf_nodes:gltf_tree"),
    ".fbx": _Format("fbx_read:read_fbx", "fbx:write_fbx", "fbx:check_fbx", "fbx_read:fbx_tree"),
    ".usd": _Format(None, "usd:write_usd", "usd:check_usd"),
    ".usda": _Format(None, "usd:write_usd", "usd:check_usd"),
    ".usdc": _Format(None, "usd:write_usd", "usd:check_usd"),
    ".usdz": _Format(None, "usd:write_usd", "usd:check_usd"),
    ".npy": _Format("features:read_features", "features:write_features"),
    ".pkl": _Format("objects:read_object", None),
    ".pt": _Format("objects:read_object", None),
    ".html": _Format(None, "html:write_html"),
    ".mp4": _Format(None, "video:write_mp4"),
    ".png": _Format(None, "video:write_png"),
    ".txt": _Format(None, "caption:write_caption"),
}


def register(
    suffix: str,
    reader: Callable[..., "Motion"] | None = None,
    writer: Callable[..., Path] | None = None,
) -> None:
    """Add a file format, for `Motion.load`, `Motion.save` and the command line, in this process.

    Args:
        suffix: in lower case, with its dot.
        reader: `reader(path, **options)` returns a motion.
        writer: `writer(motion, path, **options)` returns the path.

    Raises:
        ValueError: for a suffix that is taken or has no dot, and if there is neither reader nor writer.
    """
    if not suffix.startswith(".") or suffix != suffix.lower() or suffix in _FORMATS:
        raise ValueError(f"suffix must begin with a dot, be in lower case and not yet be taken, got {suffix!r}")
    if reader is None and writer is None:
        raise ValueError(f"reader or writer must be given for {suffix!r}, got neither")
    _FORMATS[suffix] = _Format(reader, writer)


def readable_suffixes() -> list[str]:
    """Suffixes that `read_motion` supports."""
    return [suffix for suffix, entry in _FORMATS.items() if entry.reader]


def writable_suffixes() -> list[str]:
    """Suffixes that `write_motion` supports."""
    return [suffix for suffix, entry in _FORMATS.items() if entry.writer]


def tree_suffixes() -> list[str]:
    """Suffixes of the formats whose joints have names, which `read_tree` and the option `mapping` support."""
    return [suffix for suffix, entry in _FORMATS.items() if entry.tree]


def read_tree(path: str | Path) -> "JointTree":
    """The joints of a file as they are in it, before they are mapped.

    Args:
        path: a file whose suffix is one of `tree_suffixes()`.

    Raises:
        ValueError: for another suffix, and a file that is missing or damaged.
    """
    entry = _FORMATS.get(Path(path).suffix.lower())
    if entry is None or entry.tree is None:
        raise ValueError(f"path must end in one of {tree_suffixes()} to have joints with names, got {str(path)!r}")
    return _found(entry.tree)(path)


def read_motion(path: str | Path, **options: Any) -> "Motion":
    """Read a motion from a file.

    Args:
        path: a file whose suffix is one of `readable_suffixes()`.
        options: passed to the format's reader, e.g. `up="z"` for `.bvh`.

    Raises:
        ValueError: for an unknown suffix, an unknown option, or a file that is missing, broken or not a motion.
    """
    entry = _FORMATS.get(Path(path).suffix.lower())
    if entry is None or entry.reader is None:
        raise ValueError(f"path must end in one of {readable_suffixes()} to be read, got {str(path)!r}")
    return _function(entry.reader, path, options)(path, **options)


def write_motion(motion: "Motion | Sequence[Motion]", path: str | Path, **options: Any) -> Path:
    """Write a motion to a file and return its path; missing folders are created.

    Args:
        motion: one motion, or several for the formats of a skinned body.
        path: a file whose suffix is one of `writable_suffixes()`.
        options: passed to the format's writer, e.g. `columns=4` for `.png`.

    Raises:
        ValueError: for an unknown suffix, an unknown option, or a folder that cannot be written; nothing partial is
            left behind.
    """
    entry = _FORMATS.get(Path(path).suffix.lower())
    if entry is None or entry.writer is None:
        raise ValueError(f"path must end in one of {writable_suffixes()} to be written, got {str(path)!r}")
    return _function(entry.writer, path, options)(motion, path, **options)


def check_output(path: str | Path) -> None:
    """Raise the errors of `write_motion` for this path early, also of missing packages; for long computations."""
    from motionmillion.io.files import check_writable

    if Path(path).suffix.lower() not in writable_suffixes():
        raise ValueError(f"path must end in one of {writable_suffixes()} to be written, got {str(path)!r}")
    check_writable(path)
    check = _FORMATS[Path(path).suffix.lower()].check
    if check is not None:
        _found(check)()


def _found(given: str | Callable[..., Any]) -> Callable[..., Any]:
    if not isinstance(given, str):
        return given
    module, attribute = given.split(":")
    return getattr(importlib.import_module(f"motionmillion.io.{module}"), attribute)


def _function(given: str | Callable[..., Any], path: str | Path, options: dict[str, Any]) -> Callable[..., Any]:
    function = _found(given)
    known = [option for option in inspect.signature(function).parameters if option not in ("motion", "path")]
    for option in options:
        if option not in known:
            raise ValueError(f"options for {Path(path).suffix} must be among {known}, got {option!r}")
    return function
