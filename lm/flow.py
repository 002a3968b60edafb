"""Flow matching: straight paths between noise and data, the distribution of training noise, and solvers.

    flow = FlowMatching(shift=5.0)
    draw = flow.draw(clean)                                 # training: noised inputs, targets, weights
    loss = (draw.weight * (velocity - draw.target).square()).mean()

    sampling = FlowSampling(steps=50, guidance_scale=5.0)   # generation
    clean = solve(lambda x, sigma: model(x, 1000 * sigma), noise, sampling)

The path is x(sigma) = (1 - sigma) * clean + sigma * noise with sigma from 1 (noise) to 0. Its velocity, which a
network learns to predict, is noise - clean everywhere. The timestep that networks take is 1000 * sigma.

Unusual: this module is independent of any network; `solve` takes any function of x and sigma.

Letters: B batch, `...` the shape of one sample.

Source: flow matching (arXiv 2210.02747), rectified flow (2209.03003); shift, grid and bell weights of ViMoGen
(2510.26794); logit-normal sampling (2403.03206); guidance interval (2404.07724).
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from motionmillion.configuration import check_number, check_whole

TIMESTEPS = 1000
"""The highest timestep; also the number of steps of the training grid."""

SAMPLINGS = ("grid", "uniform", "logit_normal")
WEIGHTINGS = ("bell", "clean", "none")
SOLVERS = ("euler", "heun", "midpoint")
MAX_GUIDANCE = 100.0

Velocity = Callable[[Tensor, float], Tensor]
"""Velocity `[B, ...]` of x `[B, ...]` at a sigma."""


def shifted(level: Tensor, shift: float) -> Tensor:
    """Sigmas of noise levels u in 0..1: `shift * u / (1 + (shift - 1) * u)`; above 1 it moves towards noise."""
    return shift * level / (1 + (shift - 1) * level)


def sigma_schedule(steps: int, shift: float = 5.0, strength: float = 1.0) -> Tensor:
    """Sigmas `[steps]` at which the solver's steps begin; the last step ends at 0.

    Args:
        strength: noise level to begin at, in 0..1 before the shift; 1 is pure noise.

    Raises:
        ValueError: for fewer than one step, and values out of range.
    """
    check_whole("steps", steps, 1)
    _check_shift(shift)
    check_strength("strength", strength)
    return shifted(torch.linspace(strength, 0.0, steps + 1)[:-1], shift)


@cache
def _bell(shift: float) -> tuple[float, float]:
    """Offset and factor of the bell curve, such that the weights on the grid have a mean of 1."""
    bell = _bell_curve(sigma_schedule(TIMESTEPS, shift) * TIMESTEPS)
    lowest = bell.min()
    return float(lowest), float(TIMESTEPS / (bell - lowest).sum())


def _bell_curve(timestep: Tensor) -> Tensor:
    return torch.exp(-2 * ((timestep - TIMESTEPS / 2) / TIMESTEPS) ** 2)


@dataclasses.dataclass(frozen=True)
class FlowDraw:
    """Training inputs: `x` and `target` `[B, ...]`, `sigma` and `weight` `[B]`."""

    x: Tensor
    target: Tensor
    sigma: Tensor
    weight: Tensor

    @property
    def timestep(self) -> Tensor:
        """`[B]`, 0..1000."""
        return self.sigma * TIMESTEPS


@dataclasses.dataclass(frozen=True)
class FlowMatching:
    """How training noise is sampled and weighted.

    Args:
        sampling: distribution of the noise level before the shift: "grid" is uniform over 1000 steps, as in ViMoGen;
            "uniform" is continuous in 0..1; "logit_normal" has a Gaussian logit.
        shift: above 1, training sees more noise; 1 is off.
        weighting: loss weight of a timestep: "bell" is a bell curve around timestep 500 that is zero at pure noise;
            "clean" is sigma squared, which turns the velocity error into the error of the clean data; "none" is 1.
        logit_mean, logit_std: parameters of "logit_normal".

    Raises:
        ValueError: for unknown names and values out of range.
    """

    sampling: str = "grid"
    shift: float = 5.0
    weighting: str = "bell"
    logit_mean: float = 0.0
    logit_std: float = 1.0

    def __post_init__(self) -> None:
        for name, known in (("sampling", SAMPLINGS), ("weighting", WEIGHTINGS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {known}, got {getattr(self, name)!r}")
        _check_shift(self.shift)
        if not (_is_number(self.logit_mean) and math.isfinite(self.logit_mean)):
            raise ValueError(f"logit_mean must be a finite number, got {self.logit_mean!r}")
        if not check_number("logit_std", self.logit_std) > 0:
            raise ValueError(f"logit_std must be above 0, got {self.logit_std!r}")

    def sigmas(
        self, count: int, device: torch.device | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Random sigmas `[count]`, float32."""
        options = dict(device=device, generator=generator)
        if self.sampling == "grid":
            index = torch.randint(TIMESTEPS, (count,), **options)  # type: ignore[arg-type]
            return sigma_schedule(TIMESTEPS, self.shift).to(index.device)[index]
        if self.sampling == "uniform":
            level = torch.rand(count, **options)  # type: ignore[arg-type]
        else:
            level = (self.logit_mean + self.logit_std * torch.randn(count, **options)).sigmoid()  # type: ignore[arg-type]
        return shifted(level, self.shift)

    def weights(self, sigma: Tensor) -> Tensor:
        """Loss weights at `sigma` `[...]`; for "bell" their mean over the grid is 1."""
        if self.weighting == "none":
            return torch.ones_like(sigma)
        if self.weighting == "clean":
            return sigma.square()
        lowest, factor = _bell(self.shift)
        return (_bell_curve(sigma * TIMESTEPS) - lowest).clamp(min=0) * factor

    def draw(self, clean: Tensor, generator: torch.Generator | None = None) -> FlowDraw:
        """Sample noise and sigmas for clean data `[B, ...]`, on its device."""
        sigma = self.sigmas(clean.shape[0], clean.device, generator)
        noise = torch.randn(clean.shape, device=clean.device, dtype=clean.dtype, generator=generator)
        return FlowDraw(interpolate(clean, noise, sigma), noise - clean, sigma, self.weights(sigma))


