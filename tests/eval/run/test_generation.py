"""Motions for a suite: the same after an interruption, never mixed with those of other settings."""

import json

import pytest
import torch

from motionmillion.eval.run.generation import SETTINGS, GenerationOptions, generate_suite
from motionmillion.eval.suites import Prompt, Suite
from motionmillion.motion import Motion
from motionmillion.pipeline.options import RunOptions


@pytest.fixture(scope="module")
def model(tiny_pipeline, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("model")
    tiny_pipeline.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def suite() -> Suite:
    texts = ["a person walks", "jump", "someone waves with both hands", "turn left"]
    seconds = [1.0, None, None, 1.0]
    prompts = [Prompt(f"p{n}", text, "all of them", s) for n, (text, s) in enumerate(zip(texts, seconds, strict=True))]
    return Suite("own", "1", tuple(prompts))


def motions(folder) -> dict[str, torch.Tensor]:
    return {path.name: Motion.load(path).positions() for path in sorted(folder.glob("*.npz"))}


def test_an_interrupted_run_ends_with_the_same_motions(model, suite, tmp_path):
    options = GenerationOptions(seed=3, seconds=0.8, batch_size=3)
    facts = generate_suite(suite, model, tmp_path / "whole", options)
    whole = motions(tmp_path / "whole")
    assert sorted(whole) == ["p0.npz", "p1.npz", "p2.npz", "p3.npz"]
    assert len(whole["p0.npz"]) == 30 and len(whole["p1.npz"]) == 24
    generate_suite(suite, model, tmp_path / "parts", options)
    (tmp_path / "parts" / "p1.npz").unlink()  # as if it had been killed
    (tmp_path / "parts" / "p3.npz").unlink()
    kept = (tmp_path / "parts" / "p0.npz").stat().st_mtime_ns
    assert generate_suite(suite, model, tmp_path / "parts", options) == facts
    assert (tmp_path / "parts" / "p0.npz").stat().st_mtime_ns == kept
    again = motions(tmp_path / "parts")
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert json.loads((tmp_path / "parts" / SETTINGS).read_text()) == facts
    assert facts["seed"] == 3 and facts["suite_sha256"] == suite.sha256 and facts["weights_sha256"]


def test_several_samples_differ_and_the_rest_of_the_suite_changes_none(model, suite, tmp_path):
    options = GenerationOptions(num_samples=2, seconds=0.8)
    generate_suite(suite.only(["p1"]), model, tmp_path / "one", options)
    generate_suite(suite, model, tmp_path / "all", options)
    one, everything = motions(tmp_path / "one"), motions(tmp_path / "all")
    assert sorted(one) == ["p1_0.npz", "p1_1.npz"]
    assert not torch.equal(one["p1_0.npz"], one["p1_1.npz"])
    assert all(torch.equal(one[name], everything[name]) for name in one)


@pytest.mark.parametrize("change", [{"seed": 1}, {"seconds": 0.9}, {"sampling": {"temperature": 0.5}}])
def test_a_folder_of_other_settings_is_refused(model, suite, tmp_path, change):
    one = suite.only(["p1"])
    generate_suite(one, model, tmp_path / "own", GenerationOptions(seconds=0.8))
    name = next(iter(change))
    with pytest.raises(ValueError, match=f"motions made with {name} .*name another folder"):
        generate_suite(one, model, tmp_path / "own", GenerationOptions(**{"seconds": 0.8, **change}))


def test_a_folder_with_other_files_is_refused(model, suite, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="motions of unknown origin"):
        generate_suite(suite, model, tmp_path, GenerationOptions())
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "message"),
    [({"seed": -1}, "seed must be"), ({"num_samples": 0}, "num_samples must be"), ({"seconds": 0}, "seconds must be")],
)
def test_options_that_cannot_be_are_errors(model, suite, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        generate_suite(suite, model, tmp_path / "own", GenerationOptions(**options))


def test_a_folder_says_what_precision_its_motions_have(model, suite, tmp_path):
    one = suite.only(["p1"])
    run = RunOptions({"seconds": 0.8, "temperature": 0.5}, dtype="bfloat16")
    facts = generate_suite(one, model, tmp_path / "own", GenerationOptions.from_run(run))
    assert facts["dtype"] == "bfloat16" and facts["sampling"]["temperature"] == 0.5 and facts["seconds"] == 0.8
    own = {"seconds": 0.8, "sampling": {"temperature": 0.5}}
    with pytest.raises(ValueError, match='motions made with dtype "float32", got "bfloat16"'):
        generate_suite(one, model, tmp_path / "own", GenerationOptions(**own))
    facts = generate_suite(one, model, tmp_path / "plain", GenerationOptions(**own))
    assert "dtype" not in facts  # as in folders of earlier versions
    for wrong, message in (({"min_p": 3}, "min_p must be in"), ({"rounds": 2}, "rounds must be left out for a lang")):
        with pytest.raises(ValueError, match=message):
            generate_suite(one, model, tmp_path / "wrong", GenerationOptions(sampling=wrong))
    assert not (tmp_path / "wrong").exists()
