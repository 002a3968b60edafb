"""Token sequences with text features: the training data of the motion LM.

    dataset = TokenDataset(clips, tokenizer, text_encoder, variants=8, seed=0)        # from motions
    dataset = ShardDataset(["my_codes"], "train", 64000, TextShards("my_texts"))      # from `motionmillion tokenize`
    batch = TokenCollator(end, pad)([dataset[i] for i in ...])

From motions, every clip is tokenized in several versions ahead of time (mirrored, other speeds, ends cut); each visit
draws one of them. In both cases a visit draws one of the valid captions. `motionmillion.data.sets.packing` puts
several samples into a row.

Letters: B batch, N tokens, L text length, C text feature size.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from motionmillion.data.clips import MotionClip
from motionmillion.data.sets.groups import check_balance_by, named_group
from motionmillion.data.sets.sequences import DATASET, Sequences, Version, make_sequences
from motionmillion.data.sets.texts import Texts, check_caption_sources, draw_caption, padded_texts, text_bank
from motionmillion.data.sets.wordings import Wordings
from motionmillion.data.shards.token_index import open_index
from motionmillion.data.shards.tokens import read_token_tables
from motionmillion.text.encoder import TextEncoder
from motionmillion.tokenizer import MotionTokenizer


class TokenDataset(Dataset):
    """Clips as token sequences with captions; version and caption are drawn at random at each access.

    Args:
        clips: clips with captions; others are left out.
        tokenizer: makes the codes; without a codebook, samples contain latents `[N, Q]` instead.
        encoder: makes the text features.
        variants: versions of each clip; 0 keeps the clip as it is.
        speed, trim: range of the versions, see `random_variant`.
        own_caption_share: for a window cut out of a longer take, probability of drawing one of its own captions, if
            there are any, rather than one of the whole take.
        seed: seed of the versions.
        texts: precomputed features; `encoder` is then not used.
        caption_weights: probability weights of the sources of captions, see `motionmillion.data.sets.texts`.

    A sample contains `codes`, the features `text` of a caption, and `ends`: whether the motion ends with its last
    code.

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
        """A data set of already encoded clips."""
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
        self._names = sequences.names
        self.texts = texts
        self.own_caption_share, self.caption_weights = own_caption_share, caption_weights
        self.wordings: Wordings | None = None

    def __len__(self) -> int:
        return len(self.versions)

    def __getitem__(self, item: int) -> dict[str, Any]:
        caption, codes, ends = self.drawn(item)
        return {"codes": codes, "text": self.texts[caption], "ends": ends}

    def drawn(self, item: int) -> tuple[str, Tensor, bool]:
        """A caption and codes of a clip at random, and whether its motion ends."""
        versions = list(range(len(self.versions[item])))
        if self.wordings is not None:
            versions = [n for n in versions if self.wordings.any_of(self._said(self.versions[item][n]))]
        draw = versions[int(torch.randint(len(versions), ()))]
        version = self.versions[item][draw]
        return self.caption(version), self.codes[item][draw], version.ends

    def described(self) -> "DescribedCodes":
        """The clips with captions in place of text features."""
        return DescribedCodes(self)

    def groups(self, by: str = "category") -> list[str | None]:
        """The group of each clip, see `motionmillion.data.sets.groups.group_of`."""
        return self._groups[check_balance_by(by)]

    def datasets(self) -> list[str]:
        """The data set that each clip is from; "" if unknown."""
        return [name or "" for name in self._groups.get(DATASET, [""] * len(self))]

    def captions(self) -> Iterable[str]:
        """Every caption that a visit may draw."""
        return dict.fromkeys(text for item in range(len(self)) for text in self.captions_of(item))

    @staticmethod
    def _said(version: Version) -> tuple[str, ...]:
        return (*version.captions, *version.own_captions)

    def captions_of(self, item: int) -> list[str]:
        """All captions of a clip."""
        return [text for version in self.versions[item] for text in self._said(version)]

    def name(self, item: int) -> str:
        """Name of a clip, for messages."""
        return self._names[item] if self._names else f"clip {item}"

    def caption(self, said: Version) -> str:
        """One of the captions of a version, at random."""
        shares = (self.own_caption_share, self.caption_weights, self.wordings)
        return _drawn(said.captions, said.own_captions, said.sources, said.whole, *shares)


