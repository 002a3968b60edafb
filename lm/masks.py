"""The attention mask of the motion LM, in one place.

      text      motion            1  the row may look at the column
     a b c      1 2 3 E           .  it may not
a    1 1 1      . . . .
b    1 1 1      . . . .           text sees all text (bidirectional),
c    1 1 1      . . . .           motion sees text and earlier motion (causal),
1    1 1 1      1 . . .           nobody sees padding.
2    1 1 1      1 1 . .
3    1 1 1      1 1 1 .
E    1 1 1      1 1 1 1
"""

from typing import Any

from torch import Tensor
from transformers.cache_utils import Cache
from transformers.masking_utils import create_causal_mask


def mixed_attention_mask(
    config: Any, embeddings: Tensor, valid: Tensor, text_length: int, cache: Cache | None = None
) -> Any:
    """Mask in the form that the model's attention back end wants (SDPA, FlexAttention, eager).

    Args:
        embeddings: the new positions `[B, S, C]`.
        valid: True where a position is no padding `[B, cached + S]`.
        text_length: columns 0..text_length-1 hold text.
    """

    def both_text(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (query < text_length) & (key < text_length)

    return create_causal_mask(
        config=config,
        inputs_embeds=embeddings,
        attention_mask=valid,
        past_key_values=cache,
        or_mask_function=both_text if text_length else None,
    )
