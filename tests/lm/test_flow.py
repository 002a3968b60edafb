"""Flow matching on distributions whose velocity, path and samples are known in closed form."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from motionmillion.lm.flow import (
    TIMESTEPS,
    FlowMatching,
    FlowSampling,
    guide,
    interpolate,
    keep_known,
    shifted,
    sigma_schedule,
    solve,
    solve_around,
)

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden" / "vimogen_schedule.safetensors"
MEAN = torch.tensor([0.3, -0.2, 1.0], dtype=torch.float64)
COVARIANCE = torch.tensor([[1.0, 0.8, 0.1], [0.8, 1.5, -0.3], [0.1, -0.3, 0.5]], dtype=torch.float64)


def gaussian_velocity(mean: Tensor, covariance: Tensor):
    """E[noise - clean | x] where clean is Gaussian: what a perfect network would say of x `[B, D]`."""
    one = torch.eye(len(mean), dtype=mean.dtype)

    def velocity(x: Tensor, sigma: float) -> Tensor:
        total = (1 - sigma) ** 2 * covariance + sigma**2 * one
        return (x - (1 - sigma) * mean) @ torch.linalg.solve(total, sigma * one - (1 - sigma) * covariance).T - mean

    return velocity


def exact_flow(noise: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """Where the exact solution takes noise: distances from the mean grow by the root of the covariance."""
    values, vectors = torch.linalg.eigh(covariance)
    return mean + noise @ (vectors * values.sqrt()) @ vectors.T


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.skipif(not GOLDEN.exists(), reason="needs the golden arrays of the upstream projects")
def test_schedule_and_weights_are_the_upstream_ones():
    golden = load_file(GOLDEN)
    for name, sigmas in (
        ("sigmas_50", sigma_schedule(50)),
        ("sigmas_50_strength07", sigma_schedule(50, strength=0.7)),
        ("train_sigmas", sigma_schedule(TIMESTEPS)),
    ):
        assert torch.equal(sigmas, golden[name]), name
        assert torch.equal(sigmas * TIMESTEPS, golden[name.replace("sigmas", "timesteps")])
    weights = FlowMatching().weights(golden["train_sigmas"])
    assert torch.allclose(weights, golden["train_weights"], rtol=0, atol=5e-7)  # exp differs by 2 ulp


def test_schedules_fall_from_noise_to_one_step_before_the_end():
    sigmas = sigma_schedule(10, shift=1.0)
    assert torch.allclose(sigmas, torch.arange(10, 0, -1) / 10)
    assert float(sigma_schedule(10, strength=0.7)[0]) == pytest.approx(5 * 0.7 / (1 + 4 * 0.7))
    u = torch.linspace(0, 1, 11)
    assert torch.equal(shifted(u, 1.0), u)
    assert torch.allclose(shifted(shifted(u, 5.0), 1 / 5), u, atol=1e-6)  # 1 / shift undoes it
    assert FlowSampling(steps=4).intervals[-1][1] == 0.0 and len(FlowSampling(steps=1).intervals) == 1


def test_bell_weights_by_hand():
    flow = FlowMatching()
    sigmas = sigma_schedule(TIMESTEPS)
    bell = [math.exp(-2 * ((float(t) - 500) / 1000) ** 2) for t in sigmas.double() * TIMESTEPS]
    lowest = min(bell)
    factor = len(bell) / sum(value - lowest for value in bell)
    expected = torch.tensor([(value - lowest) * factor for value in bell])
    weights = flow.weights(sigmas)
    assert torch.allclose(weights, expected, atol=1e-5) and float(weights.mean()) == pytest.approx(1)
    published = {0.5: 2.08, 0.7: 1.67, 0.8: 1.21, 0.9: 0.63, 0.95: 0.32, 1.0: 0.0}
    assert flow.weights(torch.tensor(list(published))).tolist() == pytest.approx(list(published.values()), abs=0.006)
    for shift in (0.5, 1.0):  # the least of the bell may lie at either end; never below 0
        assert float(FlowMatching(shift=shift).weights(torch.linspace(0, 1, 99)).min()) >= 0
    clean = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    drawn = FlowMatching(weighting="clean").draw(clean)
    said = drawn.target + 0.1  # a velocity that is wrong by 0.1 leads to clean data that is wrong by 0.1 sigma
    error = (drawn.x - drawn.sigma[:, None] * said - clean).square().mean(1)
    assert torch.allclose(drawn.weight * 0.01, error, atol=1e-5)
    assert torch.equal(FlowMatching(weighting="none").weights(sigmas), torch.ones(TIMESTEPS))


def test_draws_lie_on_straight_paths():
    clean = torch.randn(64, 5, 3, generator=torch.Generator().manual_seed(1))
    drawn = FlowMatching().draw(clean, torch.Generator().manual_seed(2))
    noise = drawn.target + clean
    sigma = drawn.sigma[:, None, None]
    assert torch.allclose(drawn.x, (1 - sigma) * clean + sigma * noise, atol=1e-6)
    assert torch.allclose(drawn.x - sigma * drawn.target, clean, atol=1e-5)  # the velocity leads back to clean
    assert abs(float(noise.mean())) < 0.1 and abs(float(noise.std()) - 1) < 0.1
    assert torch.equal(drawn.timestep, drawn.sigma * 1000)
    assert torch.equal(drawn.weight, FlowMatching().weights(drawn.sigma))
    again = FlowMatching().draw(clean, torch.Generator().manual_seed(2))
    assert torch.equal(drawn.x, again.x) and torch.equal(drawn.sigma, again.sigma)
    half = clean.bfloat16()
    assert FlowMatching().draw(half).x.dtype == torch.bfloat16


@pytest.mark.parametrize("options", [{}, {"sampling": "uniform", "shift": 3.0}, {"sampling": "logit_normal"}])
def test_sigmas_have_the_distribution_that_they_are_named_by(options):
    flow = FlowMatching(logit_mean=0.4, logit_std=0.8, **options)
    sigma = flow.sigmas(20_000, generator=torch.Generator().manual_seed(0)).double()
    share = sigma / (flow.shift - (flow.shift - 1) * sigma)  # the shift undone
    if flow.sampling == "logit_normal":
        share = 0.5 * (1 + torch.erf((share.logit() - 0.4) / (0.8 * math.sqrt(2))))  # its distribution function
    elif flow.sampling == "grid":
        assert len(set(sigma.tolist())) > 990 and set(sigma.float().tolist()) <= set(sigma_schedule(1000).tolist())
        share = share - 0.0005
    distance = (share.sort().values - (torch.arange(20_000) + 0.5) / 20_000).abs().max()
    assert float(distance) < 1.63 / math.sqrt(20_000)  # Kolmogorov and Smirnov, 1 %


def mixture_velocity(x: Tensor, sigma: float) -> Tensor:
    """The same for clean numbers from two Gaussians at -1 and 2, of spread 0.6."""
    centres = torch.tensor([-1.0, 2.0], dtype=x.dtype)
    total = (1 - sigma) ** 2 * 0.36 + sigma**2
    share = torch.softmax(-((x - (1 - sigma) * centres) ** 2) / (2 * total), dim=-1)  # x [B, 1]
    each = (sigma - (1 - sigma) * 0.36) / total * (x - (1 - sigma) * centres) - centres
    return (share * each).sum(-1, keepdim=True)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2), ("midpoint", 2)])
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_solvers_have_their_order(solver, order, shift):
    """In one dimension the exact solution keeps every quantile."""
    normal = torch.distributions.Normal(0.0, 1.0)
    noise = torch.linspace(-2, 2, 41, dtype=torch.float64)[:, None]
    errors = []
    for steps in (80, 160, 320):
        found = solve(mixture_velocity, noise, FlowSampling(steps, solver, shift))
        quantile = 0.5 * (normal.cdf((found + 1) / 0.6) + normal.cdf((found - 2) / 0.6))
        errors.append(float((quantile - normal.cdf(noise)).abs().max()))
    rates = [math.log2(before / after) for before, after in zip(errors, errors[1:], strict=False)]
    assert rates == pytest.approx([order] * 2, abs=0.2), errors


def test_samples_have_mean_and_covariance_of_the_data():
    noise = draw(40_000, 3)
    asked = []

    def velocity(x: Tensor, sigma: float) -> Tensor:
        asked.append(sigma)
        return gaussian_velocity(MEAN, COVARIANCE)(x, sigma)

    for solver, steps in (("heun", 80), ("midpoint", 10), ("euler", 400)):
        sampling = FlowSampling(steps, solver)
        asked.clear()
        found = solve(velocity, noise, sampling)
        assert len(asked) == sampling.evaluations
        assert torch.allclose(found.mean(0), MEAN, atol=0.02)
        assert torch.allclose(found.T.cov(), COVARIANCE, atol=0.04)


def test_one_step_ends_at_the_mean():
    """From pure noise one step of Euler leads every sample to the data's mean: few steps need few-step models."""
    found = solve(gaussian_velocity(MEAN, COVARIANCE), draw(10, 3), FlowSampling(steps=1))
    assert torch.allclose(found, MEAN.expand(10, 3), atol=1e-6)


