"""Motion from a MotionDiT: the solver's steps with guidance, references, lengths that differ, and frames that are kept.

    features = sample_motion(dit, text, text_mask, frames=[100, 60], seeds=[0, 1], sampling=FlowSampling(steps=50))

Unusual: guidance holds for rows that are told by their text; a reference is followed as it is, as in ViMoGen. Every row
draws its noise on the CPU from its own seed, so it depends on nothing else in the batch.

Letters: B batch, T frames, D feature size, S frames of a reference, R size of its frame, L text length, C text feature size.
"""

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from motionmillion.lm.dit import MotionDiT
from motionmillion.lm.flow import FlowSampling, guide, keep_known, seeded_noise, solve


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
) -> Tensor:
    """Features `[B, T, D]` in physical units, zero behind the end of a row.

    Args:
        frames: of each row.
        seeds: one a row.
        known, keep: normalised features `[B, T, D]`, and which of them stay `[B, T, D]`.
        start: normalised features `[B, T, D]` that `sampling.strength` leaves something of.
    """
    device, longest = dit.device, max(frames)
    noise = pad_sequence(
        [seeded_noise((count, dit.config.motion_dim), [seed], sampling.temperature)[0] for count, seed in zip(frames, seeds)],
        batch_first=True,
    ).to(device)
    there = (torch.arange(longest) < torch.tensor(frames)[:, None]).to(device)
    velocity = Velocities(dit, conditions, there, sampling)
    slopes = velocity if known is None or keep is None else keep_known(velocity, known, keep, noise)
    x = solve(slopes, sampling.start(noise, start), sampling)
    if known is not None and keep is not None:
        x = torch.where(keep, known, x)
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
        words[len(rows) :] = False
        found = self._ask(x, sigma, both, text=told.text[both], text_mask=words)
        return guide(*found.chunk(2), self.sampling.guidance_scale) if guided else found

    def _mixed(self, velocity: Tensor, x: Tensor, sigma: float) -> Tensor:
        """Velocities of the rows with a reference, mixed with those of their text."""
        rows, told = self.by_reference, self.conditions
        assert told.reference is not None and told.reference_share is not None
        mask = None if told.reference_mask is None else told.reference_mask[rows]
        every = torch.ones(len(rows), dtype=torch.bool, device=x.device)
        found = self._ask(
            x, sigma, rows, reference=told.reference[rows], reference_mask=mask, use_reference=every
        )
        return torch.lerp(velocity[rows], found, told.reference_share[rows, None, None].to(found))

    def _ask(self, x: Tensor, sigma: float, rows: Tensor, **conditions: Tensor | None) -> Tensor:
        timestep = torch.full((len(rows),), 1000 * sigma, device=x.device)
        return self.dit(x[rows], timestep, frame_mask=self.there[rows], **conditions).to(x.dtype)
