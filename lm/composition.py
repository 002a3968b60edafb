"""Longer and constrained generation: texts one after another, and codes between given ones.

    for token in stream_timeline(lm, [Part(walk, walk_mask, 30, [0]), Part(jump, jump_mask, 15, [1])], overlap=4):
        ...                                             # [B], 45 of them, no END
    codes = fill_between(lm, text, mask, start, end, count=20)

A part of a timeline is generated as the continuation of the last few codes of the part before it, so a timeline has no
limit of length, and the decoder of the tokenizer sees one sequence without seams. Few codes, because a model that was
trained on clips of one action goes on with the action that it sees, whatever the text says.

What lies between given codes is drawn several times as a continuation of the first; the draw that makes the given end
likeliest is taken; with a flow head, whose codes are latents `[..., Q]`, the one of the lowest loss of the flow.

Letters: B batch, L text length, C text feature size, P codes of the start, E codes of the end, Q latent channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from motionmillion.configuration import check_whole
from motionmillion.lm.generation import generate, stream

if TYPE_CHECKING:
    from motionmillion.lm.model import MotionLM


class Part(NamedTuple):
    """A stretch of a timeline: what happens, for how many codes."""

    text_features: Tensor  # [B, L, C]
    text_mask: Tensor  # [B, L]
    codes: int
    seeds: Sequence[int]  # one a row


@torch.no_grad()
def stream_timeline(
    lm: MotionLM, parts: Sequence[Part], overlap: int, prefix: Tensor | None = None, **options: Any
) -> Iterator[Tensor]:
    """Yield the next code of every row `[B]`, or latent `[B, Q]`, part after part.

    Args:
        overlap: codes of the part before that a part goes on from.
        prefix: codes `[B, P]` that come before the first part, fewer than the model's context.
        options: those of `motionmillion.lm.generation.stream`, lengths excepted.
    """
    check_whole("overlap", overlap, 1)
    history = prefix
    for number, part in enumerate(parts):
        if number and history is not None:
            history = history[:, -overlap:]
        exact: dict[str, Any] = dict(min_new_tokens=part.codes, seeds=part.seeds, **options)
        exact[lm.prefix_name] = history
        for codes in stream(lm, part.text_features, part.text_mask, part.codes, **exact):
            yield codes
            history = codes[:, None] if history is None else torch.cat([history.to(codes), codes[:, None]], dim=1)


@torch.no_grad()
def fill_between(
    lm: MotionLM,
    text_features: Tensor,
    text_mask: Tensor,
    start: Tensor,
    end: Tensor,
    count: int,
    seeds: Sequence[int] = tuple(range(16)),
    **options: Any,
) -> Tensor:
    """Codes `[count]` between `start` `[P]` and `end` `[E]`, all of them together within the model's context.

    Args:
        text_features, text_mask: one text, `[1, L, C]` and `[1, L]`.
        seeds: one a candidate.
        options: those of `motionmillion.lm.generation.stream`, lengths excepted.

    Raises:
        ValueError: if there is no end, or more codes than the context holds.
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
    drawn = generate(lm, features, mask, **exact, **options)  # [rows, P + count]
    wanted = end.to(drawn).expand(rows, *end.shape)
    labels = torch.cat([torch.full_like(drawn, lm.blank), wanted], dim=1)
    best = lm.row_losses(torch.cat([drawn, wanted], dim=1), features, mask, labels).argmin()
    return drawn[best, len(start) :]