def interpolate(clean: Tensor, noise: Tensor, sigma: Tensor | float) -> Tensor:
    """The point at `sigma` (a number, or one per row `[B]`) on the path from `clean` to `noise`, both `[B, ...]`."""
    if isinstance(sigma, Tensor):
        sigma = sigma.view(-1, *[1] * (clean.ndim - 1)).to(clean.dtype)
    return (1 - sigma) * clean + sigma * noise


@dataclasses.dataclass(frozen=True)
class FlowSampling:
    """Options of the solver that integrates a velocity from noise to data.

    Args:
        steps: steps of the solver; more is more accurate.
        solver: "euler" evaluates one velocity per step; "heun" and "midpoint" evaluate two and are of second order.
        shift: of the steps, as in training.
        guidance_scale: classifier-free guidance: 1 is off, more follows the condition more closely. Needs a model
            trained with dropout of the condition.
        guidance_interval: sigmas between which guidance is on; outside it the conditional velocity is used alone.
        strength: how much noise is added to a start, see `start`; 1 ignores the start.
        temperature: scale of the noise; 0 makes the result the same for every seed.

    Raises:
        ValueError: for values out of range.
    """

    steps: int = 50
    solver: str = "euler"
    shift: float = 5.0
    guidance_scale: float = 1.0
    guidance_interval: Sequence[float] = (0.0, 1.0)
    strength: float = 1.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.solver not in SOLVERS:
            raise ValueError(f"solver must be one of {SOLVERS}, got {self.solver!r}")
        if not (_is_number(self.guidance_scale) and 0 <= self.guidance_scale <= MAX_GUIDANCE):
            raise ValueError(f"guidance_scale must be in 0 to {MAX_GUIDANCE:g}, got {self.guidance_scale!r}; 1 is off")
        check_number("temperature", self.temperature)
        interval = self.guidance_interval
        pair = isinstance(interval, Sequence) and len(interval) == 2 and all(map(_is_number, interval))
        if not pair or not 0 <= interval[0] <= interval[1] <= 1:
            raise ValueError(f"guidance_interval must be two rising sigmas in 0..1, got {interval!r}; (0, 1) is all")
        sigma_schedule(self.steps, self.shift, self.strength)

    @property
    def sigmas(self) -> Tensor:
        """Sigmas at which the steps begin `[steps]`."""
        return sigma_schedule(self.steps, self.shift, self.strength)

    @property
    def intervals(self) -> list[tuple[float, float]]:
        """Sigmas at which each step begins and ends."""
        sigmas = [*self.sigmas.tolist(), 0.0]
        return list(zip(sigmas, sigmas[1:], strict=False))

    @property
    def guided(self) -> bool:
        """Whether velocities without the condition are needed."""
        return self.guidance_scale != 1

    @property
    def evaluations(self) -> int:
        """Number of velocity evaluations, not counting those for guidance."""
        return self.steps if self.solver == "euler" else 2 * self.steps - (self.solver == "heun")

    def guides_at(self, sigma: float) -> bool:
        """Whether guidance is on at `sigma`."""
        return self.guided and self.guidance_interval[0] <= sigma <= self.guidance_interval[1]

    def start(self, noise: Tensor, from_: Tensor | None = None) -> Tensor:
        """Starting point of the solver: noise, or `from_` noised according to `strength`, both `[B, ...]`."""
        first = float(self.sigmas[0])
        return noise if from_ is None or first == 1 else interpolate(from_, noise, first)


