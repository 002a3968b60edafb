"""Text features in memory: every different caption once, in one tensor.

    bank = TextBank(captions, encoder, dtype=torch.float16, progress=True)
    features = bank["a person waves"]            # [L, C], float32 whatever is kept

Shapes: L text length, C text feature size.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from motionmillion.data.progress import progress_bar
from motionmillion.text.encoder import TextEncoder


class Texts(Protocol):
    """Text features by caption: `TextBank` or `motionmillion.data.shards.texts.TextShards`."""

    def __getitem__(self, text: str, /) -> Tensor:
        """Features `[L, C]`."""
        ...


class TextBank:
    """Features `[L, C]` of every different text, computed once, on the encoder's device.

    Args:
        texts: captions; the same one may come several times.
        encoder: makes the features.
        batch: texts that go through the encoder together.
        dtype: what the features are kept in; they are given as float32.
        progress: show a bar.
    """

    def __init__(
        self,
        texts: Sequence[str],
        encoder: TextEncoder,
        batch: int = 64,
        dtype: torch.dtype = torch.float32,
        progress: bool = False,
    ) -> None:
        unique = sorted(set(texts), key=lambda text: (len(text), text))
        parts: list[Tensor] = []
        self.rows: dict[str, tuple[int, int]] = {}
        end = 0
        with progress_bar(len(unique), "texts", progress) as bar:
            for start in range(0, len(unique), batch):
                part = unique[start : start + batch]
                features, mask = encoder(part)
                for text, states, valid in zip(part, features.cpu(), mask.cpu(), strict=True):
                    parts.append(states[valid].to(dtype))
                    self.rows[text] = (end, end + len(parts[-1]))
                    end = self.rows[text][1]
                bar.update(len(part))
        self.features = torch.cat(parts) if parts else torch.zeros(0, encoder.dim, dtype=dtype)  # [sum of L, C]

    @classmethod
    def of(cls, features: Tensor, rows: Mapping[str, tuple[int, int]]) -> "TextBank":
        """A bank of features `[sum of L, C]` that are there, and the rows of each text in them, first and last + 1."""
        bank = cls.__new__(cls)
        bank.features, bank.rows = features, dict(rows)
        return bank

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, text: object) -> bool:
        return text in self.rows

    def __getitem__(self, text: str) -> Tensor:
        start, end = self.rows[text]
        return self.features[start:end].float()

    def joined(self, other: "TextBank") -> "TextBank":
        """A bank of the texts of both, which have none in common."""
        shift = len(self.features)
        rows = {text: (start + shift, end + shift) for text, (start, end) in other.rows.items()}
        return TextBank.of(torch.cat([self.features, other.features]), {**self.rows, **rows})
