"""Sampling of the next latent of each row with a flow head: first END or not, then the flow from noise to the latent.

    sampler = FlowSampler.from_options(lm, {"steps": 10, "guidance_scale": 2.0}, seeds=[0, 1])
    latents = sampler(states, history, forbid_end=False)       # [B, Q], NaN for rows that have ended

Unusual: each row has its own random generator on the CPU, so its samples depend only on its text and its seed.
Guidance acts on the velocities of the head, and on the logits of END as it does on logits of codes.

Letters: B rows, Q latent channels, C width of the transformer.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from motionmillion.lm.config import MotionLMConfig
from motionmillion.lm.flow import FlowMatching, FlowSampling, guide, solve
from motionmillion.lm.generation.sampling import SeededRows, check_fields
from motionmillion.lm.head import OutputHead
from motionmillion.lm.latents.head import FlowHead


class FlowModel(Protocol):
    """What the sampler reads of its model, a `motionmillion.lm.latents.model.MotionFlowLM`."""

    config: MotionLMConfig
    flow: FlowMatching
    flow_head: FlowHead
    lm_head: OutputHead

    @property
    def device(self) -> torch.device: ...

    def next_latents(self, normalised: Tensor, /) -> Tensor:
        """Latents `[B, Q]` in the tokenizer's units."""
        ...


DEFAULT_STEPS = 16
"""Default number of solver steps; see recipes/flow for the effect of more or fewer."""


class FlowSampler(SeededRows):
    """Samples latents; `keep` drops rows that have ended.

    Args:
        lm: the model whose head and statistics are used.
        sampling: steps, solver, guidance and temperature. At temperature 0 the flow starts at zero, and a row ends at
            the median of its end under random sampling.
        seeds: one per row.
    """

    def __init__(self, lm: FlowModel, sampling: FlowSampling, seeds: Sequence[int]) -> None:
        self.lm, self.sampling = lm, sampling
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.times: dict[float, Tensor] = {}  # embeddings of noise levels, by sigma
        self.going_on = torch.ones(len(self.generators), device=lm.device)  # probability of not having ended yet

    @classmethod
    def from_options(
        cls, lm: FlowModel, options: FlowSampling | Mapping[str, Any], seeds: Sequence[int]
    ) -> "FlowSampler":
        """Make a sampler from a `FlowSampling`, or from fields of it; then the default shift is that of training.

        Raises:
            ValueError: for options that apply to codes only, unknown options, and values out of range.
        """
        if not isinstance(options, FlowSampling):
            check_fields(options, continuous=True)
            defaults = dict(steps=DEFAULT_STEPS, shift=lm.flow.shift)
            options = FlowSampling(**{**defaults, **options})
        return cls(lm, options, seeds)

    @property
    def guided(self) -> bool:
        """Whether each row needs an unconditional copy, for guidance."""
        return self.sampling.guided

    reads_history = False

    def __call__(self, states: Tensor, history: Tensor, forbid_end: bool) -> Tensor:
        """Sample latents `[B, Q]`, float32, NaN where a row ends.

        Args:
            states: `[B, C]`; with guidance `[2 B, C]`, the second half without text.
            history: latents so far; has no effect.
            forbid_end: no row may end.
        """
        shape = (self.lm.config.latent_dim,)
        # both are drawn at every step, whatever is used, so that the stream of a seed does not depend on other options
        uniform = torch.stack([torch.rand((), generator=g) for g in self.generators]).to(states.device)
        noise = torch.stack([torch.randn(shape, generator=g) for g in self.generators]).to(states.device)
        ends = self._ends(states, uniform, forbid_end)
        latents = self.lm.next_latents(self._flow(states, noise * self.sampling.temperature))
        return latents.masked_fill(ends[:, None], torch.nan)

    def _ends(self, states: Tensor, uniform: Tensor, forbid_end: bool) -> Tensor:
        """Mask `[B]` of the rows that end here."""
        logits = self.lm.lm_head(states)[:, 0].float()
        if self.guided:
            conditional, unconditional = logits.chunk(2)
            logits = guide(conditional, unconditional, self.sampling.guidance_scale)
        if forbid_end:
            return torch.zeros_like(logits, dtype=torch.bool)
        ending = logits.sigmoid()
        # probability that a random sample would still be running [B]
        self.going_on = self.going_on * (1 - ending)
        return uniform < ending if self.sampling.temperature else self.going_on <= 0.5

    def _flow(self, states: Tensor, noise: Tensor) -> Tensor:
        """Normalised latents `[B, Q]` from noise."""
        head, sampling = self.lm.flow_head, self.sampling
        # [B, W], with guidance [2 B, W]
        read = head.read_state(states.to(head.read_state.weight.dtype))  # once for all steps

        def velocity(x: Tensor, sigma: float) -> Tensor:
            if sigma not in self.times:
                self.times[sigma] = head.times(x.new_full((1,), sigma))
            if not sampling.guides_at(sigma):
                return head.velocity(x, self.times[sigma], read[: len(x)])
            with_text, without = head.velocity(torch.cat([x, x]), self.times[sigma], read).chunk(2)
            return guide(with_text, without, sampling.guidance_scale)

        return solve(velocity, noise, sampling)

    def ended(self, chosen: Tensor) -> Tensor:
        """Mask `[B]` of the latents `[B, Q]` that end their row."""
        return chosen.isnan().any(dim=-1)

    def keep(self, rows: Sequence[int]) -> None:
        super().keep(rows)
        self.going_on = self.going_on[list(rows)]

    @classmethod
    def together(cls, samplers: Sequence[Self]) -> Self:
        made = super().together(samplers)
        made.going_on = torch.cat([sampler.going_on for sampler in samplers])
        return made
