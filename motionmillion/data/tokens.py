"""Token sequences with text features: what the motion LM trains on.

    dataset = TokenDataset(clips, tokenizer, text_encoder, variants=8, seed=0)        # from motions
    dataset = ShardDataset(["my_codes"], "train", 64000, TextShards("my_texts"))      # from `motionmillion tokenize`
    batch = TokenCollator(end, pad)([dataset[i] for i in ...])

From motions, every clip is tokenized in several versions ahead of time (mirrored, other speeds, ends cut); a visit
draws one of them. Either way a visit draws one of the captions that is true. `motionmillion.data.packing` puts several
samples into a row.

Letters: B batch, N tokens, L text length, C text feature size.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset

from motionmillion.data.augment import random_variants
from motionmillion.data.clips import MotionClip
from motionmillion.data.encoding import encode_motion
from motionmillion.data.token_shards import read_token_tables
from motionmillion.text import TextEncoder
from motionmillion.tokenizer import MotionTokenizer


class Texts(Protocol):
    """Text features by caption: `TextBank` or `motionmillion.data.text_shards.TextShards`."""

    def __getitem__(self, text: str, /) -> Tensor:
        """Features `[L, C]`."""
        ...


class TextBank:
    """Features `[L, C]` of every different text, computed once, on the encoder's device."""

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
        tokenizer: makes the codes; without a codebook samples hold latents `[N, Q]` in their place.
        encoder: makes the text features.
        variants: versions of each clip; 0 keeps the clip as it is.
        speed, trim: range of the versions, see `random_variant`.
        own_caption_share: for a window cut out of a longer take, how often a caption of its own is drawn where there
            is one, rather than one that describes the whole take.
        seed: draws the versions.
        texts: features where they are there already; `encoder` is then not used.
    """

    def __init__(
        self,
        clips: Sequence[MotionClip],
        tokenizer: MotionTokenizer,
        encoder: TextEncoder | None,
        variants: int = 0,
        speed: float = 0.1,
        trim: float = 0.15,
        own_caption_share: float = 0.5,
        seed: int = 0,
        texts: Texts | None = None,
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        clips = [clip for clip in clips if clip.captions]
        if not clips:
            raise ValueError("clips must have captions to train a language model, got none with any")
        self.own_caption_share = own_caption_share
        self.versions: list[list[MotionClip]] = []
        self.codes: list[list[Tensor]] = []
        for clip in clips:
            versions = random_variants(clip, variants, generator, speed, trim)
            self.versions.append(versions)
            features = [tokenizer.representation.encode(version.motion.canonicalize()) for version in versions]
            self.codes.append(encode_motion(tokenizer, features))
        captions = [c for versions in self.versions for version in versions for c in version.captions]
        self.texts = text_bank(captions, encoder, texts)
        self.categories = [clip.category for clip in clips]

    def __len__(self) -> int:
        return len(self.versions)

    def __getitem__(self, item: int) -> dict[str, Any]:
        draw = int(torch.randint(len(self.versions[item]), ()))
        clip = self.versions[item][draw]
        return {"codes": self.codes[item][draw], "text": self.texts[self.caption(clip)]}

    def caption(self, clip: MotionClip) -> str:
        """One of the clip's captions, at random."""
        return draw_caption(clip.captions, clip.own_captions, clip.whole, self.own_caption_share)


class ShardDataset(Dataset):
    """Clips with captions of token shards; the rows stay in Arrow's columns, however many there are.

    Args:
        folders: token shards, see `motionmillion.data.token_shards`.
        split: clips to take.
        codebook_size: what the codes must be made for.
        texts: features of every caption; made here by `encoder` where there are none.
        own_caption_share: as in `TokenDataset`.

    Raises:
        ValueError: for damaged shards, codes of another codebook, and a split without captions.
    """

    def __init__(
        self,
        folders: Sequence[str | Path],
        split: str,
        codebook_size: int,
        texts: Texts | None = None,
        encoder: TextEncoder | None = None,
        own_caption_share: float = 0.5,
    ) -> None:
        table = read_token_tables(folders, split, codebook_size)
        if not table.num_rows:
            raise ValueError(f"tokens must hold clips with captions in the split {split!r}, got none in {folders}")
        self.table = table.select(["codes", "captions", "own_captions", "whole"])
        self.own_caption_share = own_caption_share
        captions = table["captions"].combine_chunks().flatten().unique().to_pylist() if texts is None else []
        self.texts = text_bank(captions, encoder, texts)
        self.categories: list[str] = table["category"].to_pylist()

    def __len__(self) -> int:
        return self.table.num_rows

    def __getitem__(self, item: int) -> dict[str, Any]:
        row = self.table.slice(item, 1).to_pylist()[0]
        caption = draw_caption(row["captions"], row["own_captions"], row["whole"], self.own_caption_share)
        return {"codes": torch.tensor(row["codes"]), "text": self.texts[caption]}


