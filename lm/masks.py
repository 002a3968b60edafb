"""The attention mask of the motion LM.

      text      motion            1  the row may attend to the column
     a b c      1 2 3 E           .  it may not
a    1 1 1      . . . .
b    1 1 1      . . . .           text sees all text (bidirectional),
c    1 1 1      . . . .           motion sees text and earlier motion (causal),
1    1 1 1      1 . . .           padding is never seen.
2    1 1 1      1 1 . .
3    1 1 1      1 1 1 .
E    1 1 1      1 1 1 1

Several samples packed into one row: all texts first, then all motions; no sample sees another one.

      text        motion
     a b  d e     1 2 E  1 E      sample 1: text a b, motion 1 2 E
a    1 1  . .     . . .  . .      sample 2: text d e, motion 1 E
b    1 1  . .     . . .  . .
d    . .  1 1     . . .  . .
e    . .  1 1     . . .  . .
1    1 1  . .     1 . .  . .
2    1 1  . .     1 1 .  . .
E    1 1  . .     1 1 1  . .
1    . .  1 1     . . .  1 .
E    . .  1 1     . . .  1 1

`segments` `[B, S]` defines the mask: 0 is padding, 1 and above the number of the sample in its row.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import PretrainedConfig
from transformers.cache_utils import Cache
from transformers.masking_utils import create_causal_mask


def mixed_attention_mask(
    config: PretrainedConfig, embeddings: Tensor, segments: Tensor, text_length: int, cache: Cache | None = None
) -> Any:
    """The mask in the form that the model's attention backend needs (SDPA, FlexAttention, eager).

    Args:
        embeddings: the new positions `[B, S, C]`.
        segments: sample number of each position `[B, cached + S]`, 0 for padding; or a boolean mask of valid positions
            if every row holds one sample.
        text_length: columns 0..text_length-1 hold text.
    """

    def both_text(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (query < text_length) & (key < text_length)

    def same_sample(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return segments[batch, query] == segments[batch, key]

    # a boolean mask means one sample per row, where padding alone has to be hidden
    packed = segments.dtype != torch.bool
    mixed = text_length and config.attention == "mixed"
    return create_causal_mask(
        config=config,
        inputs_embeds=embeddings,
        attention_mask=segments.bool(),
        past_key_values=cache,
        or_mask_function=both_text if mixed else None,
        and_mask_function=same_sample if packed else None,
    )


class Places(NamedTuple):
    """Index of each position within its sample, and its predecessor."""

    positions: Tensor  # [B, S], counted from 0 in each sample; arbitrary for padding
    previous: Tensor  # [B, S], column of the position before it in its sample; its own for the first


def places(segments: Tensor) -> Places:
    """Positions within samples, padding not counted, from `segments` `[B, S]` (sample numbers or a validity mask)."""
    numbers = segments.long()
    ranked, order = numbers.sort(dim=1, stable=True)  # each sample contiguous, in order
    index = torch.arange(numbers.shape[1], device=numbers.device).expand_as(numbers)
    begins = torch.ones_like(ranked, dtype=torch.bool)
    begins[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    # column of the first position of each sample, in sorted order [B, S]
    first = torch.where(begins, index, 0).cummax(dim=1).values
    before = torch.where(begins, order, order.roll(1, dims=1))
    # back to the original order of columns
    blank = torch.zeros_like(order)
    return Places(blank.scatter(1, order, index - first), blank.scatter(1, order, before))


def last_valid(valid: Tensor) -> Tensor:
    """For each position the index of the last valid one up to it `[B, S]`; 0 before the first."""
    index = torch.arange(valid.shape[1], device=valid.device).expand_as(valid)
    return torch.where(valid, index, 0).cummax(dim=1).values
