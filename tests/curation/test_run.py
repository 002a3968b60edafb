"""From a film to clean clips: all stages by command, resumed after kills, with damaged videos beside."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from motionmillion.curation.run import NAMES, curate, stage_options
from motionmillion.motion import Motion

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def curated(filmed, options, tmp_path_factory):
    folder = tmp_path_factory.mktemp("curated")
    return folder, curate([filmed.video], folder, options)


def error(motion: Motion, truth: Motion) -> float:
    """Mean distance of joints, metres, after the turn about the vertical axis and the shift that fit best."""
    own, other = (each.positions().double().numpy().reshape(-1, 3) for each in (motion, truth))
    own, other = own - own.mean(0), other - other.mean(0)
    flat, wanted = (each[:, 0] + 1j * each[:, 2] for each in (own, other))
    turn = np.vdot(flat, wanted)
    flat = flat * turn / abs(turn)
    return float(np.linalg.norm(np.stack([flat.real, own[:, 1], flat.imag], 1) - other, axis=1).mean())


def test_five_shots_give_a_clean_clip_for_each_person(curated, filmed):
    folder, summary = curated
    assert summary.counts["shots"].kept == 5, summary.text()
    assert summary.counts["shots"].dropped["dissolve"] == 1
    assert summary.counts["people"].kept == 6 and not summary.faults
    lines = [json.loads(line) for line in (folder / "clips.jsonl").read_text().splitlines()]
    assert len(lines) == summary.counts["quality"].kept >= 5
    assert {path.name for path in (folder / "clips").iterdir()} == {line["file"] for line in lines}
    for line in lines:
        motion = Motion.load(folder / "clips" / line["file"])
        person, begin, truth = next(
            each
            for each in filmed.film.motions
            if each[0] == line["person"] and each[1] <= line["first"] < each[1] + each[2].num_frames
        )
        part = truth.slice(line["first"] - begin, line["first"] - begin + line["frames"])
        assert motion.num_frames == line["frames"] and error(motion, part) < 0.02


def test_pages_say_what_was_dropped_and_why(curated):
    folder, _ = curated
    for number, name in enumerate(NAMES, 1):
        page = (folder / f"{number}-{name}.html").read_text()
        assert "clips kept of 1 videos" in page and "data:image/jpeg;base64," in page
    assert "<tr><td>dissolve<td>1" in (folder / "1-shots.html").read_text()
    assert (folder / "6-quality_files" / "kept.html").is_file()


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.json*")}


def test_results_are_not_made_again_unless_something_changed(curated, filmed, options):
    folder, _ = curated
    results = sorted(folder.glob("*/*.json"))
    before = [path.stat().st_mtime_ns for path in results]
    curate([filmed.video], folder, options)
    assert [path.stat().st_mtime_ns for path in results] == before
    strict = curate([filmed.video], folder, {**options, "quality": {"jerk": 0.0}})
    changed = [path.parent.name for path, time in zip(results, before, strict=True) if path.stat().st_mtime_ns != time]
    assert changed == ["6-quality"]
    assert strict.counts["quality"].kept == 0 and not list((folder / "clips").glob("*"))
    curate([filmed.video], folder, options)


@pytest.mark.slow
def test_a_run_killed_at_any_moment_resumes(curated, filmed, options, tmp_path):
    whole, _ = curated
    config, out = tmp_path / "config.yaml", tmp_path / "out"
    config.write_text(yaml.safe_dump(options))
    command = [sys.executable, "-m", "motionmillion.cli", "curate", str(filmed.video), "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    for stage in ("1-shots", "5-smpl"):
        process = subprocess.Popen([*command, "--config", str(config)], env=environment, stdout=subprocess.DEVNULL)
        while process.poll() is None and not (out / stage).is_dir():
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    curate([filmed.video], out, options)
    assert content(out) == content(whole)
    assert {path.name for path in (out / "clips").iterdir()} == {path.name for path in (whole / "clips").iterdir()}


def test_damaged_videos_are_named_and_counted(filmed, options, tmp_path, run):
    cut, words = tmp_path / "cut.mp4", tmp_path / "words.mp4"
    cut.write_bytes(filmed.video.read_bytes()[:20000])
    words.write_text("no video")
    shutil.copy(filmed.video, tmp_path / "film.mp4")
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"shots": options["shots"]}))
    code, out, err = run(
        "curate", "shots", tmp_path / "film.mp4", cut, words, "--out", tmp_path / "o", "--config", config
    )
    assert code == 0 and "3 videos, 2 of them cannot be read" in out and "shots: 5 clips kept" in out
    assert "cut.mp4: video must" in err and "words.mp4: video must" in err
    assert json.loads((tmp_path / "o" / "summary.json").read_text())["faults"].keys() == {"cut.mp4", "words.mp4"}
    assert "cut.mp4" in (tmp_path / "o" / "1-shots.html").read_text()


def test_mistakes_are_one_line(filmed, tmp_path, run, capsys):
    for arguments, message in (
        (("--set", "shots.cutt=3"), "did you mean cut?"),
        (("--set", "shot.cut=3"), "did you mean shots?"),
        (("--set", "smpl.estimator=magic"), "estimator must be one of files, command, gvhmr, wham"),
        (("--set", "people.fine=0.1"), "coarse must be at most fine"),
    ):
        code, _, err = run("curate", filmed.video, "--out", tmp_path / "o", *arguments)
        assert code == 2 and message in err and len(err.splitlines()) == 1
    code, _, err = run("curate", tmp_path / "none.mp4", "--out", tmp_path / "o")
    assert code == 2 and "existing file" in err
    with pytest.raises(ValueError, match="last must be one of"):
        stage_options({}, "captions")
    with pytest.raises(ValueError, match="videos must be at least one"):
        curate([], tmp_path / "o")
    capsys.readouterr()
    options = {"people": {"boxes": str(tmp_path)}}
    assert curate([filmed.video, filmed.video], tmp_path / "o", options, last="people").videos == 1
    told = capsys.readouterr().err
    assert "has the content of" in told and "people.boxes: " in told  # a video without boxes is named, too
