"""MotionFlowLM: the motion language model over continuous latents, with a flow-matching head.

    config = MotionLMConfig.from_name("mini", head="flow", codebook_size=0, latent_dim=16, text_dim=384)
    lm = MotionLM(config)                              # a MotionFlowLM, because of the head
    lm.set_statistics(mean, std)                       # of the training latents, each [Q]
    output = lm(latents, text_features, text_mask, labels=latents)
    latents = lm.generate(text_features=features, text_mask=mask, max_new_tokens=75, steps=10, seeds=[0])

Text, masks, positions, packing and caches are those of `MotionLM`. The state of each position conditions a small flow
network (`motionmillion.lm.latents.head`) that maps noise to the next latent, and predicts the probability that the
motion ends there. Inputs and outputs are in the tokenizer's own units; mean and standard deviation are buffers.

Unusual: NaN marks padding in a sequence of latents, as PAD does among codes, and +inf marks END in labels.

Letters: B batch, L text length, N latents, Q latent channels, C width, M counted positions, P prefix.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.cache_utils import Cache

from motionmillion.checkpoints import ExactStatistics
from motionmillion.lm.flow import FlowDraw
from motionmillion.lm.generation.protocol import StepEnds
from motionmillion.lm.latents.head import FlowHead, HeadLinear
from motionmillion.lm.latents.sampler import FlowSampler
from motionmillion.lm.model import MotionLM
from motionmillion.lm.output import MotionLMOutput

END = torch.inf
"""Label at the end of a motion."""

NOTHING = torch.nan
"""Padding of latents."""

_JUDGING_DRAWS = 32  # noise samples in `row_losses`


class MotionFlowLM(ExactStatistics, MotionLM, of=("head", "flow")):
    """Text-conditioned model of sequences of latents; see `MotionLMConfig`."""

    main_input_name = "latents"
    prefix_name = "prefix_latents"
    _statistics = ("latent_mean", "latent_std")

    latent_mean: Tensor
    latent_std: Tensor

    def add_parts(self) -> None:
        config = self.config
        self.read_latents = nn.Linear(config.latent_dim, config.hidden_size)
        self.flow_head = FlowHead(config.latent_dim, config.hidden_size, config.head_width, config.flow_layers)
        self.flow = config.flow_matching
        self.register_buffer("latent_mean", torch.zeros(config.latent_dim))
        self.register_buffer("latent_std", torch.ones(config.latent_dim))

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, HeadLinear):
            module.fresh()
        else:
            super()._init_weights(module)

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Set mean and standard deviation `[Q]` to those of the training latents.

        Raises:
            ValueError: for a wrong number of channels, and standard deviations that are not positive.
        """
        for name, value in (("mean", mean), ("std", std)):
            if value.shape != self.latent_mean.shape or not bool(value.isfinite().all()):
                raise ValueError(
                    f"{name} must be {self.config.latent_dim} finite values, got {value.tolist()!r}; take them from "
                    "the latents of this model's tokenizer"
                )
        if not bool((std > 0).all()):
            raise ValueError(f"std must be above 0 in every channel, got {std.tolist()!r}")
        self.latent_mean.copy_(mean)
        self.latent_std.copy_(std)

    def forward(  # type: ignore[override]
        self,
        latents: Tensor,
        text_features: Tensor | None = None,
        text_mask: Tensor | None = None,
        labels: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool = False,
        text_segments: Tensor | None = None,
        segments: Tensor | None = None,
        return_logits: bool | None = None,
        logits_to_keep: int = 0,
        generator: torch.Generator | None = None,
    ) -> MotionLMOutput:
        """States that the head reads, logits of END, and the loss if `labels` are given.

        Args:
            latents: `[B, N, Q]`, NaN for padding; N may be 0.
            labels: latents to predict `[B, N, Q]`, usually `latents`; +inf for END, NaN is ignored.
            generator: random generator for the noise of the loss, on the model's device; None for torch's global one.
            return_logits: has no effect, since states and logits of END are small.
            text_features, text_mask, attention_mask, text_segments, segments, logits_to_keep: as in `MotionLM`.

        Returns:
            states `[B, N + 1, C]`, logits of END `[B, N + 1, 1]` (packed or cached: N), the cache, and with labels the
            loss, its parts "flow" and "end", and the losses of single positions.

        Raises:
            ValueError: for shapes that do not match.
        """
        hidden, cache = self.hidden_states(
            *(latents, text_features, text_mask, attention_mask, past_key_values, use_cache),
            *(text_segments, segments),
        )
        kept = hidden[:, -logits_to_keep:]
        output = MotionLMOutput(logits=self.lm_head(kept), states=kept, past_key_values=cache)
        if labels is None:
            return output
        flow, end = self._flow_losses(hidden, labels, generator), self._end_losses(hidden, labels)
        means = {"flow": flow.sum() / max(flow.numel(), 1), "end": end.sum() / max(end.numel(), 1)}
        output.parts = {"flow": means["flow"], "end": self.config.end_weight * means["end"]}
        output.loss = output.parts["flow"] + output.parts["end"]  # type: ignore[assignment]
        output.losses, output.token_losses, output.end_losses = means, flow.detach(), end.detach()
        return output

    def _flow_losses(self, hidden: Tensor, labels: Tensor, generator: torch.Generator | None) -> Tensor:
        """Mean squared error of the velocity `[M]` at each latent to predict, averaged over `flow_draws` samples."""
        if labels.ndim != 3 or not 0 <= hidden.shape[1] - labels.shape[1] <= 1:
            raise ValueError(f"labels must be as many as latents, {hidden.shape[1] - 1}, got {labels.shape[1]}")
        counted, draws = self.valid_motion(labels), self.config.flow_draws
        # the transformer runs once, the small head once per noise sample
        states = hidden[:, : labels.shape[1]][counted].repeat_interleave(draws, dim=0)  # [M * draws, C]
        clean = self._normalised(labels[counted]).repeat_interleave(draws, dim=0)
        return self._draw_losses(self.flow.draw(clean, generator), states).view(-1, draws).mean(dim=1)

    def _draw_losses(self, draw: FlowDraw, states: Tensor) -> Tensor:
        error = (self.flow_head(draw.x, draw.sigma, states) - draw.target).square()
        return draw.weight * error.mean(dim=-1)

    def _end_losses(self, hidden: Tensor, labels: Tensor) -> Tensor:
        """Binary cross entropy `[M']` of END at every position where a motion continues or ends."""
        # positions with a latent continue, positions labelled END stop; padding is ignored
        ends, counted = self._ends(labels)
        logits = self.lm_head(hidden[:, : labels.shape[1]][counted])[:, 0].float()
        return F.binary_cross_entropy_with_logits(logits, ends[counted].float(), reduction="none")

    def _ends(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Masks `[B, N]` of END, and of every position where the motion continues or ends."""
        ends = labels.isposinf().all(dim=-1)
        return ends, ends | self.valid_motion(labels)

    def loss_counts(self, labels: Tensor, **_: Any) -> dict[str, Tensor]:
        """Numbers of positions over which `forward` takes the means of its two losses."""
        return {"flow": self.valid_motion(labels).sum(), "end": self._ends(labels)[1].sum()}

    def row_losses(self, motion: Tensor, features: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
        """Flow loss `[B]` of each row's labels, the same number in each row, with the same noise in all rows."""
        rows = motion.shape[0]
        hidden, _ = self.hidden_states(motion, features, mask)
        counted = self.valid_motion(labels)
        states = hidden[:, : labels.shape[1]][counted].view(rows, -1, hidden.shape[2])  # [B, m, C]
        clean = self._normalised(labels[counted]).view(rows, -1, labels.shape[2])
        total = torch.zeros(rows, device=hidden.device)
        generator = torch.Generator().manual_seed(0)
        for _ in range(_JUDGING_DRAWS):
            # common random numbers: rows are compared under the same noise and sigmas
            noise = torch.randn(clean.shape[1:], generator=generator).to(clean).expand_as(clean)
            sigma = self.flow.sigmas(clean.shape[1], generator=generator).to(clean).repeat(rows)  # [B * m]
            flat, noise = clean.flatten(0, 1), noise.flatten(0, 1)
            draw = FlowDraw(flat + sigma[:, None] * (noise - flat), noise - flat, sigma, self.flow.weights(sigma))
            total += self._draw_losses(draw, states.flatten(0, 1)).view(rows, -1).sum(dim=1)
        return total / _JUDGING_DRAWS

    @property
    def blank(self) -> float:
        return NOTHING

    def motion_only(self, row: Tensor) -> Tensor:
        """The latents `[n, Q]` of a row `[N, Q]`, padding removed."""
        return row[row.isfinite().all(dim=-1)]

    def valid_motion(self, motion: Tensor) -> Tensor:
        """Mask `[B, N]` of the positions that hold a latent."""
        if motion.ndim != 3 or motion.shape[2] != self.config.latent_dim:
            raise ValueError(f"latents must have shape [B, N, {self.config.latent_dim}], got {tuple(motion.shape)}")
        return motion.isfinite().all(dim=-1)

    def embed_motion(self, motion: Tensor) -> Tensor:
        """Embeddings `[B, N, C]` of latents `[B, N, Q]`, which are slightly noised in training."""
        valid = self.valid_motion(motion)[..., None]
        latents = self._normalised(motion)
        if self.training and self.config.latent_noise:
            # one noise level per row, uniform up to the maximum
            levels = torch.rand(latents.shape[0], 1, 1, device=latents.device) * self.config.latent_noise
            latents = latents + levels * torch.randn_like(latents)
        weight = self.read_latents.weight
        return self.read_latents(torch.where(valid, latents, 0.0).to(weight.dtype)).to(weight.dtype)

    def _normalised(self, latents: Tensor) -> Tensor:
        return (latents.float() - self.latent_mean) / self.latent_std

    def next_latents(self, normalised: Tensor) -> Tensor:
        """Denormalise latents `[B, Q]` to the tokenizer's units, float32."""
        return normalised * self.latent_std + self.latent_mean

    def step_ends(self, project: Callable[[nn.Linear], Callable[[Tensor], Tensor]]) -> StepEnds:
        return _LatentEnds(self)

    def sampler(self, options: Any, seeds: Sequence[int]) -> FlowSampler:
        """The sampler of the next latents, one seed per row; `options` are a `FlowSampling` or its fields."""
        return FlowSampler.from_options(self, options, seeds)

    def checked_prefix(self, batch: int, codes: Tensor | None, latents: Tensor | None) -> Tensor:
        """The checked prefix of all rows, latents `[B, P, Q]`.

        Raises:
            ValueError: for codes, and for latents of a wrong shape or with NaN.
        """
        if codes is not None:
            raise ValueError("prefix_codes must be left out for a model of latents, got some; give prefix_latents")
        width = self.config.latent_dim
        latents = torch.empty(batch, 0, width) if latents is None else latents
        if latents.ndim != 3 or latents.shape[0] != batch or latents.shape[2] != width:
            raise ValueError(f"prefix_latents must have the shape [{batch}, P, {width}], got {list(latents.shape)}")
        if not bool(latents.isfinite().all()):
            raise ValueError("prefix_latents must be finite, got NaN or infinity; cut off what comes after the end")
        return latents.float()


class _LatentEnds:
    """Latents `[B, Q]` in, states `[B, C]` out."""

    def __init__(self, lm: MotionFlowLM) -> None:
        self.weight, self.bias = lm.read_latents.weight, lm.read_latents.bias
        self.mean, self.std = lm.latent_mean, lm.latent_std

    def embed(self, chosen: Tensor) -> Tensor:
        latents = ((chosen - self.mean) / self.std).nan_to_num()
        return F.linear(latents.to(self.weight.dtype), self.weight, self.bias)

    def read(self, x: Tensor) -> Tensor:
        return x
