"""Token sequences with text features: what the motion LM trains on.

    dataset = TokenDataset(clips, tokenizer, text_encoder, variants=8, seed=0)
    batch = collate(dataset[i] for i in ...)

Every clip is tokenized in several versions ahead of time (mirrored, other speeds, ends cut); a visit draws one of
them and one of the captions that is true for it. Text features are computed once for every different caption.

Shapes: B batch, N tokens, L text length, C text feature size.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from motionmillion.data.augment import random_variant
from motionmillion.data.clips import MotionClip
from motionmillion.data.encoding import encode_features
from motionmillion.text import TextEncoder
from motionmillion.tokenizer import MotionTokenizer


class TextBank:
    """Features `[L, C]` of every different text, computed once."""

    def __init__(self, texts: Sequence[str], encoder: TextEncoder, batch: int = 64) -> None:
        self.features: dict[str, Tensor] = {}
        unique = sorted(set(texts), key=len)
        for start in range(0, len(unique), batch):
            part = unique[start : start + batch]
            features, mask = encoder(part)
            for text, states, valid in zip(part, features.cpu(), mask.cpu(), strict=True):
                self.features[text] = states[valid].clone()

    def __getitem__(self, text: str) -> Tensor:
        return self.features[text]


class TokenDataset(Dataset):
    """Clips as token sequences with captions; each item is drawn at random anew.

    Args:
        clips: clips with captions; others are left out.
        tokenizer: makes the codes.
        encoder: makes the text features.
        variants: versions of each clip; 0 keeps the clip as it is.
        speed, trim: range of the versions, see `random_variant`.
        own_caption_share: for a window cut out of a longer take, how often a caption of its own is drawn where there
            is one, rather than one that describes the whole take.
        seed: draws the versions.
    """

    def __init__(
        self,
        clips: Sequence[MotionClip],
        tokenizer: MotionTokenizer,
        encoder: TextEncoder,
        variants: int = 0,
        speed: float = 0.1,
        trim: float = 0.15,
        own_caption_share: float = 0.5,
        seed: int = 0,
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        clips = [clip for clip in clips if clip.captions]
        if not clips:
            raise ValueError("clips must have captions to train a language model, got none with any")
        self.own_caption_share = own_caption_share
        self.versions: list[list[MotionClip]] = []
        self.codes: list[list[Tensor]] = []
        for clip in clips:
            versions = [random_variant(clip, generator, speed, trim) for _ in range(variants)] or [clip]
            self.versions.append(versions)
            features = [tokenizer.representation.encode(version.motion.canonicalize()) for version in versions]
            self.codes.append(encode_features(tokenizer, features))
        texts = [c for versions in self.versions for version in versions for c in version.captions]
        self.texts = TextBank(texts, encoder)

    def __len__(self) -> int:
        return len(self.versions)

    def __getitem__(self, item: int) -> dict[str, Any]:
        draw = int(torch.randint(len(self.versions[item]), ()))
        clip = self.versions[item][draw]
        return {"codes": self.codes[item][draw], "text": self.texts[self.caption(clip)]}

    def caption(self, clip: MotionClip) -> str:
        """One of the clip's captions, at random."""
        captions = clip.captions
        if not clip.whole and clip.own_captions and float(torch.rand(())) < self.own_caption_share:
            captions = clip.own_captions
        return captions[int(torch.randint(len(captions), ()))]


class TokenCollator:
    """Pads samples to a batch: `input_ids` `[B, N]`, `text_features` `[B, L, C]`, `text_mask` `[B, L]`, `labels`.

    Args:
        end, pad: token ids.
        caption_dropout: share of samples that lose their text, which makes guidance possible.
        corruption: share of input tokens replaced by random codes (labels stay), against copying one's own past.
        training: False turns both off.
    """

    def __init__(self, end: int, pad: int, caption_dropout: float = 0.0, corruption: float = 0.0) -> None:
        for name, value in (("caption_dropout", caption_dropout), ("corruption", corruption)):
            if not 0 <= value < 1:
                raise ValueError(f"{name} must be in [0, 1), got {value!r}")
        self.end, self.pad = end, pad
        self.caption_dropout, self.corruption = caption_dropout, corruption

    def __call__(self, samples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        rows = [torch.cat([sample["codes"], torch.tensor([self.end])]) for sample in samples]
        labels = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=self.pad)
        text = [sample["text"] for sample in samples]
        features = torch.nn.utils.rnn.pad_sequence(text, batch_first=True)
        lengths = torch.tensor([t.shape[0] for t in text])
        mask = torch.arange(features.shape[1]) < lengths[:, None]
        mask &= (torch.rand(len(samples)) >= self.caption_dropout)[:, None]
        wrong = (torch.rand(labels.shape) < self.corruption) & (labels < self.end)
        inputs = torch.where(wrong, torch.randint(self.end, labels.shape), labels)
        return {"input_ids": inputs, "labels": labels, "text_features": features, "text_mask": mask}
