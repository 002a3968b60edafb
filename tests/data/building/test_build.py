"""Building: the same data set however it is interrupted; faults are counted, and stop nothing unless asked."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from motionmillion.data import synthesize
from motionmillion.data.building.build import build_set
from motionmillion.data.building.rows import windows_of
from motionmillion.data.layouts.base import BuildOptions
from motionmillion.data.shards.motion_table import MotionTable
from tests.data.layouts.test_layouts import faults, features, npy, pack

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Two archives of six motions each, one of them damaged, one too short, one of a wrong shape, one name twice."""
    folder = tmp_path_factory.mktemp("build") / "hub"
    for number in range(2):
        members = {f"{number}/{i}.npy": npy(features(10 * number + i)) for i in range(6)}
        pack(folder / f"motion_272rpr/part{number}.tar.gz", members)
    broken = {"0/6.npy": npy(features(0))[:-10], "0/7.npy": npy(features(0)[:5]), "0/8.npy": npy(np.zeros((60, 5)))}
    nan = features(0).copy()
    nan[7] = np.nan
    broken |= {"0/9.npy": npy(nan), "0/10.npy": npy(features(0) * 9), "1/5.npy": npy(features(3))}
    pack(folder / "motion_272rpr/part2.tar.gz", broken)
    names = [f"{n}/{i}" for n in range(2) for i in range(11)]
    pack(folder / "split.tar.gz", {"split/version1/t2m_60_300/train.txt": "\n".join(names).encode()})
    pack(folder / "texts.tar.gz", {f"texts/{name}.txt": f"caption {name}".encode() for name in names[:4]})
    return folder


@pytest.fixture(scope="module")
def expected(source):
    build_set(source, source.parent / "expected", workers=1, options=BuildOptions(shard_size=4))
    return contents(source.parent / "expected")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".arrow"}


def test_faults_are_counted_and_named(source, expected):
    header = json.loads((source.parent / "expected/dataset.json").read_text())
    assert (
        header["clips"] == 12
        and header["complete"]
        and "trusted" in MotionTable(source.parent / "expected").table(0).column_names
    )
    kinds = header["faults"]
    assert kinds["damaged file"] == kinds["too short"] == kinds["wrong shape"] == kinds["not finite"] == 1
    assert kinds["wrong units"] == kinds["duplicate id"] == 1 and kinds["list entry without motion"] == 10
    named = faults(source.parent / "expected")
    assert ("duplicate id", "1/5") in named and ("not finite", "motion_272rpr/part2.tar.gz!0/9.npy") in named
    table = MotionTable(source.parent / "expected")
    assert sorted(table.column("name")) == sorted(f"{n}/{i}" for n in range(2) for i in range(6))
    assert table.column("quality.jerk").min() > 0


@pytest.mark.slow
def test_workers_and_interruptions_change_nothing(source, expected, tmp_path):
    command = [sys.executable, "-m", "motionmillion.cli", "data", "build", source, "-o", tmp_path / "out"]
    command += ["--workers", "2", "--shard-size", "4"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for attempt in range(3):
        with subprocess.Popen(list(map(str, command)), env=environment, stderr=subprocess.PIPE) as process:
            deadline = time.time() + 60
            while len(list((tmp_path / "out").glob("motions-*"))) <= attempt and time.time() < deadline:
                if process.poll() is not None:
                    break
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
    result = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "12 clips" in result.stderr and "1 faults: not finite" in result.stderr
    assert contents(tmp_path / "out") == expected
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.arrow")}
    build_set(source, tmp_path / "out", workers=1, options=BuildOptions(shard_size=4))  # nothing to do
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.arrow")}
    assert before == after


def test_an_archive_that_is_downloaded_further_is_read_anew(source, expected, tmp_path):
    copy = shutil.copytree(source, tmp_path / "copy")
    part = copy / "motion_272rpr/part1.tar.gz"
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    options = BuildOptions(shard_size=4)
    header = build_set(copy, tmp_path / "out", workers=1, options=options)
    assert header["clips"] < 12 and header["faults"]["archive cut off or damaged"] == 1
    part.write_bytes(whole)
    header = build_set(copy, tmp_path / "out", workers=1, options=options)
    assert header["clips"] == 12 and "archive cut off or damaged" not in header["faults"]
    part.unlink()
    assert (
        build_set(copy, tmp_path / "out", workers=1, options=options)["clips"] == 6
    )  # second clips of a name stay out


def test_a_full_disk_stops_with_one_line_and_can_be_resumed(source, expected, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))  # as a full disk: no file may become larger
    try:
        with pytest.raises(ValueError, match="disk must have room, got none left in .*/out"):
            build_set(source, tmp_path / "out", workers=1, options=BuildOptions(shard_size=4))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    build_set(source, tmp_path / "out", workers=1, options=BuildOptions(shard_size=4))
    assert contents(tmp_path / "out") == expected


def test_strict_stops_at_the_first_fault(source, tmp_path):
    with pytest.raises(ValueError, match="source must be free of faults with --strict, got damaged file: .*0/6.npy"):
        build_set(source, tmp_path / "out", workers=1, options=BuildOptions(strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            dict(options=BuildOptions(only=("nothing*",))),
            "source must hold motions in the layout motionmillion, got none",
        ),
        (dict(layout="x"), "layout must be one of"),
    ],
)
def test_bad_options_are_named(source, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        build_set(source, tmp_path / "out", workers=1, **options)
    with pytest.raises(ValueError, match="cut must be at least 1 seconds, or 0, got 0.7"):
        BuildOptions(cut=0.7)
    with pytest.raises(ValueError, match="source must be an existing folder"):
        build_set(tmp_path / "gone", tmp_path / "out")


def test_only_a_part_first_and_the_rest_later(source, expected, tmp_path):
    first = BuildOptions(only=("*part0*",), shard_size=4)
    assert build_set(source, tmp_path / "out", workers=1, options=first)["clips"] == 6
    assert build_set(source, tmp_path / "out", workers=1, options=BuildOptions(shard_size=4))["clips"] == 12
    assert contents(tmp_path / "out") == expected
    with pytest.raises(ValueError, match="output must be new or of the same run, got .* with a difference in options"):
        build_set(source, tmp_path / "out", workers=1, options=BuildOptions(shard_size=5))


def test_windows_are_equal_and_lose_nothing():
    motion = synthesize("walk", 0, seconds=5)
    assert windows_of(motion, 0) == [motion] and windows_of(motion, 5) == [motion]
    parts = windows_of(motion, 2)
    assert [part.num_frames for part in parts] == [50, 50, 50]


def test_only_takes_single_loose_files(tmp_path):
    for number in range(3):
        folder = tmp_path / "in" / f"part{number}"
        folder.mkdir(parents=True)
        synthesize("walk", number, seconds=2).save(folder / "walk.npz")
    options = BuildOptions(only=("part0/*", "part2/walk.npz"))
    assert build_set(tmp_path / "in", tmp_path / "out", options=options, workers=1)["clips"] == 2
    assert MotionTable(tmp_path / "out").column("file").tolist() == ["part0/walk.npz", "part2/walk.npz"]
    assert build_set(tmp_path / "in", tmp_path / "out", workers=1)["clips"] == 3  # goes on with the rest
