"""Motions as the bytes of an answer.

    answer = file_answer(motions, "glb", "human")      # bytes, media type, file name
    motion_answer(motion, seed=0)                      # numbers, for JSON

Unusual: writers of the library write files; they do it in a temporary folder of the request's own, which is removed.
"""

import io
import re
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import roma
import torch

from motionmillion.io import check_output, write_motion
from motionmillion.io.arrays import exact_rotations
from motionmillion.io.viewer.payload import scene
from motionmillion.io.write_options import OutputOptions
from motionmillion.motion import Motion

MEDIA = {
    "npz": "application/octet-stream",
    "bvh": "text/plain; charset=utf-8",
    "glb": "model/gltf-binary",
    "html": "text/html; charset=utf-8",
    "zip": "application/zip",
}
"""Media types of the files."""

NUMBERS = ("json", "scene")
_DECIMALS = 5


class FileAnswer(NamedTuple):
    """The bytes of a file."""

    content: bytes
    media: str
    name: str


def formats() -> list[str]:
    """Formats that this installation can write."""
    return [*NUMBERS, *(name for name in ("npz", "bvh", "glb", "html") if _writable(name))]


def _writable(name: str) -> bool:
    try:
        check_output(Path(tempfile.gettempdir()) / f"motion.{name}")
    except ImportError:
        return False
    return True


def motion_answer(motion: Motion, seed: int | None = None) -> dict[str, Any]:
    """A motion as JSON values, the fields of `motionmillion.serve.schemas.MotionAnswer`."""
    quaternions = roma.rotmat_to_unitquat(torch.from_numpy(exact_rotations(motion))).numpy()  # [T, J, 4]
    return {
        "caption": motion.caption,
        "seed": seed,
        "fps": motion.fps,
        "frames": motion.num_frames,
        "seconds": motion.seconds,
        "joints": list(motion.skeleton.names),
        "parents": list(motion.skeleton.parents),
        "offsets": np.asarray(motion.skeleton.offsets, dtype=float).round(_DECIMALS).tolist(),
        "rotations": quaternions.round(_DECIMALS).tolist(),
        "root": motion.translation.double().numpy().round(_DECIMALS).tolist(),
    }


def scene_answer(motions: Sequence[Motion], body: str, parts: Sequence[tuple[str, float]] = ()) -> dict[str, Any]:
    """What the player of the web page takes.

    Args:
        parts: texts and seconds of a timeline, of which each motion is.
    """
    return scene(motions, [motion.caption for motion in motions], body=body, parts=_spans(motions, parts))


def file_answer(
    motions: Sequence[Motion], format: str, body: str = "human", parts: Sequence[tuple[str, float]] = ()
) -> FileAnswer:
    """Motions as one file; several npz, bvh or glb files as one zip file.

    Raises:
        ValueError: for a format that cannot be written here, and motions that it cannot hold.
    """
    if format not in formats():
        raise ValueError(f"format must be one of {formats()}, got {format!r}")
    with tempfile.TemporaryDirectory(prefix="motionmillion-") as folder:
        names = [f"{slug(motions[0].caption)}{f'-{number}' if number else ''}" for number in range(len(motions))]
        if format == "html":
            path = Path(folder, f"{names[0]}.html")
            write_motion(list(motions), path, body=body, parts=_spans(motions, parts))
            return FileAnswer(path.read_bytes(), MEDIA["html"], path.name)
        options = OutputOptions(body=body)
        paths = [Path(folder, f"{name}.{format}") for name in names]
        for motion, path in zip(motions, paths, strict=True):
            write_motion(motion, path, **options.of(path))
        if len(paths) == 1:
            return FileAnswer(paths[0].read_bytes(), MEDIA[format], paths[0].name)
        return FileAnswer(_zipped(paths), MEDIA["zip"], f"{names[0]}.zip")


def _zipped(paths: Sequence[Path]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            archive.write(path, path.name)
    return packed.getvalue()


def _spans(motions: Sequence[Motion], parts: Sequence[tuple[str, float]]) -> list[list[tuple[float, float, str]]]:
    """For each motion the parts of a timeline, as (start, end, text) in seconds."""
    spans, start = [], 0.0
    for text, seconds in parts:
        spans.append((start, start + seconds, text))
        start += seconds
    return [spans for _ in motions]


def slug(caption: str) -> str:
    """A file name of a caption's words, without what a path or a header could take for something else."""
    return "-".join(re.findall(r"[a-z0-9]+", caption.lower()))[:60].strip("-") or "motion"
