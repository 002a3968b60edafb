"""Generation of motion tokens with a key/value cache.

    tokens = lm.generate(text_features=features, text_mask=mask, max_new_tokens=75, temperature=0.8, seeds=[0, 1])
    for step in stream(lm, text_features=features, text_mask=mask):   # the same, token by token
        ...

A model with a flow head generates latents instead of tokens:

    latents = lm.generate(text_features=features, text_mask=mask, max_new_tokens=75, steps=10, seeds=[0, 1])

Rows that have ended leave the batch. Motions longer than the model's context continue with a sliding context: when it
is full, its newest half is read again as a prefix.

Letters: B batch, L text length, N motion tokens, P prefix, K codebook size, Q latent channels.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from motionmillion.lm.generation.decode_step import supported
from motionmillion.lm.generation.decoder import DynamicDecoder, StaticDecoder, UncachedDecoder
from motionmillion.lm.generation.protocol import AnyLM
from motionmillion.progress import tracked

if TYPE_CHECKING:
    from motionmillion.lm.config import MotionLMConfig
    from motionmillion.lm.flow import FlowSampling
    from motionmillion.lm.generation.sampling import Sampling

CACHES = ("auto", "static", "dynamic", "none")


@torch.no_grad()
def generate(
    lm: AnyLM,
    text_features: Tensor,
    text_mask: Tensor | None = None,
    max_new_tokens: int = 150,
    prefix_codes: Tensor | None = None,
    prefix_latents: Tensor | None = None,
    **options: Any,
) -> Tensor:
    """Generate tokens `[B, n]`: the prefix, the new codes, END, then PAD; stops when every row has ended.

    With a flow head these are latents `[B, n, Q]` in the tokenizer's units, NaN from the end of a row on.

    Args:
        text_features: `[B, L, text_dim]`.
        text_mask: valid text positions `[B, L]`.
        prefix_codes, prefix_latents: codes `[B, P]`, or latents `[B, P, Q]`, that every row's motion begins with.
        options: those of `stream`.
    """
    before: dict[str, Any] = dict(prefix_codes=prefix_codes, prefix_latents=prefix_latents)
    new = torch.stack(list(stream(lm, text_features, text_mask, max_new_tokens, **before, **options)), dim=1)
    prefix = prefix_latents if prefix_codes is None else prefix_codes
    return new if prefix is None else torch.cat([prefix.to(new), new], dim=1)


@torch.no_grad()
def stream(
    lm: AnyLM,
    text_features: Tensor,
    text_mask: Tensor | None = None,
    max_new_tokens: int = 150,
    *,
    min_new_tokens: int = 0,
    prefix_codes: Tensor | None = None,
    prefix_latents: Tensor | None = None,
    seeds: Sequence[int] | None = None,
    cache: str = "auto",
    compiled: bool = False,
    int8: bool = False,
    sampling: Sampling | FlowSampling | None = None,
    **fields: Any,
) -> Iterator[Tensor]:
    """Yield the next token of every row `[B]`, PAD for rows that have ended; latents and NaN with a flow head.

    Args:
        min_new_tokens: END is not sampled before this many codes; set to `max_new_tokens` for an exact length.
        prefix_codes, prefix_latents: codes `[B, P]`, or latents `[B, P, Q]`, that every row's motion begins with,
            fewer than the model's context.
        seeds: one per row; None for 0 in all rows.
        cache: "static" for buffers of fixed size, "dynamic" for transformers' cache, "none" to recompute everything at
            each step, "auto" for static where the model supports it, else dynamic.
        compiled: run the steps of the static cache through torch.compile; the first call takes a while.
        int8: use 8-bit weights in the steps; static cache on CPUs only.
        sampling: how the next token is sampled, with a flow head a `FlowSampling`.
        fields: instead of `sampling`, fields of it.

    Raises:
        ValueError: for options out of range, a mask or prefix of a wrong shape, and a prefix that fills the context.
    """
    text_mask, seeds = _inputs(text_features, text_mask, seeds)
    motion = lm.checked_prefix(text_features.shape[0], prefix_codes, prefix_latents).to(text_features.device)
    _check_lengths(lm, max_new_tokens, min_new_tokens, motion)
    start = _decoder(lm, cache, compiled, int8)
    sampler = lm.sampler(fields if sampling is None else sampling, seeds)
    if sampler.guided and lm.config.caption_dropout == 0:
        warnings.warn("guidance_scale should be 1 for a model that was trained without caption_dropout", stacklevel=2)
    context, batch = lm.config.context_codes, text_features.shape[0]
    rows = torch.arange(batch, device=text_features.device)  # indices of the rows still decoded
    running = torch.ones(batch, dtype=torch.bool, device=rows.device)  # which of `rows` have not ended
    decoder: Any = None
    begun = 0  # column of the first code in the context

    for step in tracked(range(max_new_tokens), "generating", "codes"):
        # 1. read text and prefix: at the start and whenever the context is full
        if decoder is None or motion.shape[1] - begun == context:
            begun = 0 if decoder is None else motion.shape[1] - context // 2
            decoder = None  # free its buffers before allocating new ones
            room = min(motion.shape[1] - begun + max_new_tokens - step, context)
            guided = torch.cat([rows, rows]) if sampler.guided else rows
            words = text_mask[guided]
            words[len(rows) :] = False  # the second copy of each row has no text
            decoder = start(lm, text_features[guided], words, motion[guided, begun:], capacity=words.shape[1] + room)
            found = decoder.logits
        # 2. sample
        chosen = sampler(found, motion[rows, begun:], forbid_end=step < min_new_tokens)
        chosen[~running] = lm.blank
        written = chosen.new_full((batch, *chosen.shape[1:]), lm.blank)
        written[rows] = chosen
        yield written
        motion = torch.cat([motion, written[:, None]], dim=1)
        # 3. stop, drop rows that have ended, feed the chosen tokens back
        running = running & ~sampler.ended(chosen)
        left = int(running.sum())
        if left == 0 or step + 1 == max_new_tokens:
            return
        if not compiled and left <= len(rows) // 2:  # dropping rows copies the caches: only by halves
            keep = running.nonzero()[:, 0]
            decoder.keep(torch.cat([keep, keep + len(rows)]) if sampler.guided else keep)
            sampler.keep(keep.tolist())
            rows, running = rows[keep], running[keep]
        if motion.shape[1] - begun < context:
            fed = written[rows]
            found = decoder.step(torch.cat([fed, fed]) if sampler.guided else fed)


def _decoder(lm: AnyLM, cache: str, compiled: bool, int8: bool) -> Any:
    """The decoder class for these options; raises `ValueError` if the model does not support them."""
    if cache not in CACHES:
        raise ValueError(f"cache must be one of {CACHES}, got {cache!r}")
    able = cache in ("auto", "static") and supported(lm)
    if cache == "static" and not able:
        raise ValueError(
            'cache must not be "static" for a model with adapters, hooks or quantized weights; use "auto"'
        )
    for name, asked in (("compiled", compiled), ("int8", int8)):
        if not isinstance(asked, bool):
            raise ValueError(f"{name} must be True or False, got {asked!r}")
        if asked and not able:
            raise ValueError(f"{name} must be off without a static cache, got cache {cache!r}")
    if int8 and (compiled or lm.device.type != "cpu"):
        raise ValueError("int8 must be off on GPUs and with compiled; load the model with quantized weights instead")
    if able:
        return partial(StaticDecoder, compiled=compiled, int8=int8)
    return UncachedDecoder if cache == "none" else DynamicDecoder


def _inputs(features: Tensor, mask: Tensor | None, seeds: Sequence[int] | None) -> tuple[Tensor, list[int]]:
    """The checked text mask `[B, L]` and seeds, defaults filled in."""
    batch, device = features.shape[0], features.device
    # no mask: all text positions are valid
    mask = torch.ones(features.shape[:2], device=device) if mask is None else mask
    if mask.shape != features.shape[:2]:
        raise ValueError(
            f"text_mask must have the shape of text_features, {list(features.shape[:2])}, got {list(mask.shape)}"
        )
    if not bool(features.isfinite().all()):
        raise ValueError("text_features must be finite, got NaN or infinity; check the text encoder")
    seeds = [0] * batch if seeds is None else list(seeds)
    if len(seeds) != batch:
        raise ValueError(f"seeds must hold one number per row, got {len(seeds)} for {batch} rows")
    return mask.bool().to(device), seeds


def checked_codes(config: MotionLMConfig, batch: int, codes: Tensor | None, latents: Tensor | None) -> Tensor:
    """The checked prefix of all rows, codes `[B, P]`.

    Raises:
        ValueError: for latents, and for codes of a wrong shape, dtype or range.
    """
    if latents is not None:
        raise ValueError("prefix_latents must be left out for a model of codes, got some; give prefix_codes")
    tokens = torch.empty(batch, 0, dtype=torch.long) if codes is None else codes
    if tokens.is_floating_point():
        raise ValueError(f"prefix_codes must be whole numbers, got {tokens.dtype}")
    tokens = tokens.long()
    if tokens.ndim != 2 or tokens.shape[0] != batch:
        raise ValueError(f"prefix_codes must have the shape [{batch}, P], got {list(tokens.shape)}")
    if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < config.codebook_size:
        raise ValueError(
            f"prefix_codes must be codes in 0..{config.codebook_size - 1}, got {int(tokens.min())} to "
            f"{int(tokens.max())}; make them with the tokenizer of this model"
        )
    return tokens


def _check_lengths(lm: AnyLM, max_new_tokens: int, min_new_tokens: int, prefix: Tensor) -> None:
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be at least 1, got {max_new_tokens!r}")
    if not 0 <= min_new_tokens <= max_new_tokens:
        raise ValueError(f"min_new_tokens must be in 0..{max_new_tokens}, got {min_new_tokens!r}")
    if prefix.shape[1] >= lm.config.context_codes:
        raise ValueError(
            f"prefix must be shorter than the model's context of {lm.config.context_codes} codes, got "
            f"{prefix.shape[1]}; give the last ones only"
        )