def solve(velocity: Velocity, x: Tensor, sampling: FlowSampling) -> Tensor:
    """Integrate `velocity` from x `[B, ...]` at the first sigma of `sampling` down to 0; x keeps its dtype."""
    for sigma, after in sampling.intervals:
        x = _advance(velocity, x, sigma, after, sampling.solver)
    return x


def _advance(velocity: Velocity, x: Tensor, sigma: float, after: float, solver: str) -> Tensor:
    """One step of a solver from `sigma` to `after`."""
    step = after - sigma
    slope = velocity(x, sigma)
    if solver == "midpoint":
        slope = velocity(x + step / 2 * slope, sigma + step / 2)
    elif solver == "heun" and after > 0:  # the last step, to 0, is an Euler step
        slope = (slope + velocity(x + step * slope, after)) / 2
    return x + step * slope


def guide(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance (arXiv 2207.12598) of two velocities."""
    return unconditional + scale * (conditional - unconditional)


def keep_known(velocity: Velocity, known: Tensor, keep: Tensor, noise: Tensor) -> Velocity:
    """`velocity`, but values where `keep` is true follow the straight path from `noise` to `known`.

    Solved from `noise`, the kept values end at `known`, and the free ones are generated with both in view. All
    `[B, ...]`, `keep` may broadcast. The free values fit the known ones only approximately, because the network sees
    the known values under noise and early steps are never revisited; `solve_around` revisits them.
    """
    path = noise - known
    return lambda x, sigma: torch.where(keep, path, velocity(x, sigma))


def solve_around(
    velocity: Velocity,
    noise: Tensor,
    known: Tensor,
    keep: Tensor,
    sampling: FlowSampling,
    rounds: int = 1,
    fresh: Callable[[], Tensor] | None = None,
) -> Tensor:
    """Inpainting around `known` values, which stay exact where `keep` is true (RePaint, arXiv 2201.09865).

    Args:
        noise: starting point of the solver `[B, ...]`.
        known, keep: values and a boolean mask of those to keep `[B, ...]`.
        rounds: how often each step is taken; before every repetition, noise is added to return to the step's start.
            More rounds approximate the true conditional distribution better; 1 is `keep_known`.
        fresh: samples that noise, in the shape of `noise`; needed for more than one round.

    Raises:
        ValueError: for fewer than one round, several without `fresh`, and a `strength` below 1.
    """
    check_whole("rounds", rounds, 1)
    if sampling.strength != 1:
        raise ValueError(f"strength must be 1 around known values, got {sampling.strength!r}")
    if rounds == 1:
        return torch.where(keep, known, solve(keep_known(velocity, known, keep, noise), noise, sampling))
    if fresh is None:
        raise ValueError(f"fresh must be given for more than one round, got none for {rounds}")
    x = noise
    for sigma, after in sampling.intervals:
        for left in reversed(range(rounds if after > 0 else 1)):
            x = torch.where(keep, interpolate(known, fresh(), sigma), x)
            x = _advance(velocity, x, sigma, after, sampling.solver)
            if left:  # back to `sigma`: scale and add noise so that the marginal of the path is matched
                scale = (1 - sigma) / (1 - after)
                x = scale * x + math.sqrt(sigma**2 - (scale * after) ** 2) * fresh()
    return torch.where(keep, known, x)


def check_strength(name: str, value: Any) -> float:
    """`value` if it is a number above 0 and at most 1; raises `ValueError` otherwise."""
    if not (_is_number(value) and 0 < value <= 1):
        raise ValueError(f"{name} must be above 0 and at most 1, got {value!r}; 1 is pure noise")
    return float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_shift(shift: float) -> None:
    if not check_number("shift", shift) > 0:
        raise ValueError(f"shift must be above 0, got {shift!r}; 1 is off")
