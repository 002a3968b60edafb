"""Measures of embeddings: hand-computed cases, naive references, and every check."""

import numpy as np
import pytest
import torch
from torch import Tensor

from motionmillion.eval.distribution import (
    bootstrap,
    diversity,
    frechet_distance,
    matching_distance,
    multimodality,
    r_precision,
    repeated,
)
from motionmillion.eval.results import Estimate


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_covariance(rows: int, covariance: Tensor, mean: Tensor, seed: int) -> Tensor:
    """Rows whose sample mean and covariance are exactly these."""
    x = normal(rows, len(mean), seed=seed)
    x = x - x.mean(0)
    white = x @ torch.linalg.inv(torch.linalg.cholesky(x.T @ x / (rows - 1))).T
    return white @ torch.linalg.cholesky(covariance).T + mean


def test_frechet_distance_of_two_gaussians_by_hand():
    a = with_covariance(50, torch.diag(torch.tensor([4.0, 9.0]).double()), torch.tensor([0.0, 0.0]).double(), 0)
    b = with_covariance(70, torch.diag(torch.tensor([1.0, 16.0]).double()), torch.tensor([3.0, 4.0]).double(), 1)
    # |(3, 4)|^2 + (2 - 1)^2 + (3 - 4)^2
    assert frechet_distance(a, b) == pytest.approx(27, rel=1e-12)
    line = torch.tensor([[0.0], [2.0]])  # variance 2 around 1
    assert frechet_distance(line, torch.tensor([[5.0], [5.0]])) == pytest.approx(16 + 2)


@pytest.mark.parametrize(("first", "second", "size"), [(200, 300, 8), (500, 400, 32), (40, 35, 32)])
def test_frechet_distance_equals_the_published_formula(first, second, size):
    linalg = pytest.importorskip("scipy.linalg", reason='needs pip install "motionmillion[eval]"')
    mix = normal(size, size, seed=9) / size**0.5
    a, b = normal(first, size), normal(second, size, seed=1) @ mix + 0.3
    covariances = [np.cov(x.numpy(), rowvar=False) for x in (a, b)]
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    shift = float((a.mean(0) - b.mean(0)).square().sum())
    expected = shift + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * np.trace(root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-5)


def test_frechet_distance_of_a_set_to_itself_is_zero_and_never_negative():
    for rows, size, scale in ((300, 64, 1.0), (20, 64, 1e4), (2, 5, 1e-4)):
        a = scale * normal(rows, size) + 100 * scale
        spread = float((a - a.mean(0)).square().sum() / (rows - 1))
        assert 0 <= frechet_distance(a, a) < 1e-9 * spread
        assert 0 <= frechet_distance(a, a.flip(0)) < 1e-9 * spread
        assert 0 <= frechet_distance(a.float(), a.float()) < 1e-9 * spread


def test_frechet_distance_holds_for_near_singular_covariances():
    basis = normal(3, 40)
    a, b = normal(100, 3, seed=1) @ basis, normal(80, 3, seed=2) @ (1.1 * basis) + 0.01  # rank 3 in 40 dimensions
    q = torch.linalg.qr(torch.cat([basis, torch.full((1, 40), 0.01).double()]).T).Q  # the space that they span
    inside = frechet_distance(a @ q, b @ q)
    assert frechet_distance(a, b) == pytest.approx(inside, rel=1e-9)
    noise = 1e-9 * normal(100, 40, seed=3)
    assert frechet_distance(a + noise, b) == pytest.approx(inside, rel=1e-4)
    assert frechet_distance(a, a + noise) < 1e-12


def test_frechet_distance_keeps_under_rotation_and_is_symmetric():
    a, b = normal(30, 12), 2 * normal(9, 12, seed=1) + 1
    turn = torch.linalg.qr(normal(12, 12, seed=2)).Q
    assert frechet_distance(a @ turn, b @ turn) == pytest.approx(frechet_distance(a, b), rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-9)
    assert frechet_distance(a, a + 2) == pytest.approx(4 * 12, rel=1e-9)


def naive_r_precision(text: np.ndarray, motion: np.ndarray, batch: int) -> dict[int, float]:
    hits, count = dict.fromkeys((1, 2, 3), 0), 0
    for start in range(0, len(text) - batch + 1, batch):
        for i in range(start, start + batch):
            distances = [np.linalg.norm(text[i] - motion[j]) for j in range(start, start + batch)]
            nearest = np.argsort(distances)
            count += 1
            for k in hits:
                hits[k] += i - start in nearest[:k]
    return {k: hits[k] / count for k in hits}


@pytest.mark.parametrize("rows", [96, 70, 40])
def test_r_precision_equals_a_naive_loop_and_drops_the_last_batch(rows):
    motion = normal(rows, 6)
    text = motion + 1.2 * normal(rows, 6, seed=1)
    expected = naive_r_precision(text.numpy(), motion.numpy(), 32)
    assert r_precision(text, motion) == expected and 0 < expected[1] < expected[3] < 1
    whole = rows // 32 * 32
    assert r_precision(text[:whole], motion[:whole]) == expected
    assert r_precision(text, motion, batch=8) == naive_r_precision(text.numpy(), motion.numpy(), 8)


