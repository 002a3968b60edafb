"""Factorised codes: codes are embedded and predicted digit by digit, so that a large codebook needs no large tables.

    config = MotionLMConfig.from_name("mini", codebook_size=64000, codes="factorised", code_levels=[512, 125])
    lm = MotionLM(config)                              # a MotionFactorisedLM, because of `codes`
    output = lm(codes, text_features, text_mask, labels=codes)

With levels `L_0, L_1, ...` the digits of a code are those of a number in mixed radix, the first one least significant:
`code = d_0 + L_0 (d_1 + L_1 (d_2 + ...))`. Both FSQ and residual FSQ number their codes in this way, so digits can be
single levels of the quantizer, several of them together (40 = 8 * 5), or whole stages. The embedding of a code is the
sum of the embeddings of its digits. The output layer predicts the first digit or END; a small transformer over the
digits (`DepthHead` in `motionmillion.lm.factorised.head`) predicts each further one from the position's state and the
digits before it. The probability of a code is the product of those of its digits, so losses are exact, and comparable
with those of joint codes.

Source: the depth transformers of RQ-Transformer (arXiv 2203.01941) and Moshi (arXiv 2410.00037), over FSQ's levels.

Letters: B batch, N codes, M counted positions, D digits, C width of the transformer, K codebook size.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.cache_utils import Cache

from motionmillion.lm.factorised.head import DepthHead
from motionmillion.lm.factorised.sampler import FactorisedSampler
from motionmillion.lm.generation.protocol import StepEnds
from motionmillion.lm.model import MotionLM, check_tokens
from motionmillion.lm.output import MotionLMOutput


class MotionFactorisedLM(MotionLM, of=("codes", "factorised")):
    """Language model over codes that are embedded and predicted digit by digit; see `MotionLMConfig`."""

    def add_parts(self) -> None:
        config = self.config
        self.levels = list(config.code_levels or [])
        self.depth = DepthHead(self.levels, config.hidden_size, config.depth_head_width, config.depth_layers)
        self.places = [math.prod(self.levels[:i]) for i in range(len(self.levels))]

    def split_codes(self, codes: Tensor) -> Tensor:
        """Digits `[..., D]` of codes `[...]`."""
        # mixed radix: divide by the place value, then take the remainder
        places, levels = (torch.tensor(numbers, device=codes.device) for numbers in (self.places, self.levels))
        return codes[..., None] // places % levels

    def join_digits(self, digits: Tensor) -> Tensor:
        """Codes `[...]` of digits `[..., D]`."""
        return (digits * torch.tensor(self.places, device=digits.device)).sum(dim=-1)

    def embed_motion(self, motion: Tensor) -> Tensor:
        """Embeddings `[B, N, C]` of tokens `[B, N]`: the sum over digits of a code, or the row of END or PAD."""
        config = self.config
        codes = motion < config.end_token_id
        digits = self.split_codes(torch.where(codes, motion, 0))
        first_rows = [sum(self.levels[:i]) for i in range(len(self.levels))]  # of each digit's part of the table
        digits = digits + torch.tensor(first_rows, device=motion.device)
        special = motion - config.end_token_id + config.end_row  # rows of END and PAD
        rows = torch.where(codes[..., None], digits, special[..., None])
        embedded = self.embed_tokens(rows)  # [B, N, D, C]
        return torch.where(codes[..., None], embedded.sum(dim=-2), embedded[..., 0, :])

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor,
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
    ) -> MotionLMOutput:
        """States that the digits are predicted from, and the loss if `labels` are given.

        Args: those of `MotionLM.forward`; `return_logits` has no effect, because logits of digits are small.

        Returns:
            states `[B, N + 1, C]`, logits `[B, N + 1, L_0 + 1]` of the first digit and END (packed or cached: N), the
            cache, and with labels the mean loss in nats per token and the losses of single tokens, sums over digits.
        """
        check_tokens(input_ids, self.config)
        hidden, cache = self.hidden_states(
            *(input_ids, text_features, text_mask, attention_mask, past_key_values, use_cache),
            *(text_segments, segments),
        )
        kept = hidden[:, -logits_to_keep:]
        logits: Any = self.lm_head(kept)
        output = MotionLMOutput(logits=logits, states=kept, past_key_values=cache)
        if labels is not None:
            losses, hits = self._losses(hidden, labels)
            output.loss = losses.sum() / max(losses.numel(), 1)  # type: ignore[assignment]
            output.token_losses, output.token_hits = losses, hits
        return output

    def _losses(self, hidden: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Losses `[M]` in nats per token, and whether every digit was the most likely one `[M]`."""
        if labels.shape[1] > hidden.shape[1]:
            raise ValueError(f"labels must be as many as input_ids, {hidden.shape[1] - 1}, got {labels.shape[1]}")
        counted = self._counted(labels)
        states, tokens = hidden[:, : labels.shape[1]][counted], labels[counted]
        codes = tokens < self.config.end_token_id
        digits = self.split_codes(torch.where(codes, tokens, 0))  # [M, D]
        first = torch.where(codes, digits[:, 0], self.levels[0])  # END follows the values of the first digit
        losses, hits = self.lm_head(states, first)
        for i, logits in enumerate(self.depth(states, digits[:, :-1]), start=1):
            wanted, logits = digits[:, i], logits.float()
            losses = losses + torch.where(codes, F.cross_entropy(logits, wanted, reduction="none"), 0.0)
            hits = hits & (~codes | (logits.argmax(dim=-1) == wanted))
        return losses, hits

    def step_ends(self, project: Callable[[nn.Linear], Callable[[Tensor], Tensor]]) -> StepEnds:
        return _DigitEnds(self)

    def sampler(self, options: Any, seeds: Sequence[int]) -> FactorisedSampler:
        """The sampler of the next codes, one seed per row; `options` are a `Sampling` or its fields."""
        return FactorisedSampler.of_model(self, options, seeds)


class _DigitEnds:
    """Tokens `[B]` in, states `[B, C]` out."""

    def __init__(self, lm: MotionFactorisedLM) -> None:
        self.embed = lm.embed_motion

    def read(self, x: Tensor) -> Tensor:
        return x
