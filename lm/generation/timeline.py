"""Longer and constrained generation: a timeline of several texts, and infilling between given codes.

    for token in stream_timeline(lm, [Part(walk, walk_mask, 30, [0]), Part(jump, jump_mask, 15, [1])], overlap=4):
        ...                                             # [B], 45 of them, no END
    codes = fill_between(lm, text, mask, start, end, count=20)

Each part of a timeline is generated as a continuation of the last few codes of the part before it, so a timeline can
be of any length and the tokenizer decodes it as one sequence without seams. The overlap is kept to a few codes because
a model trained on single-action clips tends to continue the action in its context and to ignore a new text.

Infilling samples several continuations of the start and keeps the candidate under which the given end is most
probable. With a flow head, whose codes are latents `[..., Q]`, that is the candidate with the lowest flow loss.

Letters: B batch, L text length, C text feature size, P codes before the gap, E codes after it, Q latent channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from motionmillion.configuration import check_whole
from motionmillion.lm.generation.loop import generate, stream
from motionmillion.lm.generation.protocol import AnyLM


class Part(NamedTuple):
    """One segment of a timeline: its text and its length in codes."""

    text_features: Tensor  # [B, L, C]
    text_mask: Tensor  # [B, L]
    codes: int
    seeds: Sequence[int]  # one per row


@torch.no_grad()
def stream_timeline(
    lm: AnyLM, parts: Sequence[Part], overlap: int, prefix: Tensor | None = None, **options: Any
) -> Iterator[Tensor]:
    """Yield the next code `[B]` or latent `[B, Q]` of every row, one part after another.

    Args:
        overlap: number of codes of the previous part that each part continues from.
        prefix: codes `[B, P]` that come before the first part, fewer than the model's context.
        options: those of `motionmillion.lm.generation.loop.stream`, lengths excepted.
    """
    check_whole("overlap", overlap, 1)
    history = prefix
    for number, part in enumerate(parts):
        if number and history is not None:
            # a new part sees only the last codes of the one before: [B, overlap]
            history = history[:, -overlap:]
        exact: dict[str, Any] = dict(min_new_tokens=part.codes, seeds=part.seeds, **options)
        exact[lm.prefix_name] = history
        for codes in stream(lm, part.text_features, part.text_mask, part.codes, **exact):
            yield codes
            history = codes[:, None] if history is None else torch.cat([history.to(codes), codes[:, None]], dim=1)


@torch.no_grad()
def fill_between(
    lm: AnyLM,
    text_features: Tensor,
    text_mask: Tensor,
    start: Tensor,
    end: Tensor,
    count: int,
    seeds: Sequence[int] = tuple(range(16)),
    **options: Any,
) -> Tensor:
    """Fill in codes `[count]` between `start` `[P]` and `end` `[E]`; together they must fit into the model's context.

    Args:
        text_features, text_mask: one text, `[1, L, C]` and `[1, L]`.
        seeds: one per candidate.
        options: those of `motionmillion.lm.generation.loop.stream`, lengths excepted.

    Raises:
        ValueError: if `end` is empty, or if the codes do not fit into the context.
    """
    check_whole("count", count, 1)
    total, context = len(start) + count + len(end), lm.config.context_codes
    if not len(end):
        raise ValueError("end must hold at least one code, got none; leave it out and generate a continuation")
    if total > context:
        raise ValueError(f"start, count and end must fit the model's context of {context} codes, got {total}")
    rows = len(seeds)
    features, mask = text_features.expand(rows, -1, -1), text_mask.expand(rows, -1)
    exact: dict[str, Any] = dict(max_new_tokens=count, min_new_tokens=count, seeds=seeds)
    exact[lm.prefix_name] = start.to(features.device).expand(rows, *start.shape)
    # all candidates in one batch
    drawn = generate(lm, features, mask, **exact, **options)  # [rows, P + count]
    wanted = end.to(drawn).expand(rows, *end.shape)
    # only the given end is scored: the candidates' own codes are masked out of the loss
    labels = torch.cat([torch.full_like(drawn, lm.blank), wanted], dim=1)
    best = lm.row_losses(torch.cat([drawn, wanted], dim=1), features, mask, labels).argmin()
    return drawn[best, len(start) :]
