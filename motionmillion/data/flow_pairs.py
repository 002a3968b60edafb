"""What MotionDiT trains on: normalised motion with a text or a reference, from sources that are trusted differently.

    sources = [Source(clips), Source(video_clips, text_share=0.4, trusted_text=("rotations",))]
    dataset = FlowPairs(sources, dit.representation, encoder, text_dropout=0.5)
    dataset.normalize(stats)
    batch = collate_flow([dataset[i] for i in ...])

A visit to a clip draws a version, a caption, the branch (text or reference), and in the text's branch whether the text is
left out. In the reference's branch the clip's own motion, spoiled, is the reference.

Letters: B batch, T frames, D feature size, R size of a reference's frame, L text length, C text feature size.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from motionmillion.configuration import check_number, check_whole, unknown_key_error
from motionmillion.data.clips import MotionClip
from motionmillion.data.pairs import PairDataset
from motionmillion.data.references import Corruption
from motionmillion.features import Representation
from motionmillion.features.stats import FeatureStats
from motionmillion.text import TextEncoder


@dataclasses.dataclass(frozen=True)
class Source:
    """Clips of one kind, and how they are used.

    Args:
        clips: with captions; others are left out.
        text_share: how often a clip is told by its text rather than by a reference.
        trusted_text, trusted_reference: blocks of the features that count in the loss when it is told by text or by a
            reference; None for all.
        weight: how often its clips are visited, against those of other sources.
    """

    clips: Sequence[MotionClip]
    text_share: float = 0.8
    trusted_text: Sequence[str] | None = None
    trusted_reference: Sequence[str] | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        if check_number("text_share", self.text_share) > 1:
            raise ValueError(f"text_share must be in [0, 1], got {self.text_share!r}")
        if not check_number("weight", self.weight) > 0:
            raise ValueError(f"weight must be above 0, got {self.weight!r}")


class FlowPairs(PairDataset):
    """Clips of several sources; each item is drawn at random anew.

    Args:
        sources: see `Source`.
        representation: makes the features.
        encoder: makes the text features.
        text_dropout: share of texts that are left out, which makes guidance possible.
        corruption: spoils references; None leaves them clean.
        reference_blocks: blocks that a reference is told by; none for a model of texts alone.
        longest: frames of an item at most; of longer clips a random window is taken.
        versions: `variants`, `speed`, `trim`, `own_caption_share` and `seed` of `PairDataset`.

    Raises:
        ValueError: if no clip has a caption, and for unknown blocks.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        representation: Representation,
        encoder: TextEncoder,
        text_dropout: float = 0.0,
        corruption: Corruption | None = None,
        reference_blocks: Sequence[str] = (),
        longest: int = 200,
        **versions: Any,
    ) -> None:
        captioned = [(clip, source) for source in sources for clip in source.clips if clip.captions]
        super().__init__([clip for clip, _ in captioned], representation, encoder, **versions)
        self.sources = [source for _, source in captioned]
        layout = representation.layout
        for source in sources:
            named = {*(source.trusted_text or ()), *(source.trusted_reference or ()), *reference_blocks}
            if named - set(layout):
                raise unknown_key_error("trusted blocks", named - set(layout), layout)
        self.layout, self.reference_blocks = layout, tuple(reference_blocks)
        self.text_dropout, self.corruption = text_dropout, corruption
        self.longest = check_whole("longest", longest, 1)

    @property
    def weights(self) -> Tensor:
        """How often to visit each clip `[clips]`, by the weight of its source."""
        return torch.tensor([source.weight for source in self.sources], dtype=torch.float64)

    def normalize(self, stats: FeatureStats) -> None:
        """Normalise all features once; call it before the first item is drawn."""
        self.features = [[(each - stats.mean) / stats.std for each in own] for own in self.features]

    def __getitem__(self, item: int) -> dict[str, Any]:
        source = self.sources[item]
        sample = super().__getitem__(item)
        labels = sample["features"]
        start = int(torch.randint(max(len(labels) - self.longest, 0) + 1, ()))
        labels = labels[start : start + self.longest]
        by_text = not self.reference_blocks or float(torch.rand(())) < source.text_share
        dropped = float(torch.rand(())) < self.text_dropout
        drawn: dict[str, Any] = {"labels": labels, "text": sample["text"], "use_reference": not by_text}
        if dropped or not by_text:
            drawn["text"] = sample["text"][:0]
        if self.reference_blocks:
            drawn["reference"] = self._reference(labels, by_text)
        drawn["feature_mask"] = self._trusted(source.trusted_text if by_text else source.trusted_reference)
        return drawn

    def _reference(self, labels: Tensor, by_text: bool) -> Tensor:
        """The reference `[T, R]`, zeros where the clip is told by its text."""
        reference = torch.cat([labels[:, self.layout[name]] for name in self.reference_blocks], dim=1)
        if by_text:
            return torch.zeros_like(reference)
        return reference if self.corruption is None else self.corruption(reference)

    def _trusted(self, blocks: Sequence[str] | None) -> Tensor:
        mask = torch.full((self.layout.dim,), blocks is None)
        for name in blocks or ():
            mask[self.layout[name]] = True
        return mask


def collate_flow(samples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """A padded batch: the arguments of `MotionDiT.forward` with labels, `labels` `[B, T, D]` and so on."""
    labels, text = ([sample[name] for sample in samples] for name in ("labels", "text"))
    words = torch.tensor([len(states) for states in text])
    frames = torch.tensor([len(each) for each in labels])
    features = pad_sequence(text, batch_first=True)
    if not features.shape[1]:  # every text was left out
        features = features.new_zeros(len(samples), 1, features.shape[2])
    batch = {
        "labels": pad_sequence(labels, batch_first=True),
        "text": features,
        "text_mask": torch.arange(features.shape[1]) < words[:, None],
        "feature_mask": torch.stack([sample["feature_mask"] for sample in samples]),
    }
    batch["frame_mask"] = torch.arange(batch["labels"].shape[1]) < frames[:, None]
    if "reference" in samples[0]:
        batch["reference"] = pad_sequence([sample["reference"] for sample in samples], batch_first=True)
        batch["use_reference"] = torch.tensor([sample["use_reference"] for sample in samples])
    return batch
