"""`motionmillion generate --path`: points, files, the error that is printed, and mistakes in one line."""

import pytest

from motionmillion.cli.ways import read_path
from motionmillion.kinematics.floor_paths import path_error
from motionmillion.motion import Motion


@pytest.fixture(scope="module")
def model(tiny_dit_pipeline, tmp_path_factory):
    """Folder of a DiT with random weights."""
    return str(tiny_dit_pipeline.save_pretrained(tmp_path_factory.mktemp("dit")))


def test_points_and_files(tmp_path):
    expected = read_path("0,0 1,2 2,2")
    assert expected.points == ((0, 0), (1, 2), (2, 2)) and expected.times is None
    (tmp_path / "path.json").write_text("[[0, 0], [1, 2], [2, 2]]")
    (tmp_path / "path.csv").write_text("x,z\n0,0\n1,2\n\n2,2\n")
    for name in ("path.json", "path.csv"):
        assert read_path(str(tmp_path / name)) == expected
    assert read_path("0,0,0; 2,1,2").times == (0, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("here there", 'path must look like "0,0 1,2 2,2"'),
        ("0,0", "path must be at least two points"),
        ("0,0 1,2,3", "path must be points"),
        ("missing.csv", "path must name an existing file"),
        ("bad.json", "path must be a JSON list of points"),
        ("words.json", 'path must look like "0,0 1,2 2,2"'),
    ],
)
def test_wrong_paths(tmp_path, monkeypatch, text: str, message: str):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "words.json").write_text('["a", "b"]')
    with pytest.raises(ValueError, match=message):
        read_path(text)


def test_the_error_is_printed(run, model, tmp_path):
    out = tmp_path / "walk.npz"
    flags = ("--model", model, "--path", "0,0 0,2 1,3", "--seconds", 2, "--steps", 2)
    code, shown, err = run("generate", "a person walks", *flags, "-o", out)
    assert code == 0 and shown.splitlines() == [str(out)], err
    assert f"{out}: 0.0" in err and "m from the path on average" in err
    assert path_error(Motion.load(out), read_path("0,0 0,2 1,3")).mean < 0.05


def test_mistakes_are_found_before_the_model_is_loaded(run, tmp_path):
    command = ("generate", "a person walks", "-o", tmp_path / "a.npz", "--model", "none")
    for flags, message in (
        (("--path", "0,0 0,40", "--seconds", 3), "which needs 13.3 m/s"),
        (("--path", "0,0"), "path must be at least two points"),
        (("--speed", 20), "speed must be at most 7 m/s"),
    ):
        code, _, err = run(*command, *flags)
        assert code == 2 and message in err and err.count("\n") == 1
    timeline = ("generate", "--timeline", "2: a person walks", "-o", tmp_path / "a.npz", "--model", "none")
    code, _, err = run(*timeline, "--turn", 90)
    assert code == 2 and "turn must come without timeline" in err
