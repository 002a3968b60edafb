"""Text features computed in training, batch by batch on its device, in place of stored ones.

    texts = LiveTexts(encoder)
    texts["a person waves"]                  # [L, 1]: the encoder's token ids, in the place of features
    batch = texts.encoded(batch)             # `text_features` [B, L, C]

For captions that are too many to store. It costs the encoder's forward pass in every step, and its memory. Data
loaders only cut captions into tokens; their ids travel through the collators as features of one channel, and become
features on the device.

Unusual: packed rows hold the texts of several samples; each is encoded alone, as without packing.

Shapes: B rows, L text length, C text feature size, S samples.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from motionmillion.text.encoder import TextEncoder

_SENTENCE = -1
"""Stands for the mean over the words, which some encoders prepend."""


class LiveTexts:
    """Token ids of captions, and the features of a batch of them.

    Args:
        encoder: makes the features; it must be on the device of the batches.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder

    def __getitem__(self, text: str) -> Tensor:
        """Token ids of a caption `[L, 1]`."""
        ids = self.encoder.tokens([text])["input_ids"][0]
        return (torch.cat([ids.new_tensor([_SENTENCE]), ids]) if self.encoder.sentence else ids)[:, None]

    def encoded(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The batch with features in place of token ids."""
        ids, mask = batch["text_features"][..., 0], batch["text_mask"]  # [B, L]
        segments = batch.get("text_segments", mask.long())
        features = torch.zeros(*ids.shape, self.encoder.dim, device=ids.device)
        places = [
            (segments == number) & mask & (torch.arange(len(ids), device=ids.device) == row)[:, None]
            for row, most in enumerate(segments.amax(1).tolist())
            for number in range(1, most + 1)
        ]
        places = [place for place in places if bool(place.any())]  # others have lost their text
        if places:
            texts = [ids[place] for place in places]
            texts = [text[1:] for text in texts] if self.encoder.sentence else texts
            lengths = torch.tensor([len(text) for text in texts], device=ids.device)
            words = pad_sequence(texts, batch_first=True)  # [S, L]
            known = torch.arange(words.shape[1], device=ids.device) < lengths[:, None]
            for place, states, valid in zip(places, *self.encoder.states(words, known), strict=True):
                features[place] = states[valid]
        return {**batch, "text_features": features}
