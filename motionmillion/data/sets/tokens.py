"""Token sequences with text features: what the motion LM trains on.

    dataset = TokenDataset(clips, tokenizer, text_encoder, variants=8, seed=0)        # from motions
    dataset = ShardDataset(["my_codes"], "train", 64000, TextShards("my_texts"))      # from `motionmillion tokenize`
    batch = TokenCollator(end, pad)([dataset[i] for i in ...])

From motions, every clip is tokenized in several versions ahead of time (mirrored, other speeds, ends cut); a visit
draws one of them. Either way a visit draws one of the captions that is true. `motionmillion.data.sets.packing` puts
several samples into a row.

Letters: B batch, N tokens, L text length, C text feature size.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from motionmillion.data.clips import MotionClip, description_of
from motionmillion.data.sets.groups import check_balance_by
from motionmillion.data.sets.sequences import Sequences, Version, make_sequences
from motionmillion.data.sets.texts import Texts, check_caption_sources, draw_caption, text_bank
from motionmillion.data.shards.tokens import read_token_tables
from motionmillion.text.encoder import TextEncoder
from motionmillion.tokenizer import MotionTokenizer


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
        caption_weights: how often a caption of each source is drawn, see `motionmillion.data.sets.texts`.

    A sample holds `codes`, the features `text` of a caption, and `ends`: whether the motion ends with its last code.

    Raises:
        ValueError: if no clip has a caption, or none of a source that `caption_weights` names.
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
        caption_weights: Mapping[str, float] | None = None,
    ) -> None:
        sequences = make_sequences(clips, tokenizer, variants, speed, trim, seed)
        self._take(
            sequences, text_bank(list(sequences.captions()), encoder, texts), own_caption_share, caption_weights
        )

    @classmethod
    def of(
        cls,
        sequences: Sequences,
        texts: Texts,
        own_caption_share: float = 0.5,
        caption_weights: Mapping[str, float] | None = None,
    ) -> "TokenDataset":
        """A data set of clips that are encoded already."""
        dataset = cls.__new__(cls)
        dataset._take(sequences, texts, own_caption_share, caption_weights)
        return dataset

    def _take(
        self,
        sequences: Sequences,
        texts: Texts,
        own_caption_share: float,
        caption_weights: Mapping[str, float] | None,
    ) -> None:
        check_caption_sources(caption_weights, (own[0].sources for own in sequences.versions))
        self.codes, self.versions, self._groups = sequences.codes, sequences.versions, sequences.groups
        self.texts = texts
        self.own_caption_share, self.caption_weights = own_caption_share, caption_weights

    def __len__(self) -> int:
        return len(self.versions)

    def __getitem__(self, item: int) -> dict[str, Any]:
        draw = int(torch.randint(len(self.versions[item]), ()))
        version = self.versions[item][draw]
        text = self.texts[self.caption(version)]
        return {"codes": self.codes[item][draw], "text": text, "ends": version.ends}

    def groups(self, by: str = "category") -> list[str | None]:
        """The group of each clip, see `motionmillion.data.sets.groups.group_of`."""
        return self._groups[check_balance_by(by)]

    def caption(self, said: Version) -> str:
        """One of the captions of a version, at random."""
        shares = (self.own_caption_share, said.sources, self.caption_weights)
        return draw_caption(said.captions, said.own_captions, said.whole, *shares)


class ShardDataset(Dataset):
    """Clips with captions of token shards; the rows stay in Arrow's columns, however many there are.

    Args:
        folders: token shards, see `motionmillion.data.shards.tokens`.
        split: clips to take.
        codebook_size: what the codes must be made for.
        texts: features of every caption; made here by `encoder` where there are none.
        own_caption_share, caption_weights: as in `TokenDataset`.

    Raises:
        ValueError: for damaged shards, codes of another codebook, a split without captions, and one without captions
            of the sources that `caption_weights` names.
    """

    def __init__(
        self,
        folders: Sequence[str | Path],
        split: str,
        codebook_size: int,
        texts: Texts | None = None,
        encoder: TextEncoder | None = None,
        own_caption_share: float = 0.5,
        caption_weights: Mapping[str, float] | None = None,
    ) -> None:
        table = read_token_tables(folders, split, codebook_size)
        if not table.num_rows:
            raise ValueError(f"tokens must hold clips with captions in the split {split!r}, got none in {folders}")
        self.table = table.select(["codes", "captions", "own_captions", "whole", "sources", "ends"])
        self.own_caption_share, self.caption_weights = own_caption_share, caption_weights
        if caption_weights is not None:
            check_caption_sources(caption_weights, [table["sources"].combine_chunks().flatten().unique().to_pylist()])
        captions = table["captions"].combine_chunks().flatten().unique().to_pylist() if texts is None else []
        self.texts = text_bank(captions, encoder, texts)
        self._titles = table.select(["category", "captions", "sources"])

    def __len__(self) -> int:
        return self.table.num_rows

    def __getitem__(self, item: int) -> dict[str, Any]:
        row = self.table.slice(item, 1).to_pylist()[0]
        shares = (self.own_caption_share, row["sources"], self.caption_weights)
        caption = draw_caption(row["captions"], row["own_captions"], row["whole"], *shares)
        return {"codes": torch.tensor(row["codes"]), "text": self.texts[caption], "ends": row["ends"]}

    def groups(self, by: str = "category") -> list[str | None]:
        """The group of each clip, see `motionmillion.data.sets.groups.group_of`."""
        if check_balance_by(by) == "category":
            return self._titles["category"].to_pylist()
        rows = self._titles.to_pylist()
        return [description_of(row["captions"], row["sources"], row["category"]) for row in rows]


class TokenCollator:
    """Pads samples to a batch: `input_ids` `[B, N]`, `text_features` `[B, L, C]`, `text_mask` `[B, L]`, `labels`.

    Args:
        end, pad: token ids.
        caption_dropout: share of samples that lose their text, which makes guidance possible.
        corruption: share of input tokens replaced by random codes (labels stay), against copying one's own past.
        code_drop: share of samples that lose a code at their start or at their end (Go to Zero has one third).
        longest: codes of a sample at most; longer ones are cut at a random place and do not end.

    Only samples whose motion ends (`ends`, True where a sample does not say) get an END.
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
        rows = [self.tokens(sample["codes"], sample.get("ends", True)) for sample in samples]
        labels = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=self.pad)
        text = [sample["text"] for sample in samples]
        features = torch.nn.utils.rnn.pad_sequence(text, batch_first=True)
        lengths = torch.tensor([t.shape[0] for t in text])
        mask = torch.arange(features.shape[1]) < lengths[:, None]
        mask &= self.captioned(len(samples))[:, None]
        return {self.motion: self.inputs(labels), "labels": labels, "text_features": features, "text_mask": mask}

    def tokens(self, codes: Tensor, ends: bool = True) -> Tensor:
        """Codes `[n]` after the random cuts, with END where the motion ends."""
        end = codes.new_full((1, *codes.shape[1:]), self.end)
        if codes.shape[0] > 1 and float(torch.rand(())) < self.code_drop:
            codes = codes[1:] if float(torch.rand(())) < 0.5 else codes[:-1]
        if self.longest is not None and codes.shape[0] > self.longest:
            start = int(torch.randint(codes.shape[0] - self.longest + 1, ()))
            ends = ends and start + self.longest == codes.shape[0]
            codes = codes[start : start + self.longest]
        return torch.cat([codes, end]) if ends else codes

    def captioned(self, count: int) -> Tensor:
        """Which of `count` samples keep their text `[count]`."""
        return torch.rand(count) >= self.caption_dropout

    def inputs(self, labels: Tensor) -> Tensor:
        """Labels with the random wrong codes that the model reads in their place."""
        wrong = (torch.rand(labels.shape) < self.corruption) & (labels < self.end)
        return torch.where(wrong, torch.randint(int(self.end), labels.shape), labels)
