"""Sampling of motion tokens with a KV cache.

    tokens = lm.generate(text_features=features, text_mask=mask, max_new_tokens=75, temperature=0.8, seeds=[0, 1])
    for step in stream(lm, text_features=features, text_mask=mask):   # the same, token by token
        ...

Each row has a random generator of its own and draws its noise on the CPU, so a row's tokens depend on its text and its
seed alone: not on the rest of the batch, and not on the device.

Shapes: B batch, L text length, N motion tokens, K codebook size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

if TYPE_CHECKING:
    from motionmillion.lm.model import MotionLM


@torch.no_grad()
def generate(
    lm: MotionLM,
    text_features: Tensor,
    text_mask: Tensor | None = None,
    max_new_tokens: int = 150,
    prefix_codes: Tensor | None = None,
    **options,
) -> Tensor:
    """Generate tokens `[B, n]`: the prefix, the new codes, END, then PAD; stops when every row has ended.

    Args:
        text_features: `[B, L, text_dim]`.
        text_mask: valid text positions `[B, L]`.
        prefix_codes: codes `[B, P]` that every row's motion begins with.
        options: those of `stream`.
    """
    steps = list(stream(lm, text_features, text_mask, max_new_tokens, prefix_codes=prefix_codes, **options))
    new = torch.stack(steps, dim=1)
    return new if prefix_codes is None else torch.cat([prefix_codes.to(new), new], dim=1)


@torch.no_grad()
def stream(
    lm: MotionLM,
    text_features: Tensor,
    text_mask: Tensor | None = None,
    max_new_tokens: int = 150,
    *,
    min_new_tokens: int = 0,
    do_sample: bool = True,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    guidance_scale: float = 1.0,
    prefix_codes: Tensor | None = None,
    seeds: Sequence[int] | None = None,
) -> Iterator[Tensor]:
    """Yield the next token of every row `[B]`, PAD for rows that have ended.

    Args:
        min_new_tokens: END is not drawn before so many codes; equal to `max_new_tokens` for an exact length.
        do_sample: False, or a temperature of 0, takes the most likely token.
        temperature: divides the logits.
        top_k: keep the k most likely tokens; 0 keeps all.
        top_p: keep the most likely tokens that together reach this probability; 1 keeps all.
        guidance_scale: classifier-free guidance: 1 is off, more follows the text closer. Needs a model that was
            trained with caption dropout.
        seeds: one a row, 0 where left out.

    Raises:
        ValueError: for options out of range.
    """
    _check(max_new_tokens, min_new_tokens, temperature, top_k, top_p, guidance_scale)
    batch, device = text_features.shape[0], text_features.device
    seeds = [0] * batch if seeds is None else list(seeds)
    if len(seeds) != batch:
        raise ValueError(f"seeds must hold one number a row, got {len(seeds)} for {batch} rows")
    greedy = not do_sample or temperature == 0
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    warpers = _warpers(temperature, top_k, top_p)
    end, pad = lm.config.end_token_id, lm.config.padding_token_id
    guided = guidance_scale != 1.0

    # 1. read text and prefix, with a second, textless copy of every row for guidance
    text_mask = torch.ones(text_features.shape[:2], device=device) if text_mask is None else text_mask
    tokens = (
        torch.empty(batch, 0, dtype=torch.long, device=device) if prefix_codes is None else prefix_codes.to(device)
    )
    if guided:
        text_features = torch.cat([text_features, text_features])
        text_mask = torch.cat([text_mask, torch.zeros_like(text_mask)])
        tokens = torch.cat([tokens, tokens])
    output = lm(tokens, text_features, text_mask, use_cache=True)
    valid_text = text_mask.bool().clone()
    valid_text[:, 0] |= ~valid_text.any(dim=1)  # where the model puts its embedding of "no text"
    valid = torch.cat([valid_text, tokens != pad], dim=1)
    finished = torch.zeros(batch, dtype=torch.bool, device=device)

    for step in range(max_new_tokens):
        # 2. next-token scores: guidance, no END before its time, temperature and truncation
        scores = output.logits[:, -1].float()
        if guided:
            conditional, unconditional = scores.chunk(2)
            scores = unconditional + guidance_scale * (conditional - unconditional)
        if step < min_new_tokens:
            scores[:, end] = -torch.inf
        # 3. choose, by Gumbel noise of the row's own generator
        if not greedy:
            noise = torch.stack([torch.rand(scores.shape[1], generator=g) for g in generators]).to(device)
            scores = warpers(tokens, scores) - (-noise.clamp(min=1e-20).log()).log()  # type: ignore[arg-type]
        chosen = scores.argmax(dim=-1).masked_fill(finished, pad)
        yield chosen
        # 4. stop, or feed the choice back
        finished |= chosen == end
        if bool(finished.all()) or step + 1 == max_new_tokens:
            return
        fed = torch.cat([chosen, chosen]) if guided else chosen
        valid = torch.cat([valid, (fed != pad)[:, None]], dim=1)
        output = lm(fed[:, None], attention_mask=valid, past_key_values=output.past_key_values)


MAX_GUIDANCE = 100.0


def _warpers(temperature: float, top_k: int, top_p: float) -> LogitsProcessorList:
    warpers = LogitsProcessorList()
    if temperature not in (0, 1):
        warpers.append(TemperatureLogitsWarper(float(temperature)))
    if top_k:
        warpers.append(TopKLogitsWarper(top_k))
    if top_p < 1:
        warpers.append(TopPLogitsWarper(top_p))
    return warpers


def _check(
    max_new_tokens: int, min_new_tokens: int, temperature: float, top_k: int, top_p: float, guidance_scale: float
) -> None:
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be at least 1, got {max_new_tokens!r}")
    if not 0 <= min_new_tokens <= max_new_tokens:
        raise ValueError(f"min_new_tokens must be in 0..{max_new_tokens}, got {min_new_tokens!r}")
    if not (isinstance(temperature, int | float) and math.isfinite(temperature) and temperature >= 0):
        raise ValueError(f"temperature must not be negative, got {temperature!r}; 0 is greedy")
    if not 0 <= guidance_scale <= MAX_GUIDANCE:
        raise ValueError(f"guidance_scale must be in 0 to {MAX_GUIDANCE:g}, got {guidance_scale!r}; 1 is off")
    if top_k < 0:
        raise ValueError(f"top_k must not be negative, got {top_k!r}; 0 keeps all tokens")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p must be in (0, 1], got {top_p!r}")
