"""Where values stand in real motion's distribution, against shares counted by hand."""

import json

import numpy as np
import pytest

from motionmillion.eval.statistics.calibration import Calibration

VALUES = np.arange(1000) / 1000


@pytest.fixture(scope="module")
def calibration():
    return Calibration.measure({"even": VALUES.tolist(), "mostly_zero": [0.0] * 60 + list(range(1, 41))}, "counted")


def test_shares_of_an_even_distribution(calibration):
    given = [-1.0, 0.1, 0.5, 0.9, 2.0]
    assert calibration.typical("even", given) == pytest.approx([0, 0.2, 1.0, 0.2, 0], abs=0.01)
    assert calibration.unharmful("even", given) == pytest.approx([1, 1, 1.0, 0.2, 0], abs=0.01)


def test_what_is_typical_depends_on_the_speed():
    speed = np.linspace(0.1, 1.0, 600)
    noise = np.random.default_rng(0).uniform(0.5, 1.5, 600)
    measured = Calibration.measure({"dynamic_degree": speed, "jerk": speed * noise, "jitter_degree": speed}, "made")
    assert measured.typical("jerk", [0.5, 0.5, 0.5], [0.5, 0.2, 1.0]) == pytest.approx([0.95, 0, 0], abs=0.1)
    assert measured.typical("jerk", speed * noise, speed).mean() == pytest.approx(0.5, abs=0.1)
    assert measured.typical("jerk", [0.0, 0.1], [0.0, 0.0])[0] == 0  # slower than all: those of the slowest band
    with pytest.raises(ValueError, match="must be one of jitter_degree, jerk, got 'foot_sliding'"):
        measured.typical("foot_sliding", [0.0], [0.0])


def test_only_what_moves_less_than_nearly_all_is_a_statue(calibration):
    assert calibration.moving("even", [0, 0.001, 0.002, 0.5]) == pytest.approx([0, 0.5, 1, 1], abs=0.05)


def test_real_values_average_as_documented(calibration):
    assert calibration.typical("even", VALUES).mean() == pytest.approx(0.5, abs=0.01)
    assert calibration.unharmful("even", VALUES).mean() == pytest.approx(0.75, abs=0.01)


def test_values_that_many_real_clips_have_count_on_both_sides(calibration):
    assert calibration.typical("mostly_zero", [0.0]) == pytest.approx([1.0])  # 60 % at or below, all at or above
    assert calibration.unharmful("mostly_zero", [0.0, 40.0]) == pytest.approx([1.0, 0.0], abs=0.03)


def test_histogram_holds_every_clip(calibration):
    histogram = calibration.histogram("even", bins=10)
    assert len(histogram["edges"]) == 11 and sum(histogram["reference"]) == pytest.approx(1)
    assert histogram["reference"] == pytest.approx([0.1] * 10, abs=0.02)


def test_saved_and_loaded_it_is_the_same(calibration, tmp_path):
    assert Calibration.load(calibration.save(tmp_path / "real.json")) == calibration


def test_the_bundled_one_knows_all_measures_of_the_suites():
    from motionmillion.eval.scoring import CALIBRATED

    bundled = Calibration.bundled()
    assert set(CALIBRATED) <= set(bundled.quantiles) and bundled.count > 100


@pytest.mark.parametrize(
    ("values", "message"),
    [([1.0] * 19, "20 clips or more.*got 19 of 'speed'"), ([1.0] * 30 + [float("nan")], "must be finite")],
)
def test_what_cannot_be_measured_is_an_error(values, message):
    with pytest.raises(ValueError, match=message):
        Calibration.measure({"speed": values}, "nothing")


@pytest.mark.parametrize(
    "text", ["no JSON", "[]", '{"source": "x"}', json.dumps({"source": "x", "count": 1, "quantiles": {"a": [1]}})]
)
def test_other_files_are_errors(tmp_path, text):
    (tmp_path / "real.json").write_text(text)
    with pytest.raises(ValueError, match="calibration must"):
        Calibration.load(tmp_path / "real.json")


def test_unknown_measures_are_named(calibration):
    with pytest.raises(ValueError, match="must be one of even, mostly_zero, got 'speed'"):
        calibration.typical("speed", [1.0])
