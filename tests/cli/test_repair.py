"""The command `motionmillion repair`, and `generate --repair`."""

import re

import pytest

from motionmillion.data import synthesize
from motionmillion.motion import Motion

LINE = r"fixed\.\w+: sliding [\d.]+ -> [\d.]+ of frames, penetration [\d.]+ -> [\d.]+ mm, jerk \d+ -> \d+ m/s\^3"
LINE += "(; no foot ever stands, .*)?"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    walk = synthesize("walk", seed=0, seconds=3)
    walk.replace(translation=walk.translation - 0.05).save("walk.npz")
    return tmp_path


def test_repair_prints_before_and_after(run, folder):
    code, out, err = run("repair", "walk.npz", "-o", "fixed.bvh", "-o", "fixed.npz")
    assert code == 0, err
    assert len(out.splitlines()) == 2 and all(re.fullmatch(LINE, said) for said in out.splitlines()), out
    lowest = [float(Motion.load(name).positions()[..., 1].min()) for name in ("walk.npz", "fixed.npz")]
    assert lowest[0] < -0.03 and lowest[1] > -0.01


def test_every_part_has_a_switch(run, folder):
    off = ("--no-feet", "--no-floor", "--no-jitter", "--no-swing")
    assert run("repair", "walk.npz", "-o", "same.npz", *off)[0] == 0
    same, walk = Motion.load("same.npz"), Motion.load("walk.npz")
    assert (same.positions() - walk.positions()).abs().max() < 1e-4


def test_many_files_go_into_a_folder(run, folder):
    Motion.load("walk.npz").save("other.npz")
    code, out, err = run("repair", "walk.npz", "other.npz", "-o", "made", "--format", "npz")
    assert code == 0 and len(out.splitlines()) == 2, err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["walk.npz"], "output must be named with -o, got none"),
        (["nosuch.bvh", "-o", "x.bvh"], "path must name an existing file, got 'nosuch.bvh'"),
        (["walk.npz", "-o", "x.docx"], "must end in"),
        (["walk.npz", "-o", "x.bvh", "--floor-height", "nan"], "floor_height must be finite, got nan"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(run, folder, words, message):
    code, out, err = run("repair", *words)
    assert code == 2 and out == "" and len(err.strip().splitlines()) == 1 and message in err, err
    assert sorted(path.name for path in folder.iterdir()) == ["walk.npz"]


def test_generated_motions_are_repaired_on_request_only(run, folder, tiny_pipeline):
    model = str(tiny_pipeline.save_pretrained(folder / "model"))
    told = ["generate", "a person walks", "--model", model, "--seconds", "2"]
    assert run(*told, "-o", "plain.npz")[0] == 0
    code, _, err = run(*told, "-o", "fixed.npz", "--repair")
    assert code == 0 and [bool(re.fullmatch(LINE, line)) for line in err.splitlines()].count(True) == 1, err
    plain, fixed = Motion.load("plain.npz"), Motion.load("fixed.npz")
    assert (plain.repaired().positions() - fixed.positions()).abs().max() < 1e-3
    assert (plain.positions() - fixed.positions()).abs().max() > 1e-3
