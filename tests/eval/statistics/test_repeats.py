"""Repeats of seeds: the expected R-precision is the mean over shuffles, intervals hold, and every check fires."""

import builtins

import numpy as np
import pytest
import torch

from motionmillion.eval.distribution import frechet_distance, r_precision
from motionmillion.eval.statistics.repeats import Repeats, estimate, expected_precision, joined, summarise

pytest.importorskip("scipy", reason='needs pip install "motionmillion[eval]"')


def points(rows: int, seed: int, noise: float = 1.0) -> torch.Tensor:
    return noise * torch.randn(rows, 6, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("named", [False, True])
def test_the_expected_precision_is_what_shuffles_give_on_average(named):
    text, motion = points(40, 0), points(40, 0) + points(40, 1, 1.2)
    groups = [row // 3 for row in range(40)] if named else None
    found = expected_precision(text, motion, 16, groups)
    drawn = [r_precision(text, motion, 16, seed, groups) for seed in range(1500)]
    for k, own in found.items():
        assert own.shape == (40,) and own.mean() == pytest.approx(np.mean([each[k] for each in drawn]), abs=0.01)
    assert 0.1 < found[1].mean() < found[3].mean() < 0.99


def test_a_batch_of_all_rows_is_the_plain_precision():
    text, motion = points(12, 0), points(12, 0) + points(12, 1)
    found = expected_precision(text, motion, 12)
    assert {k: own.mean() for k, own in found.items()} == pytest.approx(r_precision(text, motion, 12))


def test_equal_motions_are_ties_that_count_against():
    assert expected_precision(points(8, 0), torch.zeros(8, 6), 4)[1].max() < 1e-9


def test_pairs_are_taken_prompt_by_prompt_and_seed_by_seed():
    draws = np.random.default_rng(0)
    shared = draws.normal(size=(3, 30))  # what both arms have in common hides no difference between them
    takes = [str(row // 2) for row in range(30)]
    real = points(30, 9)
    close, far = (torch.stack([real + points(30, seed, size) for seed in range(3)]) for size in (0.1, 2.0))
    arms = {
        "better": Repeats({"score": shared + 0.1 + 0.01 * draws.normal(size=(3, 30))}, close),
        "worse": Repeats({"score": shared}, far),
    }
    found = summarise(arms, [("better", "worse")], real, takes, resamples=50)
    apart = found["differences"]["better - worse"]
    assert apart["score"]["mean"] == pytest.approx(0.1, abs=0.01)
    assert 0.09 < apart["score"]["low"] < apart["score"]["high"] < 0.11
    assert 0.08 < apart["score"]["seeds_low"] < apart["score"]["seeds_high"] < 0.12
    assert found["arms"]["worse"]["score"]["high"] - found["arms"]["worse"]["score"]["low"] > 0.1
    own = found["arms"]["worse"]["frechet_distance"]
    assert own["mean"] == pytest.approx(np.mean([frechet_distance(each, real) for each in far]))
    assert apart["frechet_distance"]["high"] < 0 and apart["frechet_distance"]["seeds_high"] < 0
    assert "frechet_distance" not in summarise(arms, [], None, takes)["arms"]["worse"]


def test_prompts_that_a_measure_says_nothing_about_are_left_out():
    values = np.array([[1.0, np.nan, 3.0], [1.0, np.nan, 5.0]])
    found = estimate(values, ["a", "b", "c"])
    assert found.mean == 2.5 and found.low == 1.0 and found.high == 4.0
    assert found.seeds_low is not None and found.seeds_low < 2.5
    assert estimate(values[:1], ["a", "b", "c"]).seeds_low is None
    with pytest.raises(ValueError, match="values must be numbers for at least one prompt"):
        estimate(values[:, 1:2], ["b"])
    nothing = Repeats({"verb": np.full((1, 2), np.nan)}, points(2, 0)[None])
    assert summarise({"a": nothing}, [], None, ["x", "y"])["arms"]["a"] == {}


def test_joined_repeats_stand_behind_each_other():
    first = Repeats({"a": np.zeros((2, 3))}, torch.zeros(2, 3, 6))
    second = Repeats({"a": np.ones((2, 4))}, torch.ones(2, 4, 6))
    both = joined([first, second])
    assert both.points.shape == (2, 7, 6) and both.values["a"].sum() == 8


@pytest.mark.parametrize(
    ("text", "motion", "batch", "message"),
    [
        (points(4, 0), points(4, 0), 8, "at least 8 rows"),
        (points(8, 0), points(9, 0), 4, "one shape"),
        (points(8, 0), points(8, 0), 1, "batch must be a whole number of at least 2"),
    ],
)
def test_bad_input_is_named(text, motion, batch, message):
    with pytest.raises(ValueError, match=message):
        expected_precision(text, motion, batch)


def test_a_missing_package_is_named(monkeypatch):
    real_import = builtins.__import__

    def without_scipy(name, *args, **kwargs):
        if name == "scipy":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_scipy)
    with pytest.raises(ImportError, match=r'pip install "motionmillion\[eval\]"'):
        expected_precision(points(8, 0), points(8, 0), 4)
