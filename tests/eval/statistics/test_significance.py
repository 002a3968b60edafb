"""Tests of significance against numbers by hand, against scipy, and under the null hypothesis."""

from collections import defaultdict

import numpy as np
import pytest

from motionmillion.eval.statistics.significance import equal_votes, holm, krippendorff_alpha, sign_flip_test, sign_test


def test_sign_flips_by_hand():
    # Sums of +-1 +-2 +-3: 6 4 2 0 0 -2 -4 -6; as far from zero as 6: two of eight; as 4 (1 against 2 + 3): four.
    assert sign_flip_test(np.array([1.0, 2, 3])) == 0.25
    assert sign_flip_test(np.array([-1.0, 2, 3])) == 0.5
    assert sign_flip_test(np.zeros(5)) == 1.0
    assert sign_flip_test(np.array([0.1] * 16)) == 2 / 2**16  # equal sums count, whatever their rounding


def test_sign_flips_agree_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(0).normal(0.3, 1, 40)
    known = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=20000, rng=np.random.default_rng(1)
    ).pvalue
    assert sign_flip_test(values, 20000, 2) == pytest.approx(known, abs=0.01)


def test_sign_flips_keep_their_level_and_their_seed():
    generator = np.random.default_rng(0)
    found = [sign_flip_test(generator.normal(size=20), 500, seed) for seed in range(300)]
    assert 0.02 < np.mean(np.array(found) < 0.05) < 0.09
    values = generator.normal(size=30)
    assert sign_flip_test(values, 100, 3) == sign_flip_test(1000 * values, 100, 3)
    assert sign_flip_test(np.full(30, 2.0), 100) == 1 / 101  # never zero


@pytest.mark.parametrize(
    ("values", "message"), [([1.0], "at least two numbers"), ([1.0, float("nan")], "finite, got NaN")]
)
def test_differences_that_cannot_be_tested(values: list, message: str):
    with pytest.raises(ValueError, match=message):
        sign_flip_test(np.array(values))


def test_sign_test():
    assert sign_test(5, 0) == 2 / 32
    assert sign_test(8, 2) == 2 * (1 + 10 + 45) / 1024
    assert sign_test(3, 3) == sign_test(0, 0) == 1.0
    assert sign_test(2, 8) == sign_test(8, 2)
    stats = pytest.importorskip("scipy.stats")
    assert sign_test(310, 240) == pytest.approx(stats.binomtest(310, 550).pvalue)


def test_holm():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


def test_alpha_of_the_published_example():
    # Krippendorff (2011), part C: four observers, twelve units, nominal alpha 0.743.
    rows = ["12332141 2...".replace(" ", ""), "1233224125.3", ".3332342251.", "12332441251."]
    units = defaultdict(list)
    for row in rows:
        for unit, value in enumerate(row):
            if value != ".":
                units[unit].append(value)
    assert krippendorff_alpha(list(units.values())) == pytest.approx(0.743, abs=5e-4)


def test_agreement_at_its_ends():
    assert krippendorff_alpha([["a", "a"], ["b", "b"]]) == 1
    assert krippendorff_alpha([["a", "b"], ["a", "b"]]) == pytest.approx(-0.5)
    assert krippendorff_alpha([["a", "a"]]) is None and krippendorff_alpha([["a"], ["b"]]) is None
    assert equal_votes([["a", "a", "b"], ["b"]]) == pytest.approx(1 / 3)
    assert equal_votes([["a"]]) is None
    votes = np.random.default_rng(0).integers(0, 3, (3000, 3)).tolist()
    assert krippendorff_alpha(votes) == pytest.approx(0, abs=0.03)
