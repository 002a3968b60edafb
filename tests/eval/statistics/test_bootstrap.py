"""Bootstrap intervals: they draw takes, cover the mean, shrink with more takes and are the same for the same seed."""

import numpy as np
import pytest

from motionmillion.eval.statistics.bootstrap import bootstrap_intervals


def sample(takes: int, windows: int = 1, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """One measure of takes with `windows` equal clips each: values, weights, names."""
    values = np.random.default_rng(seed).normal(5, 1, takes).repeat(windows)[:, None]
    return values, np.ones(len(values)), [f"take {index // windows}" for index in range(len(values))]


def width(interval: np.ndarray | None) -> float:
    assert interval is not None
    return float(interval[0, 1] - interval[0, 0])


def test_interval_is_that_of_a_naive_bootstrap_and_shrinks():
    for takes in (20, 320):
        values, weights, names = sample(takes)
        interval = bootstrap_intervals(values, weights, names, 4000)
        assert interval is not None and interval.shape == (1, 2)
        assert interval[0, 0] < values.mean() < interval[0, 1]
        generator = np.random.default_rng(1)
        means = [generator.choice(values[:, 0], takes).mean() for _ in range(4000)]
        assert interval[0] == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.1 * width(interval))
    assert width(bootstrap_intervals(*sample(320))) < 0.4 * width(bootstrap_intervals(*sample(20)))


def test_interval_covers_the_true_mean_about_as_often_as_it_says():
    bounds = [bootstrap_intervals(*sample(60, seed=seed), resamples=300) for seed in range(200)]
    hits = [low < 5 < high for low, high in (bound[0] for bound in bounds if bound is not None)]
    assert 0.88 < np.mean(hits) < 0.99


def test_whole_takes_are_drawn():
    single, windows = sample(30), sample(30, windows=25)
    assert bootstrap_intervals(*windows) == pytest.approx(bootstrap_intervals(*single), rel=1e-12)
    as_clips = bootstrap_intervals(windows[0], windows[1], [str(index) for index in range(30 * 25)])
    assert width(as_clips) < 0.3 * width(bootstrap_intervals(*windows))


def test_weights_count_like_repetition():
    values, _, names = sample(12)
    weights = np.arange(1.0, 13)
    repeated = bootstrap_intervals(
        values.repeat(weights.astype(int), axis=0), np.ones(78), list(np.repeat(names, weights.astype(int)))
    )
    assert repeated == pytest.approx(bootstrap_intervals(values, weights, names))


def test_one_take_has_no_interval():
    values, weights, _ = sample(5)
    assert bootstrap_intervals(values, weights, ["the same"] * 5) is None


def test_many_takes_are_drawn_in_blocks():
    values, weights, names = sample(2500)
    assert width(bootstrap_intervals(values, weights, names)) == pytest.approx(2 * 1.96 / 2500**0.5, rel=0.1)


def test_seed_decides():
    first = bootstrap_intervals(*sample(40), seed=3)
    assert np.array_equal(first, bootstrap_intervals(*sample(40), seed=3))  # type: ignore[arg-type]
    assert not np.array_equal(first, bootstrap_intervals(*sample(40), seed=4))  # type: ignore[arg-type]


def test_wrong_arguments_are_refused():
    values, weights, names = sample(5)
    for resamples in (0, -1):
        with pytest.raises(ValueError, match="resamples must be at least 1"):
            bootstrap_intervals(values, weights, names, resamples)
    with pytest.raises(ValueError, match="one entry per clip, got 5, 5 and 4"):
        bootstrap_intervals(values, weights, names[1:])
