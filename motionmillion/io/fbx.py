"""FBX by way of Blender: the body and the animations of our GLB file, for Unreal, Unity, Maya and 3ds Max.

    motion.save("wave.fbx")                                     # or write_fbx([walk, run], "moves.fbx")

There is no free library that writes skinned FBX files from Python, so Blender does it: its Python package `bpy`, if
this Python has it, or the program `blender`, if it is on the PATH. It runs in a process of its own
(`motionmillion/io/blender_export.py`), imports a GLB file and exports it. Options are those of `write_glb`.
Unusual: Blender has one frame rate for a file, that of the first motion; other motions keep their speed.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from motionmillion.io.files import atomic_path
from motionmillion.io.glb import check_glb, write_glb
from motionmillion.motion import Motion

_SCRIPT = Path(__file__).with_name("blender_export.py")
_SECONDS = 600


def write_fbx(
    motion: Motion | Sequence[Motion],
    path: str | Path,
    body: str = "auto",
    root_motion: bool | str = True,
    fps: float | None = None,
    names: str = "smpl",
) -> Path:
    """Write one motion or several as the animations of one skinned body.

    Args:
        motion, body, root_motion, fps, names: as for `motionmillion.io.glb.write_glb`.

    Raises:
        ImportError: if Blender or pygltflib is missing.
        ValueError: as for `write_glb`, and if Blender fails, with its last line.
    """
    command = blender_command()
    motions = [motion] if isinstance(motion, Motion) else list(motion)
    with tempfile.TemporaryDirectory() as folder, atomic_path(path) as temporary:
        source = write_glb(motions, Path(folder) / "motion.glb", body, root_motion, fps, names)
        rate = float(motions[0].fps if fps is None else fps)
        run(command, [str(source), os.path.abspath(temporary), repr(rate)])
        if not temporary.is_file():
            raise ValueError(f"path must be written by Blender, got nothing for {str(path)!r}")
    return Path(path)


def run(command: Sequence[str], arguments: Sequence[str]) -> None:
    """Run the script in Blender.

    Raises:
        ValueError: if it fails.
    """
    result = subprocess.run(
        [*command, *arguments],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=_SECONDS,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if result.returncode:
        lines = (result.stderr.strip() or result.stdout.strip() or "no message").splitlines()
        raise ValueError(f"Blender must export the file, got exit code {result.returncode}: {lines[-1]}")


def check_fbx() -> None:
    """Raise `ImportError` with the remedy if Blender or the package that writes `.glb` files is missing."""
    check_glb()
    blender_command()


def blender_command(script: Path = _SCRIPT) -> list[str]:
    """The command that runs a script in Blender, up to the script's own arguments."""
    if importlib.util.find_spec("bpy") is not None:
        return [sys.executable, str(script)]
    program = shutil.which("blender")
    if program is None:
        raise ImportError(
            "Blender must be installed to write .fbx files; install it from https://www.blender.org or run: "
            "pip install bpy (or write .glb, which the same programs open)"
        )
    return [program, "--background", "--factory-startup", "--python-exit-code", "1", "--python", str(script), "--"]
