"""Sequences of continuous latents, the training data of a flow head, built on the data sets of codes.

    dataset = TokenDataset(clips, tokenizer, text_encoder)     # the tokenizer has no codebook: its samples are latents
    mean, std = latent_statistics(dataset)
    batch = LatentCollator()([dataset[i] for i in ...])        # `latents`, `labels` [B, N, Q], `text_features`, ...

END is a row of +inf and padding is rows of NaN, as expected by `motionmillion.lm.latents.model`.

Letters: B batch, N latents, Q latent channels.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from motionmillion.data.sets.tokens import TokenCollator
from motionmillion.lm.latents.model import END, NOTHING

_LEAST_SHARE = 0.05
"""Minimum standard deviation as a fraction of the largest one, so that inactive channels are not amplified."""


def latent_statistics(sequences: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation `[Q]` over all latents of the sequences `[N, Q]`, with equal weights.

    Raises:
        ValueError: if there are fewer than two latents.
    """
    latents = torch.cat(list(sequences)).double()
    if len(latents) < 2:
        raise ValueError(f"latents must be at least two to take their spread, got {len(latents)}; give more motion")
    std = latents.std(dim=0)
    return latents.mean(dim=0).float(), std.clamp(min=max(float(std.max()) * _LEAST_SHARE, 1e-6)).float()


class LatentCollator(TokenCollator):
    """Pads latents to a batch: `latents` and `labels` `[B, N, Q]`, `text_features` `[B, L, C]`, `text_mask` `[B, L]`.

    Noise on the inputs, the counterpart of `corruption`, is added by the model, see `latent_noise` in its config.
    """

    motion = "latents"

    def __init__(self, caption_dropout: float = 0.0, code_drop: float = 0.0, longest: int | None = None) -> None:
        super().__init__(0, 0, caption_dropout, 0.0, code_drop, longest)
        self.end, self.pad = END, NOTHING

    def inputs(self, labels: Tensor) -> Tensor:
        return labels
