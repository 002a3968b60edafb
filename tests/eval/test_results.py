"""Results in files: what is written is read again, numbers that JSON lacks become null."""

import json
import math

import pytest

from motionmillion.eval.results import EVERYTHING, Estimate, Measure, ResultGroup, Results, SampleResult


@pytest.fixture
def results() -> Results:
    return Results(
        suite="motionmillion-eval",
        system="mini",
        protocol={"suite": {"version": "1.0"}, "seed": 0},
        measures=[Measure("foot_sliding", "foot sliding (m/frame)", "lower", "plausibility", 4)],
        groups=[
            ResultGroup(EVERYTHING, "all", 2, {"foot_sliding": Estimate(0.2, 0.1, 0.3, 2)}),
            ResultGroup("sports", "category", 1, {"foot_sliding": Estimate(0.1)}),
        ],
        samples=[
            SampleResult("sports-01", "Jump!", "sports", "motions/sports-01.npz", 90, 30.0, {"foot_sliding": 0.1})
        ],
        histograms={"foot_sliding": {"edges": [0.0, 1.0], "reference": [1.0]}},
        notes=["A note."],
    )


def test_saved_and_loaded_they_are_the_same(results, tmp_path):
    path = results.save(tmp_path)
    assert path == tmp_path / "results.json"
    assert Results.load(tmp_path) == Results.load(path) == results
    assert results.overall.name == EVERYTHING and results.measure("foot_sliding").better == "lower"


def test_unknown_measures_are_named(results):
    with pytest.raises(ValueError, match="measure must be one of foot_sliding, got 'speed'"):
        results.measure("speed")


def test_numbers_that_json_lacks_are_null(results, tmp_path):
    group = ResultGroup(EVERYTHING, "all", 1, {"foot_sliding": Estimate(math.nan, -math.inf, math.inf)})
    changed = Results(results.suite, results.system, {}, results.measures, [group], [])
    data = json.loads(changed.save(tmp_path).read_text())
    assert data["groups"][0]["values"]["foot_sliding"] == {"mean": None, "low": None, "high": None, "count": 1}


@pytest.mark.parametrize("text", ["{}", "[]", "no JSON", '{"format": 99}'])
def test_other_files_are_errors(tmp_path, text):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ValueError, match="must be a results.json that `motionmillion evaluate` wrote"):
        Results.load(tmp_path)
