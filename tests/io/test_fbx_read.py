"""FBX: the motion of the same rig's BVH file, and everything that can be wrong with a file."""

import sys
from pathlib import Path

import pytest
import roma

from motionmillion.io import fbx_read as fbx
from motionmillion.motion import Motion

sys.path[:0] = [str(Path(__file__).parents[2] / "recipes/files"), str(Path(__file__).parent)]
from fbx_text import fbx_text  # noqa: E402
from rigs import Rig, walk  # noqa: E402

needs_ufbx = pytest.mark.skipif(fbx.importlib.util.find_spec("ufbx") is None, reason="ufbx is not installed")


@needs_ufbx
def test_the_motion_of_the_bvh_file_of_the_same_rig(tmp_path: Path):
    rig = Rig().along([1.0, 0.0, 0.0])
    (tmp_path / "x.fbx").write_text(fbx_text(rig, *walk(20)), encoding="utf-8")
    (tmp_path / "x.bvh").write_text(rig.bvh(*walk(20)), encoding="utf-8")
    motion, base = Motion.load(tmp_path / "x.fbx"), Motion.load(tmp_path / "x.bvh")
    assert (motion.fps, motion.num_frames) == (30.0, 20)
    assert roma.rotmat_geodesic_distance(motion.rotations, base.rotations).max() < 2e-3
    assert (motion.positions() - base.positions()).abs().max() < 1e-3


@needs_ufbx
def test_several_animations_and_another_frame_rate(tmp_path: Path):
    path = tmp_path / "x.fbx"
    path.write_text(fbx_text(Rig(), *walk(7), takes=2), encoding="utf-8")
    with pytest.warns(UserWarning, match="holds 2 animations, of which the first is read"):
        motion = Motion.load(path, fps=60.0)
    assert (motion.fps, motion.num_frames) == (60.0, 13)
    with pytest.raises(ValueError, match=r"index must be 0 to 1 for the 2 animations"):
        Motion.load(path, index=2)


@needs_ufbx
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "path must be a whole FBX file"),
        (b"Kaydara FBX Binary  \x00\x1a\x00" + b"\x07" * 40, "path must be a whole FBX file"),
        (b"; FBX 7.4.0 project file\nObjects: {\n}\n", "must hold an animation, got none"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "x.fbx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        Motion.load(path)


def test_without_ufbx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "x.fbx").write_text("; FBX")
    monkeypatch.setattr(fbx.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs the package ufbx; run pip install 'motionmillion\[fbx\]'"):
        Motion.load(tmp_path / "x.fbx")


def test_a_reader_that_crashes_is_an_error_of_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The process of its own ends by a signal, as ufbx' faults have it."""
    pytest.importorskip("ufbx")
    (tmp_path / "x.fbx").write_text("; FBX")
    monkeypatch.setattr(fbx.sys, "executable", _crashing(tmp_path))
    with pytest.raises(ValueError, match="on which ufbx failed; export it again"):
        Motion.load(tmp_path / "x.fbx")


def _crashing(folder: Path) -> str:
    script = folder / "python"
    script.write_text("#!/bin/sh\nkill -SEGV $$\n")
    script.chmod(0o755)
    return str(script)
