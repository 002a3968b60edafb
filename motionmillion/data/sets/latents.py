"""Sequences of continuous latents: what a flow head trains on, with the data sets and collators of codes.

    dataset = TokenDataset(clips, tokenizer, text_encoder)     # the tokenizer has no codebook: its samples are latents
    mean, std = latent_statistics(dataset)
    batch = LatentCollator()([dataset[i] for i in ...])        # `latents`, `labels` [B, N, Q], `text_features`, ...

END is a row of +inf and what pads a row of NaN, as `motionmillion.lm.latents.model` reads them.

Letters: B batch, N latents, Q latent channels.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from motionmillion.data.sets.tokens import TokenCollator
from motionmillion.lm.latents.model import END, NOTHING

_LEAST_SHARE = 0.05
"""A standard deviation is at least this share of the largest: channels that say nothing are not blown up."""


def latent_statistics(sequences: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation `[Q]` of latents `[N, Q]`, every one counted alike.

    Raises:
        ValueError: if there are fewer than two.
    """
    latents = torch.cat(list(sequences)).double()
    if len(latents) < 2:
        raise ValueError(f"latents must be at least two to take their spread, got {len(latents)}; give more motion")
    std = latents.std(dim=0)
    return latents.mean(dim=0).float(), std.clamp(min=max(float(std.max()) * _LEAST_SHARE, 1e-6)).float()


class LatentCollator(TokenCollator):
    """Pads latents to a batch: `latents` and `labels` `[B, N, Q]`, `text_features` `[B, L, C]`, `text_mask` `[B, L]`.

    Noise on what the model reads, the counterpart of `corruption`, is a matter of the model: `latent_noise`.
    """

    motion = "latents"

    def __init__(self, caption_dropout: float = 0.0, code_drop: float = 0.0, longest: int | None = None) -> None:
        super().__init__(0, 0, caption_dropout, 0.0, code_drop, longest)
        self.end, self.pad = END, NOTHING

    def inputs(self, labels: Tensor) -> Tensor:
        return labels
