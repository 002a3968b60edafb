"""Sampling motion from a MotionDiT: guidance, references, rows of different lengths, and inpainting.

    conditions = Conditions(text, text_mask)
    features = sample_motion(dit, conditions, frames=[100, 60], seeds=[0, 1], sampling=FlowSampling(steps=50))

Unusual: guidance applies to text conditions only; a reference is used without guidance, as in ViMoGen. The noise of
every row is drawn on the CPU from its own seed, so a row does not depend on the rest of the batch.

Letters: B batch, T frames, D feature size, S frames of a reference, R size of its frame, L text length, C text feature
size.
"""

import dataclasses
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from motionmillion.lm.dit.model import MotionDiT
from motionmillion.lm.flow import TIMESTEPS, FlowSampling, guide, interpolate, keep_known, solve, solve_around
from motionmillion.progress import progress_bar

_TRUSTED = 0.3
"""Strength at and above which the output of a clean-motion network is used unmixed; see `sample_motion`."""


@dataclasses.dataclass
class Conditions:
    """The conditions of a batch; normalised and on the model's device.

    Args:
        text, text_mask: `[B, L, C]`, `[B, L]`.
        reference, reference_mask: `[B, S, R]`, `[B, S]`; None for no references.
        reference_share: weight of the reference's velocity in each row `[B]`: 0 follows the text alone, 1 the
            reference alone; in between the two velocities are mixed linearly.
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
    """Sample features `[B, T, D]` in physical units, float32, zero after the end of a row.

    Args:
        dit: the transformer, compiled or not.
        frames: length of each row.
        seeds: one per row.
        sampling: with a `strength` below 1 and no `start`, sampling still begins at the first sigma but from pure
            noise, as the released ViMoGen does with 0.7.
        known, keep: normalised features `[B, T, D]`, and a mask of those to keep (inpainting) `[B, T, D]`.
        start: normalised features `[B, T, D]` to start from, noised according to `sampling.strength`.
        rounds: resampling rounds per step for inpainting, see `motionmillion.lm.flow.solve_around`.

    For a model that predicts clean motion, a `strength` below 0.3 returns a mixture of the start and the result: the
    last step ends at the network's output whatever x is, and low noise levels are rarely seen in training, so that
    output lies further from the start than with more noise.

    Raises:
        ValueError: if the number of seeds is not that of the rows, and for `known` without `keep` or vice versa.
    """
    if len(seeds) != len(frames):
        raise ValueError(f"seeds must be one per row, {len(frames)}, got {len(seeds)}")
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
    # valid frames [B, T]
    there = (torch.arange(noise.shape[1]) < torch.tensor(frames)[:, None]).to(dit.device)
    x = sampling.start(noise, start)
    with progress_bar(sampling.evaluations * rounds, "sampling", "steps") as bar:
        velocity = Velocities(dit, conditions, there, sampling, bar.update)
        if known is None or keep is None:
            x = solve(velocity, x, sampling)
        elif rounds != 1:
            x = solve_around(velocity, noise, known, keep, sampling, rounds, draw)
        else:
            # inpainting from a start: kept values begin on their own path from noise to `known`
            x = torch.where(keep, interpolate(known, noise, float(sampling.sigmas[0])), x)
            x = torch.where(keep, known, solve(keep_known(velocity, known, keep, noise), x, sampling))
    if start is not None and dit.config.prediction == "clean" and sampling.strength < _TRUSTED:
        x = torch.lerp(start.to(x), x, sampling.strength / _TRUSTED)
        x = x if known is None or keep is None else torch.where(keep, known, x)
    return dit.denormalize(x) * there[..., None]


class Velocities:
    """The guided velocity of x at a sigma under given conditions; the callable that `solve` needs.

    Args:
        there: frames that are part of each row `[B, T]`.
        advance: called after every evaluation.
    """

    def __init__(
        self,
        dit: MotionDiT,
        conditions: Conditions,
        there: Tensor,
        sampling: FlowSampling,
        advance: Callable[[], object] = lambda: None,
    ) -> None:
        self.dit, self.conditions, self.there, self.sampling, self.advance = dit, conditions, there, sampling, advance
        share = conditions.reference_share
        rows = torch.arange(len(there), device=there.device)
        # rows with a fraction between 0 and 1 are in both groups and evaluated twice
        self.by_text = rows if share is None else rows[share < 1]
        self.by_reference = rows[:0] if share is None else rows[share > 0]

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """The velocity `[B, T, D]` of x `[B, T, D]`."""
        velocity = torch.zeros_like(x)
        if len(self.by_text):
            velocity[self.by_text] = self._text_velocity(x, sigma)
        if len(self.by_reference):
            velocity[self.by_reference] = self._mixed_velocity(velocity, x, sigma)
        self.advance()
        return velocity

    def _text_velocity(self, x: Tensor, sigma: float) -> Tensor:
        """Velocities of the rows that follow their text, guided if the sampling options ask for it."""
        rows, given = self.by_text, self.conditions
        guided = self.sampling.guides_at(sigma)
        # conditional and unconditional rows in one pass
        both = torch.cat([rows, rows]) if guided else rows
        words = given.text_mask[both].clone()
        words[len(rows) :] = False  # the second half is unconditional
        found = self._ask(x, sigma, both, text=given.text[both], text_mask=words)
        return guide(found[: len(rows)], found[len(rows) :], self.sampling.guidance_scale) if guided else found

    def _mixed_velocity(self, velocity: Tensor, x: Tensor, sigma: float) -> Tensor:
        """Velocities of the rows with a reference, mixed with those of their text."""
        rows, given = self.by_reference, self.conditions
        if given.reference is None or given.reference_share is None:
            raise ValueError("reference_share must be 0 for rows without a reference, got more")
        mask = None if given.reference_mask is None else given.reference_mask[rows]
        # a reference of zeros is still used here, since its weight is above 0
        every = torch.ones(len(rows), dtype=torch.bool, device=x.device)
        found = self._ask(x, sigma, rows, reference=given.reference[rows], reference_mask=mask, use_reference=every)
        return torch.lerp(velocity[rows], found, given.reference_share[rows, None, None].to(found))

    def _ask(self, x: Tensor, sigma: float, rows: Tensor, **conditions: Tensor | None) -> Tensor:
        timestep = torch.full((len(rows),), TIMESTEPS * sigma, device=x.device)
        return self.dit(x[rows], timestep, frame_mask=self.there[rows], **conditions).to(x.dtype)
