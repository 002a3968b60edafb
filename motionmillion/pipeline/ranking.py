"""Which of several motions for a prompt says most of it: the option `best_of`.

    best = most_fitting(lm, tokens, features, mask, many=8)       # index of one row out of every eight
    tokens = tokens[best]

The score is how much more likely the tokens are with the text than without it, in nats per token: the model's own
estimate of the pointwise mutual information of motion and text. It takes two passes over tokens that are already
there, which costs far less than generating them.
"""

import torch
from torch import Tensor

from motionmillion.lm import MotionLM


@torch.no_grad()
def most_fitting(lm: MotionLM, tokens: Tensor, features: Tensor, mask: Tensor, many: int) -> Tensor:
    """Index of the best row of each `many` consecutive ones.

    Args:
        tokens: `[B * many, N]`, rows of one text next to each other.
        features, mask: text features `[B * many, L, C]` and their valid positions `[B * many, L]`.

    Returns:
        Rows `[B]`; of equal ones the first.
    """
    without = lm.row_losses(tokens, features, torch.zeros_like(mask), tokens)
    gain = (without - lm.row_losses(tokens, features, mask, tokens)) / lm.valid_motion(tokens).sum(1).clamp(min=1)
    best = gain.view(-1, many).argmax(1)
    return best + many * torch.arange(len(best), device=best.device)
