"""Captions of training clips that training never draws: does a model understand wordings that it has not read?

    wordings = Wordings.of(dataset, share=0.1, seed=0)
    dataset.wordings = wordings                             # draws the other captions from now on
    unseen = wordings.unseen(dataset, samples=4096)         # draws these alone, from clips that have some

Whether a caption is held out depends on its text and the seed alone, so it is held out of every clip. Captions of
clips that would keep none are not held out.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch.utils.data import Subset

from motionmillion.data.shards.texts import text_key


class Captioned(Protocol):
    """A data set of clips with captions."""

    wordings: "Wordings | None"

    def __len__(self) -> int: ...

    def captions_of(self, item: int) -> Sequence[str]:
        """All captions of a clip."""
        ...


@dataclass(frozen=True)
class Wordings:
    """Captions that are held out.

    Args:
        share: fraction of all captions.
        seed: chooses them.
        spared: captions that are drawn nevertheless.
        inverse: draw those that are held out, and no others.
    """

    share: float
    seed: int
    spared: frozenset[str] = frozenset()
    inverse: bool = False

    @classmethod
    def of(cls, dataset: Captioned, share: float, seed: int) -> "Wordings":
        """Held out of a data set, so that every clip keeps a caption."""
        chosen = cls(share, seed)
        clips = (dataset.captions_of(item) for item in range(len(dataset)))
        spared = {text for captions in clips if all(map(chosen.held_out, captions)) for text in captions}
        return replace(chosen, spared=frozenset(spared))

    def held_out(self, text: str) -> bool:
        """Whether training never draws a caption."""
        place = text_key(f"{self.seed} {text}") % 2**32 / 2**32
        return place < self.share and text not in self.spared

    def any_of(self, captions: Sequence[str]) -> bool:
        """Whether any of them may be drawn."""
        return any(self.held_out(text) == self.inverse for text in captions)

    def kept(self, captions: Sequence[str], sources: Sequence[str]) -> tuple[list[str], list[str]]:
        """The captions that may be drawn, and the source of each; sources may be empty."""
        keep = [self.held_out(text) == self.inverse for text in captions]
        left = [text for text, good in zip(captions, keep, strict=True) if good]
        return left, [source for source, good in zip(sources, keep, strict=bool(sources)) if good]

    def unseen(self, dataset: Any, samples: int) -> Subset:
        """Clips of a data set with captions that are held out, which draw those alone.

        Args:
            samples: most clips, at random; 0 for all.
        """
        other = copy.copy(dataset)
        other.wordings = replace(self, inverse=True)
        found = self._having_some(dataset)
        return Subset(other, sorted(index for index, _ in zip(found, range(samples or len(dataset)), strict=False)))

    def _having_some(self, dataset: Captioned) -> Iterator[int]:
        for item in torch.randperm(len(dataset), generator=torch.Generator().manual_seed(self.seed)).tolist():
            if any(map(self.held_out, dataset.captions_of(item))):
                yield item