def test_guidance_moves_a_gaussian_by_its_scale():
    """The guided velocity of two Gaussians of one covariance is that of a third, further along."""
    others = MEAN + torch.tensor([1.0, 0.5, -0.5], dtype=torch.float64)
    told, untold = gaussian_velocity(others, COVARIANCE), gaussian_velocity(MEAN, COVARIANCE)
    sampling = FlowSampling(steps=60, solver="heun", guidance_scale=3.0)

    def velocity(x: Tensor, sigma: float) -> Tensor:
        conditional = told(x, sigma)
        if not sampling.guides_at(sigma):
            return conditional
        return guide(conditional, untold(x, sigma), sampling.guidance_scale)

    noise = draw(200, 3)
    found = solve(velocity, noise, sampling)
    assert torch.allclose(found, exact_flow(noise, MEAN + 3 * (others - MEAN), COVARIANCE), atol=0.02)
    a, b = draw(2, 3), draw(2, 3, seed=1)
    assert torch.equal(guide(a, b, 1.0), b + (a - b)) and torch.equal(guide(a, b, 0.0), b)
    sampling = FlowSampling(steps=60, solver="heun", guidance_scale=3.0, guidance_interval=(0.0, 0.0))
    assert torch.allclose(solve(velocity, noise, sampling), exact_flow(noise, others, COVARIANCE), atol=0.02)


