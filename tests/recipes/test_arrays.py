"""Scripts for arrays of Slurm tasks: their bodies, run here with the variables that Slurm sets, share out the work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from motionmillion.data import synthesize
from motionmillion.data.rewriting import merge_sets

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the scripts are for Linux and macOS")


def task(script: str, number: int, count: int, *arguments: object, first: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the body of a script as one task of an array; `motionmillion` is this checkout's."""
    slurm = {"SLURM_ARRAY_TASK_ID": str(number), "SLURM_ARRAY_TASK_COUNT": str(count)}
    slurm |= {"SLURM_ARRAY_TASK_MIN": str(first), "PYTHONPATH": str(ROOT)}
    command = 'motionmillion() { "$PYTHON" -m motionmillion "$@"; }; exec() { "$@"; }; . "$0"'
    return subprocess.run(
        ["bash", "-c", command, str(ROOT / "recipes" / script), *map(str, arguments)],
        env={**os.environ, **slurm, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_tasks_build_parts_of_one_data_set(tmp_path):
    for number in range(3):
        folder = tmp_path / "in" / f"part{number}"
        folder.mkdir(parents=True)
        synthesize("walk", number, seconds=2).save(folder / "walk.npz")
    (tmp_path / "list.txt").write_text("part0/walk.npz\npart1/walk.npz\npart2/walk.npz")
    for number in (1, 2):
        done = task("data/slurm.sbatch", number, 2, tmp_path / "in", tmp_path / "list.txt", tmp_path / "out", first=1)
        assert done.returncode == 0, done.stderr
    header = merge_sets(sorted((tmp_path / "out").iterdir()), tmp_path / "whole")
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["part-00001", "part-00002"]
    assert header["clips"] == 3


def test_videos_are_shared_out(tmp_path):
    """The command itself is replaced: what counts are the videos and folders that it gets."""
    (tmp_path / "videos.txt").write_text("".join(f"film {number}.mp4\n" for number in range(5)))
    told = []
    for number in range(3):
        slurm = {"SLURM_ARRAY_TASK_ID": str(number), "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "0"}
        command = 'exec() { shift; printf \'%s\\n\' "$@"; }; . "$0"'
        script = ROOT / "recipes/curation/slurm.sbatch"
        out = subprocess.run(
            ["bash", "-c", command, str(script), str(tmp_path / "videos.txt"), "out", "--set", "smpl.folder=results"],
            env={**os.environ, **slurm},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        assert out[out.index("--out") + 1 :] == [f"out/part-0000{number}", "--set", "smpl.folder=results"]
        told += out[1 : out.index("--out")]
    assert sorted(told) == [f"film {number}.mp4" for number in range(5)]


def test_a_task_without_work_ends_well(tmp_path):
    (tmp_path / "videos.txt").write_text("a.mp4\n")
    done = task("curation/slurm.sbatch", 1, 2, tmp_path / "videos.txt", tmp_path / "out")
    assert done.returncode == 0 and "task 1 of 2 has no video" in done.stderr
    assert not (tmp_path / "out").exists() and done.stdout == ""
