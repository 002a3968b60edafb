"""Tracebacks: on request, and for errors that this package did not raise itself."""

import json

import pytest

from motionmillion.cli.messages import is_known
from motionmillion.training.recipe import load_recipe


@pytest.mark.parametrize("place", [0, 1, 99])
def test_debug_shows_the_traceback_wherever_it_is_given(run, tmp_path, place):
    arguments = ["train", "lm", "--config", str(tmp_path / "nosuch.yaml")]
    code, _, plain = run(*arguments)
    assert code == 2 and "Traceback" not in plain and len(plain.splitlines()) == 1
    arguments.insert(place, "--debug")
    code, _, full = run(*arguments)
    assert code == 2 and full.startswith("Traceback") and full.endswith(plain)


def caught(call, *arguments) -> Exception:
    try:
        call(*arguments)
    except Exception as error:
        return error
    raise AssertionError("no error")


def test_errors_of_other_packages_are_not_known(tmp_path):
    assert is_known(caught(load_recipe, tmp_path / "nosuch.yaml"))
    assert is_known(caught(open, tmp_path / "nosuch"))
    assert not is_known(caught(json.loads, "{"))
    assert not is_known(KeyError("x"))


def test_an_unknown_error_of_a_training_has_its_traceback(run, tmp_path):
    (tmp_path / "origins.json").write_text("{")
    (tmp_path / "recipe.json").write_text("{")
    (tmp_path / "checkpoint-1").mkdir()
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"output: {tmp_path}\ndata: {{synthetic: 3}}\n")
    code, _, said = run("train", "tokenizer", "--config", str(recipe), "--resume")
    assert code == 2 and "Traceback" in said and said.splitlines()[-1].startswith("motionmillion: Expecting")