def test_r_precision_by_hand():
    motion = torch.tensor([[0.0], [1.0], [10.0], [20.0]])
    text = torch.tensor([[0.9], [1.0], [20.0], [19.0]])  # ranks 2, 1, 2, 1
    assert r_precision(text, motion, batch=4) == {1: 0.5, 2: 1.0, 3: 1.0}
    assert r_precision(motion, text, batch=4) == {1: 0.5, 2: 0.75, 3: 0.75}  # the other way round: 1, 1, 4, 2


def test_ties_count_against():
    assert r_precision(torch.zeros(64, 4), torch.zeros(64, 4)) == {1: 0, 2: 0, 3: 0}
    motion = normal(16, 200).repeat_interleave(2, dim=0)  # every motion twice
    assert r_precision(motion.float(), motion.float()) == {1: 0, 2: 1, 3: 1}


def test_rows_of_one_group_are_not_counted_against_each_other():
    motion = normal(16, 20).repeat_interleave(2, dim=0)
    names = [f"text {row // 2}" for row in range(32)]
    assert r_precision(motion, motion, groups=names) == {1: 1, 2: 1, 3: 1}
    assert r_precision(motion, motion, groups=torch.arange(32) // 2) == {1: 1, 2: 1, 3: 1}
    assert r_precision(motion, motion, groups=torch.arange(32)) == r_precision(motion, motion)
    text = normal(32, 20, seed=3)
    assert r_precision(text, motion, groups=["all"] * 32) == {1: 1, 2: 1, 3: 1}


def test_unrelated_texts_fall_to_chance_and_the_seed_shuffles():
    text, motion = normal(3200, 8), normal(3200, 8, seed=1)
    shares = r_precision(text, motion)
    assert all(shares[k] == pytest.approx(k / 32, abs=0.015) for k in (1, 2, 3))
    assert r_precision(text, motion, seed=0) == r_precision(text, motion, seed=0) != shares
    assert r_precision(text, motion, seed=0) != r_precision(text, motion, seed=1)
    assert r_precision(text, text, seed=5) == {1: 1, 2: 1, 3: 1}  # rows stay together


def test_matching_distance_by_hand():
    text, motion = torch.zeros(2, 2), torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    assert matching_distance(text, motion) == 3


def test_diversity_is_the_mean_distance_of_random_pairs():
    motion = normal(2000, 10)
    distance = torch.cdist(motion, motion)
    assert diversity(motion, pairs=2000) == pytest.approx(float(distance.mean()), rel=0.03)
    assert diversity(3 * motion + 7) == pytest.approx(3 * diversity(motion))
    assert diversity(motion, seed=1) == diversity(motion, seed=1) != diversity(motion, seed=2)
    assert diversity(torch.ones(300, 3)) == 0


def test_multimodality_stays_inside_prompts():
    prompts = 100 * normal(40, 1, 6)  # far apart, which does not count
    inside = normal(40, 30, 6, seed=1)
    value = multimodality(prompts + inside, pairs=30)
    assert value == pytest.approx(float(torch.cdist(inside, inside).mean()), rel=0.1)
    assert multimodality(prompts.expand(40, 10, 6)) == 0
    two = torch.tensor([[[0.0], [2.0]], [[5.0], [9.0]]])
    assert multimodality(two, pairs=1, seed=1) in (0, 3) and multimodality(two, pairs=2) in (0, 3)


def test_repeats_count_seeds_up_and_give_the_published_interval():
    seeds: list[int] = []

    def measure(seed: int) -> float:
        seeds.append(seed)
        return float(seed % 3)

    estimate = repeated(measure, repeats=6, seed=3)
    assert seeds == [3, 4, 5, 6, 7, 8] and estimate.mean == 1 and estimate.count == 6
    half = 1.96 * np.std([0, 1, 2, 0, 1, 2], ddof=1) / 6**0.5
    assert (estimate.low, estimate.high) == (pytest.approx(1 - half), pytest.approx(1 + half))
    assert repeated(measure, repeats=1, seed=2) == Estimate(2.0)


def test_repeats_of_several_figures_keep_their_names():
    text, motion = normal(200, 4), normal(200, 4, seed=1)
    shares = repeated(lambda seed: r_precision(text, motion, seed=seed), repeats=5)
    assert list(shares) == [1, 2, 3]
    values = [r_precision(text, motion, seed=seed)[2] for seed in range(5)]
    assert shares[2].mean == pytest.approx(np.mean(values))
    half = 1.96 * np.std(values, ddof=1) / 5**0.5
    assert half > 0 and shares[2].high == pytest.approx(np.mean(values) + half)


def test_bootstrap_of_a_mean_is_that_of_whole_takes():
    value = normal(40, 1, seed=2).repeat_interleave(5, dim=0)[:, 0]
    takes = [f"take {row // 5}" for row in range(200)]

    def mean(rows: Tensor) -> float:
        assert len(rows) == 200
        return float(value[rows].mean())

    estimate = bootstrap(mean, takes, resamples=1000)
    assert estimate.mean == pytest.approx(float(value.mean())) and estimate.count == 200
    half = 1.96 * float(value.std()) / 40**0.5
    assert estimate.low == pytest.approx(estimate.mean - half, abs=0.25 * half)
    assert estimate.high == pytest.approx(estimate.mean + half, abs=0.25 * half)
    assert bootstrap(mean, takes, resamples=20, seed=4) == bootstrap(mean, takes, resamples=20, seed=4)
    assert bootstrap(mean, ["one"] * 200) == Estimate(float(value.mean()), count=200)


def test_bootstrap_lies_around_a_biased_measure():
    a, b = normal(150, 20), normal(150, 20, seed=1)
    takes = [str(row // 3) for row in range(150)]
    estimate = bootstrap(lambda rows: frechet_distance(a[rows], b), takes, resamples=60)
    assert estimate.mean == frechet_distance(a, b)
    assert estimate.low is not None and estimate.high is not None
    assert estimate.low < estimate.mean < estimate.high  # single resamples all lie above the figure
    drawn = bootstrap(lambda rows: {"same": 1.0, "wide": float(rows[0])}, takes, resamples=30, bounds=(0, 10))
    assert drawn["same"] == Estimate(1.0, 1.0, 1.0, 150) and drawn["wide"].high == 10


def test_bootstrap_of_r_precision_forgives_rows_that_were_drawn_twice():
    text = normal(64, 16)
    takes = [str(row // 2) for row in range(64)]
    fair = bootstrap(lambda rows: r_precision(text[rows], text[rows], groups=rows), takes, 20, bounds=(0, 1))
    assert all(estimate == Estimate(1.0, 1.0, 1.0, 64) for estimate in fair.values())


NAN = torch.tensor([[0.0, 1.0], [float("nan"), 0.0], [1.0, float("inf")]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: frechet_distance(torch.zeros(1, 4), torch.zeros(5, 4)), "a must have at least 2 rows.*got 1"),
        (lambda: frechet_distance(torch.zeros(5, 4), torch.zeros(1, 4)), "b must have at least 2 rows.*got 1"),
        (lambda: frechet_distance(torch.zeros(5, 4), torch.zeros(5, 3)), "one size, got 4 and 3"),
        (lambda: frechet_distance(NAN, NAN), r"a must be finite, got NaN or infinity in row 1 \(2 of 3 rows\)"),
        (lambda: frechet_distance(torch.zeros(5), torch.zeros(5)), r"a must have shape \[N, E\], got \(5,\)"),
        (lambda: frechet_distance(torch.zeros(5, 0), torch.zeros(5, 0)), r"\[N, E\], got \(5, 0\)"),
        (lambda: r_precision(torch.zeros(31, 4), torch.zeros(31, 4)), "at least 32 rows for one batch of 32, got 31"),
        (lambda: r_precision(torch.zeros(40, 4), torch.zeros(39, 4)), r"one shape.*\(40, 4\) and \(39, 4\)"),
        (lambda: r_precision(torch.zeros(4, 4), torch.zeros(4, 4), batch=1), "batch must be a whole number"),
        (lambda: r_precision(torch.zeros(4, 4), torch.zeros(4, 4), 2, groups=["a"]), "groups must.*got 1 for 4 rows"),
        (lambda: matching_distance(torch.zeros(3, 2), NAN), "motion must be finite"),
        (lambda: matching_distance(torch.zeros(0, 2), torch.zeros(0, 2)), "text must have at least 1 rows"),
        (lambda: diversity(torch.zeros(299, 4)), "at least 300 rows for 300 pairs, got 299; .*pass pairs=299"),
        (lambda: diversity(torch.zeros(3, 4), pairs=0), "pairs must be a whole number of at least 1"),
        (lambda: multimodality(torch.zeros(4, 9, 3)), "of a prompt for 10 pairs, got 9; .*pass pairs=9"),
        (lambda: multimodality(torch.zeros(4, 9)), r"\[P, S, E\], got \(4, 9\)"),
        (lambda: multimodality(torch.zeros(4, 9, 2), pairs=0), "pairs must be a whole number"),
        (lambda: multimodality(NAN[None], pairs=2), "motion must be finite"),
        (lambda: repeated(lambda seed: 0.0, repeats=0), "repeats must be a whole number of at least 1"),
        (lambda: bootstrap(lambda rows: 0.0, ["a", "b"], resamples=0), "resamples must be at least 1"),
        (lambda: bootstrap(lambda rows: 0.0, []), "takes must name the recording of at least one row"),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