def text_bank(captions: Sequence[str], encoder: TextEncoder | None, texts: Texts | None) -> Texts:
    """`texts`, or a bank of `captions` made by `encoder`."""
    if texts is not None:
        return texts
    if encoder is None:
        raise ValueError("texts must be given where there is no encoder to make them, got neither")
    return TextBank(captions, encoder)


def draw_caption(captions: Sequence[str], own: Sequence[str], whole: bool, own_share: float) -> str:
    """One of `captions` at random; for a window of a longer take, with a chance of `own_share` one of its `own`."""
    if not whole and own and float(torch.rand(())) < own_share:
        captions = own
    return captions[int(torch.randint(len(captions), ()))]


class TokenCollator:
    """Pads samples to a batch: `input_ids` `[B, N]`, `text_features` `[B, L, C]`, `text_mask` `[B, L]`, `labels`.

    Args:
        end, pad: token ids.
        caption_dropout: share of samples that lose their text, which makes guidance possible.
        corruption: share of input tokens replaced by random codes (labels stay), against copying one's own past.
        code_drop: share of samples that lose a code at their start or at their end (Go to Zero has one third).
        longest: codes of a sample at most; longer ones are cut at a random place and do not end.
    """

    motion = "input_ids"
    """Name of the motion in a batch."""

    end: float
    pad: float

    def __init__(
        self,
        end: int,
        pad: int,
        caption_dropout: float = 0.0,
        corruption: float = 0.0,
        code_drop: float = 0.0,
        longest: int | None = None,
    ) -> None:
        shares = {"caption_dropout": caption_dropout, "corruption": corruption, "code_drop": code_drop}
        for name, value in shares.items():
            if not 0 <= value < 1:
                raise ValueError(f"{name} must be in [0, 1), got {value!r}")
        self.end, self.pad, self.longest = end, pad, longest
        self.caption_dropout, self.corruption, self.code_drop = caption_dropout, corruption, code_drop

    def __call__(self, samples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        rows = [self.tokens(sample["codes"]) for sample in samples]
        labels = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=self.pad)
        text = [sample["text"] for sample in samples]
        features = torch.nn.utils.rnn.pad_sequence(text, batch_first=True)
        lengths = torch.tensor([t.shape[0] for t in text])
        mask = torch.arange(features.shape[1]) < lengths[:, None]
        mask &= self.captioned(len(samples))[:, None]
        return {self.motion: self.inputs(labels), "labels": labels, "text_features": features, "text_mask": mask}

    def tokens(self, codes: Tensor) -> Tensor:
        """Codes `[n]` with END, after the random cuts."""
        end = codes.new_full((1, *codes.shape[1:]), self.end)
        if codes.shape[0] > 1 and float(torch.rand(())) < self.code_drop:
            codes = codes[1:] if float(torch.rand(())) < 0.5 else codes[:-1]
        if self.longest is not None and codes.shape[0] > self.longest:
            start = int(torch.randint(codes.shape[0] - self.longest + 1, ()))
            codes, whole = codes[start : start + self.longest], start + self.longest == codes.shape[0]
            return torch.cat([codes, end]) if whole else codes
        return torch.cat([codes, end])

    def captioned(self, count: int) -> Tensor:
        """Which of `count` samples keep their text `[count]`."""
        return torch.rand(count) >= self.caption_dropout

    def inputs(self, labels: Tensor) -> Tensor:
        """Labels with the random wrong codes that the model reads in their place."""
        wrong = (torch.rand(labels.shape) < self.corruption) & (labels < self.end)
        return torch.where(wrong, torch.randint(int(self.end), labels.shape), labels)
