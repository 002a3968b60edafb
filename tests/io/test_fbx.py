"""FBX through Blender: the one line without it; with it, a file with the joints and the animations."""

import importlib.util
import re
import shutil
from pathlib import Path

import pytest

from motionmillion.io import check_output
from motionmillion.io.fbx import run, write_fbx
from motionmillion.motion import Motion

pytest.importorskip("pygltflib", reason='needs pip install "motionmillion[glb]"')

BLENDER = importlib.util.find_spec("bpy") is not None or shutil.which("blender") is not None


@pytest.mark.skipif(BLENDER, reason="needs a computer without Blender")
def test_without_blender(motion: Motion, tmp_path: Path):
    for write in (check_output, motion.save):
        with pytest.raises(ImportError, match=r"^Blender must be installed to write \.fbx files; .* pip install bpy"):
            write(tmp_path / "wave.fbx")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_of_blender_is_one_line():
    with pytest.raises(ValueError, match="^Blender must export the file, got exit code 3: no armature$"):
        run(["sh", "-c", "echo starting; echo no armature >&2; exit 3"], [])


@pytest.mark.slow
@pytest.mark.skipif(not BLENDER, reason="needs Blender or its package bpy")
def test_with_blender(motion: Motion, tmp_path: Path):
    path = write_fbx([motion, motion.mirror()], tmp_path / "moves.fbx", names="mixamo")
    data = path.read_bytes()
    assert data.startswith(b"Kaydara FBX Binary")
    for word in (b"mixamorig:LeftForeArm", b"AnimationStack", b"Deformer"):
        assert word in data
    # as they are called, without the armature's name in front
    names = set(re.findall(rb"([^\0-\x1f]+)\0\x01AnimStack", data))
    assert names == {b"a person walks", b"a person walks 2"}
    assert b"Icosphere" not in data
    assert [file.name for file in tmp_path.iterdir()] == ["moves.fbx"]


@pytest.mark.slow
@pytest.mark.skipif(not BLENDER, reason="needs Blender or its package bpy")
@pytest.mark.parametrize("body", ["human", "mannequin"])
def test_what_blender_writes_is_read_again(motion: Motion, tmp_path: Path, body: str):
    """Its files hold nodes besides the bones, such as meshes, and bones in an order of their own."""
    pytest.importorskip("ufbx", reason='needs pip install "motionmillion[fbx]"')
    path = write_fbx([motion], tmp_path / "wave.fbx", body=body)
    again = Motion.load(path)
    assert (again.num_frames, again.fps) == (motion.num_frames, motion.fps)
    travelled = float((motion.translation[-1] - motion.translation[0])[[0, 2]].norm())
    assert float((again.translation[-1] - again.translation[0])[[0, 2]].norm()) == pytest.approx(
        travelled, rel=0.1, abs=0.02
    )
