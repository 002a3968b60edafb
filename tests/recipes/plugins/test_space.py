"""The Space's functions without gradio, its settings, and with gradio its page."""

import html
import re
from pathlib import Path

import pytest
import yaml

from motionmillion.motion import Motion

pytest.importorskip("pygltflib", reason='needs pip install "motionmillion[glb]"')


def matched(pattern: str, text: str, whole: bool = False) -> str:
    """The first group of a pattern that must be there."""
    found = (re.fullmatch if whole else re.search)(pattern, text, re.S)
    assert found is not None, pattern
    return found[1]


FOLDER = Path(__file__).resolve().parents[3] / "recipes" / "space"


@pytest.fixture
def space(recipe, tiny_pipeline, monkeypatch):
    module = recipe("space/app.py", "space_app")
    monkeypatch.setattr(module, "model", lambda: tiny_pipeline)
    return module


def test_the_form_gives_a_player_and_files(space, tiny_pipeline):
    shown, saved = space.make("a person <b>waves", 1.0, 3.0, 2, False, "mannequin")
    page = html.unescape(matched(r'<iframe title="Player" srcdoc="([^"]*)" [^<>]*></iframe>', shown, whole=True))
    assert page.startswith("<!doctype html>") and page.count("a person \\u003cb\\u003ewaves") >= 2
    assert [Path(path).suffix for path in saved] == [".glb", ".bvh", ".npz", ".html"]
    own = tiny_pipeline("a person <b>waves", seconds=1.0, num_samples=2, seed=3)[0]
    assert Motion.load(saved[2]).num_frames == own.num_frames


def test_the_frame_reaches_nothing(space):
    shown, _ = space.make("a person waves", 1.0, 0, 1, True, "mannequin")
    allowed = matched(r'sandbox="([^"]*)"', shown).split()
    assert allowed == ["allow-scripts", "allow-downloads"]  # with allow-same-origin it could read the Space's cookies


@pytest.mark.parametrize(
    "values, problem",
    [
        (("!", 1.0, 0, 1, True, "human"), "prompt must say"),
        (("a person waves", 21.0, 0, 1, True, "human"), "seconds must be above 0 and at most 20"),
        (("a person waves", 1.0, 0, 5, True, "human"), "takes must be 1 to 4"),
        (("a person waves", 1.0, -1, 1, True, "human"), "seed must"),
        (("a person waves", 1.0, 0, 1, True, "robot"), "body must"),
    ],
)
def test_values_out_of_range(space, values, problem):
    with pytest.raises(ValueError, match=problem):
        space.make(*values)


def test_the_settings_are_those_of_a_space():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    settings = yaml.safe_load(matched(r"\A---\n(.*?)\n---\n", text))
    assert settings["sdk"] == "gradio" and (FOLDER / settings["app_file"]).is_file()
    assert re.fullmatch(r"\d+\.\d+\.\d+", settings["sdk_version"]) and f"gradio=={settings['sdk_version']}" in text
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {settings["colorFrom"], settings["colorTo"]} <= colours and len(settings["short_description"]) <= 60
    assert settings["python_version"] in ("3.11", "3.12", "3.13")
    assert (FOLDER / "requirements.txt").read_text().split() == ["motionmillion[demo]"]


def test_the_page_answers(space):
    """Through gradio's own functions, the way a click goes."""
    pytest.importorskip("gradio", reason="needs pip install gradio")
    blocks = space.build()
    starts = [function for function in blocks.fns.values() if function.name == "answer"]
    assert len(starts) == 2 and [len(start.inputs) for start in starts] == [6, 6]
    values = [component.value for component in starts[0].inputs]
    shown, saved = starts[0].fn(*values)
    assert shown.startswith("<iframe") and len(saved) == 4
    import gradio  # pyright: ignore[reportMissingImports]

    with pytest.raises(gradio.Error, match="prompt must say"):
        starts[0].fn("!", *values[1:])