def test_guidance_is_on_within_its_interval_only():
    sampling = FlowSampling(guidance_scale=2.0, guidance_interval=(0.2, 0.8))
    assert [sampling.guides_at(sigma) for sigma in (0.1, 0.2, 0.5, 0.8, 0.9)] == [False, True, True, True, False]
    assert not FlowSampling(guidance_scale=1.0).guides_at(0.5) and not FlowSampling().guided


def test_strength_starts_from_a_noisy_original():
    sampling = FlowSampling(steps=20, solver="heun", strength=0.5, shift=3.0)
    noise, original = draw(100, 3), draw(100, 3, seed=1)
    first = float(sampling.sigmas[0])
    assert first == pytest.approx(0.75)
    assert torch.allclose(sampling.start(noise, original), 0.25 * original + 0.75 * noise)
    assert torch.equal(sampling.start(noise), noise)
    assert torch.equal(FlowSampling().start(noise, original), noise)
    weak = FlowSampling(steps=20, strength=0.01, shift=1.0)
    still = solve(gaussian_velocity(MEAN, COVARIANCE), weak.start(noise, original), weak)
    assert torch.allclose(still, original, atol=0.1)
    assert torch.equal(interpolate(original, noise, torch.zeros(100)), original)


def test_what_is_kept_arrives_and_the_rest_follows_it():
    """Kept values arrive exactly; how far the free one goes to its conditional mean grows with the rounds."""
    covariance = torch.tensor([[1.0, 0.8], [0.8, 1.0]], dtype=torch.float64)
    velocity = gaussian_velocity(torch.zeros(2, dtype=torch.float64), covariance)
    noise, keep = draw(4000, 2), torch.tensor([True, False])
    known = torch.tensor([[2.0, 0.0]], dtype=torch.float64).expand_as(noise)
    sampling = FlowSampling(steps=25, shift=1.0)
    plain = solve(keep_known(velocity, known, keep, noise), noise, sampling)
    assert torch.allclose(plain[:, 0], known[:, 0], atol=1e-9)
    generator = torch.Generator().manual_seed(0)
    reached = []
    for rounds in (1, 4, 16):
        fresh = lambda: torch.randn(noise.shape, generator=generator, dtype=noise.dtype)  # noqa: E731
        found = solve_around(velocity, noise, known, keep, sampling, rounds, fresh)
        assert torch.equal(found[:, 0], known[:, 0])
        reached.append(float(found[:, 1].mean()) / 1.6)  # of the conditional mean 0.8 * 2
        if rounds == 1:
            assert torch.equal(found[:, 1], plain[:, 1])
    assert 0.3 < reached[0] < 0.5 and reached[1] > reached[0] + 0.2 and reached[2] > reached[1] + 0.1
    assert reached[2] > 0.85 and float(found[:, 1].std()) == pytest.approx(0.6, abs=0.1)
    independent = gaussian_velocity(torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
    same = solve(
        keep_known(independent, known, keep, noise), noise, FlowSampling(steps=40, solver="midpoint", shift=1.0)
    )
    assert torch.allclose(same[:, 1], noise[:, 1], atol=1e-3)  # what has nothing to do with it is left alone


def test_rows_are_solved_as_if_alone_and_keep_their_dtype():
    noise = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    velocity = gaussian_velocity(MEAN.float(), COVARIANCE.float())
    sampling = FlowSampling(steps=8, solver="midpoint")
    together = solve(velocity, noise, sampling)
    assert together.dtype == torch.float32
    for row in range(6):
        assert torch.allclose(solve(velocity, noise[row : row + 1], sampling), together[row], atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sigma_schedule(0), "steps must be a whole number of at least 1, got 0"),
        (lambda: sigma_schedule(5, shift=0), "shift must be above 0, got 0; 1 is off"),
        (lambda: sigma_schedule(5, strength=0), "strength must be above 0 and at most 1, got 0"),
        (lambda: FlowSampling(strength=1.5), "strength must be above 0 and at most 1, got 1.5"),
        (lambda: FlowSampling(steps=0), "steps must be a whole number of at least 1, got 0"),
        (lambda: FlowSampling(steps=2.5), "steps must be a whole number"),
        (lambda: FlowSampling(solver="rk4"), "solver must be one of .*euler.*, got 'rk4'"),
        (lambda: FlowSampling(guidance_scale=-1), "guidance_scale must be in 0 to 100, got -1; 1 is off"),
        (lambda: FlowSampling(guidance_scale=101), "guidance_scale must be in 0 to 100, got 101"),
        (lambda: FlowSampling(strength=-1), "strength must be above 0 and at most 1, got -1"),
        (lambda: FlowSampling(guidance_interval=("a", "b")), "guidance_interval must be two rising sigmas"),
        (
            lambda: FlowSampling(guidance_interval="ab"),
            "guidance_interval must be two rising sigmas in 0..1, got 'ab'",
        ),
        (lambda: FlowSampling(temperature=math.nan), "temperature must be a number"),
        (lambda: FlowSampling(guidance_interval=(0.8, 0.2)), "guidance_interval must be two rising sigmas"),
        (lambda: FlowSampling(guidance_interval=(0.8,)), "guidance_interval must be two rising sigmas"),
        (lambda: FlowSampling(guidance_interval=0.5), "guidance_interval must be two rising sigmas"),
        (lambda: FlowMatching(sampling="cosine"), "sampling must be one of"),
        (lambda: FlowMatching(weighting="square"), "weighting must be one of"),
        (lambda: FlowMatching(shift=-1.0), "shift must be"),
        (lambda: FlowMatching(logit_mean=math.inf), "logit_mean must be a finite number, got inf"),
        (lambda: FlowMatching(logit_mean="a"), "logit_mean must be a finite number, got 'a'"),
        (lambda: FlowMatching(logit_std=0), "logit_std must be above 0, got 0"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("sampling", "rounds", "message"),
    [
        (FlowSampling(), 0, "rounds must be a whole number of at least 1"),
        (FlowSampling(), 2, "fresh must be given for more than one round, got none for 2"),
        (FlowSampling(strength=0.5), 1, "strength must be 1 around known values, got 0.5"),
    ],
)
def test_mistakes_around_known_values_are_named(sampling, rounds, message):
    noise = draw(1, 2)
    with pytest.raises(ValueError, match=message):
        solve_around(lambda x, _: x, noise, noise, torch.tensor(True), sampling, rounds)


def test_limits_belong_to_their_ranges():
    assert FlowSampling(guidance_scale=0).guided and FlowSampling(guidance_scale=100).guided
    sampling = FlowSampling(guidance_scale=2.0, guidance_interval=(0.25, 0.75), strength=1, temperature=0)
    assert [sampling.guides_at(sigma) for sigma in (0.2, 0.25, 0.75, 0.8)] == [False, True, True, False]
    assert FlowSampling(guidance_scale=2.0, guidance_interval=(0.5, 0.5)).guides_at(0.5)
