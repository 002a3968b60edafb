"""Generation of motion tokens with a KV cache.

    tokens = lm.generate(text_features=features, text_mask=mask, max_new_tokens=75, temperature=0.8, seeds=[0, 1])
    for step in stream(lm, text_features=features, text_mask=mask):   # the same, token by token
        ...

Rows that have ended leave the batch. Motions longer than the model's context go on with a context that slides: when it
is full, the newest half is read again as a prefix.

Letters: B batch, L text length, N motion tokens, P prefix, K codebook size.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from motionmillion.configuration import unknown_key_error
from motionmillion.lm.decoder import DynamicDecoder, StaticDecoder, UncachedDecoder, supported
from motionmillion.lm.sampling import Sampler, Sampling

if TYPE_CHECKING:
    from motionmillion.lm.model import MotionLM

CACHES = ("auto", "static", "dynamic", "none")


@torch.no_grad()
def generate(
    lm: MotionLM,
    text_features: Tensor,
    text_mask: Tensor | None = None,
    max_new_tokens: int = 150,
    prefix_codes: Tensor | None = None,
    **options: Any,
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
    prefix_codes: Tensor | None = None,
    seeds: Sequence[int] | None = None,
    cache: str = "auto",
    compiled: bool = False,
    int8: bool = False,
    **sampling: Any,
) -> Iterator[Tensor]:
    """Yield the next token of every row `[B]`, PAD for rows that have ended.

    Args:
        min_new_tokens: END is not drawn before so many codes; equal to `max_new_tokens` for an exact length.
        prefix_codes: codes `[B, P]` that every row's motion begins with, fewer than the model's context.
        seeds: one a row, 0 where left out.
        cache: "static" for buffers of fixed size, "dynamic" for transformers' cache, "none" to compute everything
            again at each step, "auto" for static where the model allows it.
        compiled: run the steps of the static cache through torch.compile; the first call takes a while.
        int8: weights of the steps in 8 bits; static cache on CPUs.
        sampling: fields of `motionmillion.lm.sampling.Sampling`.

    Raises:
        ValueError: for options out of range, a mask or prefix of another shape, and a prefix beyond the context.
    """
    known = {field.name for field in dataclasses.fields(Sampling)}
    if set(sampling) - known:
        raise unknown_key_error("sampling options", set(sampling) - known, known)
    options = Sampling(**sampling)
    text_mask, tokens, seeds = _inputs(lm, text_features, text_mask, prefix_codes, seeds)
    _check_lengths(lm, max_new_tokens, min_new_tokens, tokens)
    start = _decoder(lm, cache, compiled, int8)
    sampler = Sampler(options, lm.config, seeds)
    end, pad, context = lm.config.end_token_id, lm.config.padding_token_id, lm.config.context_codes
    batch = text_features.shape[0]
    rows = torch.arange(batch, device=text_features.device)  # those still being written, of the whole batch
    running = torch.ones(batch, dtype=torch.bool, device=rows.device)  # of those
    decoder: Any = None
    begun = 0  # column of the first code in the context

    for step in range(max_new_tokens):
        # 1. read text and prefix, at first and whenever the context is full
        if decoder is None or tokens.shape[1] - begun == context:
            begun = 0 if decoder is None else tokens.shape[1] - context // 2
            decoder = None  # frees its buffers before others are made
            room = min(tokens.shape[1] - begun + max_new_tokens - step, context)
            guided = torch.cat([rows, rows]) if options.guided else rows
            words = text_mask[guided]
            words[len(rows) :] = False  # the second copy of each row has no text
            codes = tokens[guided, begun:]
            decoder = start(lm, text_features[guided], words, codes, capacity=words.shape[1] + room)
            logits = decoder.logits
        # 2. choose
        chosen = sampler(logits, tokens[rows, begun:], forbid_end=step < min_new_tokens)
        written = torch.full((batch,), pad, device=rows.device)
        written[rows] = chosen.masked_fill(~running, pad)
        yield written
        tokens = torch.cat([tokens, written[:, None]], dim=1)
        # 3. stop, let rows that have ended leave, feed the choice back
        running = running & (chosen != end)
        left = int(running.sum())
        if left == 0 or step + 1 == max_new_tokens:
            return
        if not compiled and left <= len(rows) // 2:
            keep = running.nonzero()[:, 0]
            decoder.keep(torch.cat([keep, keep + len(rows)]) if options.guided else keep)
            sampler.keep(keep.tolist())
            rows, running = rows[keep], running[keep]
        if tokens.shape[1] - begun < context:
            fed = written[rows]
            logits = decoder.step(torch.cat([fed, fed]) if options.guided else fed)


def _decoder(lm: MotionLM, cache: str, compiled: bool, int8: bool) -> Any:
    """The decoder class of an option, with its own options."""
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


def _inputs(
    lm: MotionLM, features: Tensor, mask: Tensor | None, prefix: Tensor | None, seeds: Sequence[int] | None
) -> tuple[Tensor, Tensor, list[int]]:
    """Checked text mask `[B, L]`, prefix `[B, P]` and seeds."""
    batch, device = features.shape[0], features.device
    mask = torch.ones(features.shape[:2], device=device) if mask is None else mask
    if mask.shape != features.shape[:2]:
        raise ValueError(
            f"text_mask must have the shape of text_features, {list(features.shape[:2])}, got {list(mask.shape)}"
        )
    if not bool(features.isfinite().all()):
        raise ValueError("text_features must be finite, got NaN or infinity; check the text encoder")
    tokens = torch.empty(batch, 0, dtype=torch.long) if prefix is None else prefix
    if tokens.is_floating_point():
        raise ValueError(f"prefix_codes must be whole numbers, got {tokens.dtype}")
    tokens = tokens.long()
    if tokens.ndim != 2 or tokens.shape[0] != batch:
        raise ValueError(f"prefix_codes must have the shape [{batch}, P], got {list(tokens.shape)}")
    if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < lm.config.codebook_size:
        raise ValueError(
            f"prefix_codes must be codes in 0..{lm.config.codebook_size - 1}, got {int(tokens.min())} to "
            f"{int(tokens.max())}; make them with the tokenizer of this model"
        )
    seeds = [0] * batch if seeds is None else list(seeds)
    if len(seeds) != batch:
        raise ValueError(f"seeds must hold one number a row, got {len(seeds)} for {batch} rows")
    return mask.bool().to(device), tokens.to(device), seeds


def _check_lengths(lm: MotionLM, max_new_tokens: int, min_new_tokens: int, prefix: Tensor) -> None:
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be at least 1, got {max_new_tokens!r}")
    if not 0 <= min_new_tokens <= max_new_tokens:
        raise ValueError(f"min_new_tokens must be in 0..{max_new_tokens}, got {min_new_tokens!r}")
    if prefix.shape[1] >= lm.config.context_codes:
        raise ValueError(
            f"prefix_codes must be shorter than the model's context of {lm.config.context_codes} codes, got "
            f"{prefix.shape[1]}; give the last ones only"
        )
