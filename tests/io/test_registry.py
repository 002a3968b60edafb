"""Dispatch by suffix, options, cheap import, and the rule that a failed write leaves nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from motionmillion.io import read_motion, readable_suffixes, writable_suffixes, write_motion
from motionmillion.motion import Motion
from motionmillion.skeleton import Skeleton


def test_suffixes():
    assert {".npz", ".bvh", ".npy"} <= set(readable_suffixes())
    assert {".npz", ".bvh", ".npy", ".html", ".mp4", ".png", ".glb", ".fbx", ".usd"} <= set(writable_suffixes())


@pytest.mark.parametrize("suffix", [".npz", ".bvh", ".npy"])
def test_save_and_load(motion: Motion, tmp_path: Path, suffix: str):
    start = motion.canonicalize()
    again = Motion.load(start.save(tmp_path / f"wave{suffix.upper()}"))
    assert again.fps == motion.fps
    torch.testing.assert_close(again.rotations, start.rotations, atol=1e-4, rtol=0)
    torch.testing.assert_close(again.positions(), start.positions(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["wave.abc", "wave", "wave.html"])
def test_unknown_suffix_to_read(tmp_path: Path, name: str):
    with pytest.raises(ValueError, match=r"path must end in one of \['.npz', '.bvh'.*got '.*wave"):
        read_motion(tmp_path / name)


def test_unknown_suffix_to_write(motion: Motion, tmp_path: Path):
    with pytest.raises(ValueError, match=r"path must end in one of .*'.html'.*got '.*wave\.abc'"):
        write_motion(motion, tmp_path / "wave.abc")
    assert os.listdir(tmp_path) == []


def test_unknown_option(motion: Motion, tmp_path: Path):
    with pytest.raises(
        ValueError, match=r"options for \.bvh must be among \['scale', 'unit', 'names', .*\], got 'colour'"
    ):
        write_motion(motion, tmp_path / "wave.bvh", colour="red")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", [".npz", ".bvh", ".glb", ".npy", ".html", ".mp4", ".png"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_leave_no_file(motion: Motion, tmp_path: Path, suffix: str, value: float):
    motion.translation[20, 1] = value
    with pytest.raises(ValueError, match="translation must be finite, got NaN or infinity in frame 20"):
        motion.save(tmp_path / f"wave{suffix}")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", [".npz", ".bvh", ".glb", ".npy", ".html", ".mp4", ".png"])
def test_a_folder_that_is_a_file_leaves_no_file(motion: Motion, tmp_path: Path, suffix: str):
    (tmp_path / "folder").write_text("not a folder")
    with pytest.raises(ValueError, match="path must lie in a writable folder"):
        motion.slice(0, 2).save(tmp_path / "folder" / f"wave{suffix}")
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_another_joint_count_leaves_no_file(tmp_path: Path, suffix: str):
    skeleton = Skeleton(names=("root", "tip"), parents=(-1, 0), offsets=((0.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
    motion = Motion(torch.eye(3).repeat(3, 2, 1, 1), torch.zeros(3, 3), skeleton=skeleton)
    with pytest.raises(ValueError, match="motion must use the SMPL22 joints, got 2 joints"):
        motion.save(tmp_path / f"tip{suffix}")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", [".bvh", ".glb", ".html", ".png"])
def test_another_skeleton_can_be_written_and_drawn(tmp_path: Path, suffix: str):
    skeleton = Skeleton(names=("root", "tip"), parents=(-1, 0), offsets=((0.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
    motion = Motion(torch.eye(3).repeat(3, 2, 1, 1), torch.zeros(3, 3), skeleton=skeleton)
    assert motion.save(tmp_path / f"tip{suffix}").stat().st_size > 100


def test_import_is_cheap():
    code = "import sys, motionmillion.io; print([m for m in ('torch', 'numpy', 'PIL', 'imageio') if m in sys.modules])"
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=root, timeout=200
    )
    assert result.stdout.strip() == "[]", result.stderr