class ShardDataset(Dataset):
    """Captioned clips from token shards; rows stay in Arrow columns, so that large data sets fit into memory.

    Args:
        folders: token shards, see `motionmillion.data.shards.tokens`.
        split: clips to take.
        codebook_size: codebook size that the codes must have been made with.
        texts: features of every caption; None computes them with `encoder`.
        own_caption_share, caption_weights: as in `TokenDataset`.
        index: file that `motionmillion.data.shards.token_index` has written of these shards; the clips are then mapped
            from it, and not held in memory.

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
        index: str | Path | None = None,
    ) -> None:
        table = read_token_tables(folders, split, codebook_size) if index is None else open_index(index)
        if not table.num_rows:
            raise ValueError(f"tokens must hold clips with captions in the split {split!r}, got none in {folders}")
        self.table = table.select(["codes", "captions", "own_captions", "whole", "sources", "ends"])
        self.own_caption_share, self.caption_weights = own_caption_share, caption_weights
        if caption_weights is not None:
            check_caption_sources(caption_weights, [table["sources"].combine_chunks().flatten().unique().to_pylist()])
        captions = table["captions"].combine_chunks().flatten().unique().to_pylist() if texts is None else []
        self.texts = text_bank(captions, encoder, texts, torch.bfloat16)
        self._titles = table.select(["name", "category", "captions", "sources", "dataset"])
        self.wordings: Wordings | None = None

    def __len__(self) -> int:
        return self.table.num_rows

    def __getitem__(self, item: int) -> dict[str, Any]:
        caption, codes, ends = self.drawn(item)
        return {"codes": codes, "text": self.texts[caption], "ends": ends}

    def drawn(self, item: int) -> tuple[str, Tensor, bool]:
        """A caption of a clip at random, its codes, and whether its motion ends."""
        row = self.table.slice(item, 1).to_pylist()[0]
        shares = (self.own_caption_share, self.caption_weights, self.wordings)
        caption = _drawn(row["captions"], row["own_captions"], row["sources"], row["whole"], *shares)
        return caption, torch.tensor(row["codes"]), row["ends"]

    def described(self) -> "DescribedCodes":
        """The clips with captions in place of text features."""
        return DescribedCodes(self)

    def captions(self) -> Iterable[str]:
        """Every caption that a visit may draw."""
        columns = [self.table[name].combine_chunks().flatten().unique() for name in ("captions", "own_captions")]
        return dict.fromkeys(caption for column in columns for caption in column.to_pylist())

    def captions_of(self, item: int) -> list[str]:
        """All captions of a clip."""
        return [text for name in ("captions", "own_captions") for text in self.table[name][item].as_py()]

    def name(self, item: int) -> str:
        """Name of a clip, for messages."""
        return self._titles["name"][item].as_py()

    def groups(self, by: str = "category") -> list[str | None]:
        """The group of each clip, see `motionmillion.data.sets.groups.group_of`."""
        if check_balance_by(by) == "category":
            return self._titles["category"].to_pylist()
        rows = self._titles.drop_columns("dataset").to_pylist()
        return [named_group(row["captions"], row["sources"], row["category"], by) for row in rows]

    def datasets(self) -> list[str]:
        """The data set that each clip is from; "" if unknown."""
        return self._titles["dataset"].to_pylist()


def _drawn(
    captions: Sequence[str],
    own: Sequence[str],
    sources: Sequence[str],
    whole: bool,
    own_share: float,
    weights: Mapping[str, float] | None,
    wordings: Wordings | None,
) -> str:
    """One of the captions of a clip at random, of those that may be drawn."""
    if wordings is not None:
        own, _ = wordings.kept(own, ())
        left, kept = wordings.kept(captions, sources)
        captions, sources = (left, kept) if left else (own, ())
    return draw_caption(captions, own, whole, own_share, sources, weights)


class DescribedCodes(Dataset):
    """Captions and codes `[N]` of the clips of a data set, drawn as it draws them."""

    def __init__(self, dataset: TokenDataset | ShardDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, item: int) -> tuple[str, Tensor]:
        return self.dataset.drawn(item)[:2]


class TokenCollator:
    """Pads samples to a batch: `input_ids` `[B, N]`, `text_features` `[B, L, C]`, `text_mask` `[B, L]`, `labels`.

    Args:
        end, pad: token ids.
        caption_dropout: fraction of samples that lose their text, for classifier-free guidance.
        corruption: fraction of input tokens replaced by random codes (labels stay), for robustness to the model's own
            errors.
        code_drop: fraction of samples that lose a code at their start or at their end (Go to Zero has one third).
        longest: maximum number of codes per sample; longer ones are cut to a random window and get no END.

    Only samples whose motion ends (`ends`, default True) get an END.
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
        features, mask = padded_texts([sample["text"] for sample in samples])
        mask &= self.captioned(len(samples))[:, None]
        return {self.motion: self.inputs(labels), "labels": labels, "text_features": features, "text_mask": mask}

    def tokens(self, codes: Tensor, ends: bool = True) -> Tensor:
        """Codes `[n]` after random cuts, with END if the motion ends."""
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
        """Inputs of the model: the labels with some codes replaced at random."""
        wrong = (torch.rand(labels.shape) < self.corruption) & (labels < self.end)
        return torch.where(wrong, torch.randint(int(self.end), labels.shape), labels)
