"""Motion from a MotionDiT: the solver's steps with guidance, references, lengths that differ, and kept values.

    conditions = Conditions(text, text_mask)
    features = sample_motion(dit, conditions, frames=[100, 60], seeds=[0, 1], sampling=FlowSampling(steps=50))

Unusual: guidance holds for rows that are told by their text; a reference is followed as it is, as in ViMoGen. Every
row draws its noise on the CPU from its own seed, so it depends on nothing else in the batch.

Letters: B batch, T frames, D feature size, S frames of a reference, R size of its frame, L text length, C text feature
size.
"""

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from motionmillion.lm.dit import MotionDiT
from motionmillion.lm.flow import TIMESTEPS, FlowSampling, guide, interpolate, keep_known, solve, solve_around

_TRUSTED = 0.3
"""Strength from which on a network that predicts clean motion is believed entirely."""


@dataclasses.dataclass
class Conditions:
    """What rows are told by; all of it normalised and on the model's device.

    Args:
        text, text_mask: `[B, L, C]`, `[B, L]`.
        reference, reference_mask: `[B, S, R]`, `[B, S]`; None without any.
        reference_share: for each row `[B]` how much of the velocity follows the reference: 0 follows the text alone, 1
            the reference alone, between them the two velocities are mixed.
    """

    text: Tensor
    text_mask: Tensor
    reference: Tensor | None = None
    reference_mask: Tensor | None = None
    reference_share: Tensor | None = None


@torch.no_grad()
def sample_motion(
    dit: MotionDiT,
    conditions: Conditions,
    frames: Sequence[int],
    seeds: Sequence[int],
    sampling: FlowSampling,
    known: Tensor | None = None,
    keep: Tensor | None = None,
    start: Tensor | None = None,
    rounds: int = 1,
) -> Tensor:
    """Features `[B, T, D]` in physical units, float32, zero behind the end of a row.

    Args:
        dit: the transformer, compiled or not.
        frames: of each row.
        seeds: one a row.
        sampling: where its `strength` is below 1 and there is no `start`, the first step stands at its first sigma all
            the same, with pure noise: what the released ViMoGen does with 0.7.
        known, keep: normalised features `[B, T, D]`, and which of them stay `[B, T, D]`; both or none.
        start: normalised features `[B, T, D]` that `sampling.strength` leaves something of.
        rounds: how often each step is taken where something is kept, see `motionmillion.lm.flow.solve_around`.

    Of a model that predicts clean motion a `strength` below 0.3 gives a mixture of the start and what is made of it:
    whatever x is, its last step ends at the network's output, and with little noise that is seldom trained and further
    from the start than with more.

    Raises:
        ValueError: for another number of seeds than of rows, and `known` without `keep` or the other way round.
    """
    if len(seeds) != len(frames):
        raise ValueError(f"seeds must be one a row, {len(frames)}, got {len(seeds)}")
    if (known is None) != (keep is None):
        missing = "known" if known is None else "keep"
        raise ValueError(f"known and keep must be given together, got no {missing}; give both or none")
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def draw() -> Tensor:
        rows = [
            torch.randn(count, dit.config.motion_dim, generator=own)
            for count, own in zip(frames, generators, strict=True)
        ]
        return sampling.temperature * pad_sequence(rows, batch_first=True).to(dit.device)

    noise = draw()
    there = (torch.arange(noise.shape[1]) < torch.tensor(frames)[:, None]).to(dit.device)
    velocity = Velocities(dit, conditions, there, sampling)
    x = sampling.start(noise, start)
    if known is None or keep is None:
        x = solve(velocity, x, sampling)
    elif rounds != 1:
        x = solve_around(velocity, noise, known, keep, sampling, rounds, draw)
    else:
        x = torch.where(keep, interpolate(known, noise, float(sampling.sigmas[0])), x)
        x = torch.where(keep, known, solve(keep_known(velocity, known, keep, noise), x, sampling))
    if start is not None and dit.config.prediction == "clean" and sampling.strength < _TRUSTED:
        x = torch.lerp(start.to(x), x, sampling.strength / _TRUSTED)
        x = x if known is None or keep is None else torch.where(keep, known, x)
    return dit.denormalize(x) * there[..., None]


class Velocities:
    """The velocity of x at a sigma under conditions, guided; what `solve` asks for."""

    def __init__(self, dit: MotionDiT, conditions: Conditions, there: Tensor, sampling: FlowSampling) -> None:
        self.dit, self.conditions, self.there, self.sampling = dit, conditions, there, sampling
        share = conditions.reference_share
        rows = torch.arange(len(there), device=there.device)
        self.by_text = rows if share is None else rows[share < 1]
        self.by_reference = rows[:0] if share is None else rows[share > 0]

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """The velocity `[B, T, D]` of x `[B, T, D]`."""
        velocity = torch.zeros_like(x)
        if len(self.by_text):
            velocity[self.by_text] = self._told(x, sigma)
        if len(self.by_reference):
            velocity[self.by_reference] = self._mixed(velocity, x, sigma)
        return velocity

    def _told(self, x: Tensor, sigma: float) -> Tensor:
        """Velocities of the rows with a text, guided where the sampling wants it."""
        rows, told = self.by_text, self.conditions
        guided = self.sampling.guides_at(sigma)
        both = torch.cat([rows, rows]) if guided else rows
        words = told.text_mask[both].clone()
        words[len(rows) :] = False  # the second half is told nothing
        found = self._ask(x, sigma, both, text=told.text[both], text_mask=words)
        return guide(found[: len(rows)], found[len(rows) :], self.sampling.guidance_scale) if guided else found

    def _mixed(self, velocity: Tensor, x: Tensor, sigma: float) -> Tensor:
        """Velocities of the rows with a reference, mixed with those of their text."""
        rows, told = self.by_reference, self.conditions
        if told.reference is None or told.reference_share is None:
            raise ValueError("reference_share must be 0 for rows without a reference, got more")
        mask = None if told.reference_mask is None else told.reference_mask[rows]
        every = torch.ones(len(rows), dtype=torch.bool, device=x.device)
        found = self._ask(x, sigma, rows, reference=told.reference[rows], reference_mask=mask, use_reference=every)
        return torch.lerp(velocity[rows], found, told.reference_share[rows, None, None].to(found))

    def _ask(self, x: Tensor, sigma: float, rows: Tensor, **conditions: Tensor | None) -> Tensor:
        timestep = torch.full((len(rows),), TIMESTEPS * sigma, device=x.device)
        return self.dit(x[rows], timestep, frame_mask=self.there[rows], **conditions).to(x.dtype)
