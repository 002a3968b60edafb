"""Training data of MotionDiT: normalised motion with a text or a reference, from sources of different quality.

    sources = [Source(clips), Source(video_clips, text_share=0.4, trusted_text=("rotations",), share=0.2)]
    dataset = FlowPairs(sources, dit.representation, encoder, text_dropout=0.5)
    dataset.normalize(stats)
    batch = collate_flow([dataset[i] for i in ...])

A visit to a clip draws a version, a caption, the branch (text or reference), and in the text branch whether the text
is dropped. In the reference branch the clip's own motion, corrupted, is the reference.

Letters: B batch, T frames, D feature size, R size of a reference's frame, L text length, C text feature size.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from motionmillion.configuration import check_number, check_whole, unknown_key_error
from motionmillion.data.clips import MotionClip
from motionmillion.data.sets.mixing import mixed
from motionmillion.data.sets.pairs import PairDataset
from motionmillion.data.sets.references import Corruption
from motionmillion.data.sets.texts import padded_texts
from motionmillion.features import Representation
from motionmillion.features.base import Layout
from motionmillion.features.stats import FeatureStats
from motionmillion.text.encoder import TextEncoder

_TINY = 1e-6
"""Tolerance for the sum of fractions that are written as decimals."""


@dataclasses.dataclass(frozen=True)
class Source:
    """Clips of one kind, and how they are used.

    Args:
        clips: clips with captions; others are left out.
        text_share: probability of conditioning a clip on its text rather than on a reference.
        trusted_text, trusted_reference: feature blocks that count in the loss of clips conditioned on text or on a
            reference; None for all.
        share: fraction of all visits that go to this source, above 0 and below 1; None visits each of its clips as
            often as each clip of the other sources without a share.
        group: data set that several sources are parts of; their `share` is that of the data set. "" for none.
        name: parts of a data set with one name share a `weight`.
        weight: how often a part is visited relative to the other parts of its data set; None for 1 if another part has
            a weight, and in proportion to the numbers of clips if none has.
    """

    clips: Sequence[MotionClip]
    text_share: float = 0.8
    trusted_text: Sequence[str] | None = None
    trusted_reference: Sequence[str] | None = None
    share: float | None = None
    group: str = ""
    name: str = ""
    weight: float | None = None

    def __post_init__(self) -> None:
        if check_number("text_share", self.text_share) > 1:
            raise ValueError(f"text_share must be in [0, 1], got {self.text_share!r}")
        if self.share is not None and not 0 < check_number("share", self.share) < 1:
            raise ValueError(f"share must be above 0 and below 1, got {self.share!r}; leave it out for the rest")
        if self.weight is not None:
            check_number("weight", self.weight)
        for name in ("trusted_text", "trusted_reference"):
            check_names(name, getattr(self, name))

    def check_blocks(self, layout: Layout) -> None:
        """Raise `ValueError` for trusted blocks that `layout` does not have."""
        named = {*(self.trusted_text or ()), *(self.trusted_reference or ())}
        if named - set(layout):
            raise unknown_key_error("trusted blocks", named - set(layout), layout)


def check_names(name: str, value: Any) -> Sequence[str] | None:
    """`value` if it is None or a list of names; raises `ValueError` for anything else, and for an empty list."""
    if value is None:
        return None
    if not isinstance(value, list | tuple) or not value or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{name} must be a list of at least one name, got {value!r}; leave it out for all")
    return value


class FlowPairs(PairDataset):
    """Clips of several sources; version, caption and conditioning are drawn at random at each access.

    Args:
        sources: see `Source`.
        representation: makes the features.
        encoder: makes the text features.
        text_dropout: fraction of texts that are dropped, for classifier-free guidance.
        corruption: corrupts references; None leaves them clean.
        reference_blocks: feature blocks that a reference consists of; none for a text-only model.
        shortest: minimum number of frames; shorter clips are left out.
        longest: maximum number of frames; of longer clips a random window is taken, as if the motion began there.
        versions: `variants`, `speed`, `trim`, `own_caption_share`, `caption_weights`, `seed` and `texts` of
            `PairDataset`.

    Raises:
        ValueError: if no clip is long enough and has a caption, and for unknown blocks.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        representation: Representation,
        encoder: TextEncoder,
        text_dropout: float = 0.0,
        corruption: Corruption | None = None,
        reference_blocks: Sequence[str] = (),
        shortest: int = 2,
        longest: int = 200,
        **versions: Any,
    ) -> None:
        for source in sources:
            source.check_blocks(representation.layout)
        least = check_whole("shortest", shortest, 2) / representation.fps
        captioned = [(clip, source) for source in sources for clip in source.clips if clip.captions]
        kept = [(clip, source) for clip, source in captioned if clip.motion.seconds >= least]
        if captioned and not kept:
            raise ValueError(
                f"clips must have at least {shortest} frames at {representation.fps:g} per second, got none"
            )
        super().__init__([clip for clip, _ in kept], representation, encoder, **versions)
        self.sources = [source for _, source in kept]
        self.representation, self.reference_blocks = representation, tuple(reference_blocks)
        self.text_dropout, self.corruption = text_dropout, corruption
        self.longest = check_whole("longest", longest, 1)
        self.stats: FeatureStats | None = None

    @property
    def lengths(self) -> Tensor:
        """Frames of each clip, of its first version `[clips]`."""
        return torch.tensor([len(own[0]) for own in self.features]).clamp(max=self.longest)

    def weights(self, within: Tensor | None = None) -> Tensor | None:
        """Sampling weights `[clips]` that give sources their `share` and `weight` of visits; None if all are equal.

        Args:
            within: relative weight of each clip within its source; None if all are equal.

        Raises:
            ValueError: for shares that leave nothing for sources without one, or, if all have one, do not add up to 1.
        """
        if all(source.share is None and source.weight is None for source in self.sources):
            return within
        weights = torch.ones(len(self), dtype=torch.float64) if within is None else within.double().clone()
        self._mix(weights)
        if all(source.share is None for source in self.sources):
            return weights
        keys = [source.group or id(source) for source in self.sources]
        owners = [None if source.share is None else key for source, key in zip(self.sources, keys, strict=True)]
        shares = {
            key: source.share for source, key in zip(self.sources, keys, strict=True) if source.share is not None
        }
        rest = 1 - math.fsum(shares.values())
        if rest < _TINY if None in owners else abs(rest) > _TINY:
            raise ValueError(
                f"shares of sources must add up to {'less than 1' if None in owners else '1'}, got {1 - rest:g}; the "
                "rest is for sources without one"
            )
        for owner in set(owners):
            rows = torch.tensor([other == owner for other in owners])
            weights[rows] *= (rest if owner is None else shares[owner]) / weights[rows].sum()
        return weights

    def _mix(self, weights: Tensor) -> None:
        """Give the parts of each data set their `weight`, in place; the sum over the data set stays as it is."""
        groups = {source.group for source in self.sources if source.weight is not None}
        for group in groups:
            members = torch.tensor([source.group == group for source in self.sources])
            parts = [source for source in self.sources if source.group == group]
            names = [source.name for source in parts]
            weights[members] = mixed(weights[members], names, {part.name: part.weight for part in parts})

    def normalize(self, stats: FeatureStats) -> None:
        """Normalise all features once; call it before the first item is drawn."""
        self.features = [[(each - stats.mean) / stats.std for each in own] for own in self.features]
        self.stats = stats

    def __getitem__(self, item: int) -> dict[str, Any]:
        source = self.sources[item]
        sample = super().__getitem__(item)
        labels = self._window(sample["features"])
        by_text = not self.reference_blocks or float(torch.rand(())) < source.text_share
        dropped = float(torch.rand(())) < self.text_dropout
        drawn: dict[str, Any] = {"labels": labels, "text": sample["text"], "use_reference": not by_text}
        if dropped or not by_text:
            drawn["text"] = sample["text"][:0]
        if self.reference_blocks:
            drawn["reference"] = self._reference(labels, by_text)
        drawn["feature_mask"] = self._trusted(source.trusted_text if by_text else source.trusted_reference)
        return drawn

    def _window(self, features: Tensor) -> Tensor:
        """A random window of at most `longest` frames from the normalised features `[T, D]`."""
        start = int(torch.randint(max(len(features) - self.longest, 0) + 1, ()))
        if len(features) <= self.longest:
            return features
        if self.stats is None:
            raise ValueError("features must be normalised before an item is drawn, got none; call normalize")
        mean, std = self.stats.mean, self.stats.std
        return (self.representation.window(features * std + mean, start, start + self.longest) - mean) / std

    def _reference(self, labels: Tensor, by_text: bool) -> Tensor:
        """The reference `[T, R]`, zeros if the clip is conditioned on its text."""
        reference = torch.cat([labels[:, self.representation.layout[name]] for name in self.reference_blocks], dim=1)
        if by_text:
            return torch.zeros_like(reference)
        return reference if self.corruption is None else self.corruption(reference)

    def _trusted(self, blocks: Sequence[str] | None) -> Tensor:
        mask = torch.full((self.representation.layout.dim,), blocks is None)
        for name in blocks or ():
            mask[self.representation.layout[name]] = True
        return mask


def collate_flow(samples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """A padded batch: the arguments of `MotionDiT.forward`, among them `labels` `[B, T, D]`."""
    labels, text = ([sample[name] for sample in samples] for name in ("labels", "text"))
    frames = torch.tensor([len(each) for each in labels])
    features, mask = padded_texts(text)
    if not features.shape[1]:  # every text was dropped
        features, mask = features.new_zeros(len(samples), 1, features.shape[2]), mask.new_zeros(len(samples), 1)
    batch = {
        "labels": pad_sequence(labels, batch_first=True),
        "text": features,
        "text_mask": mask,
        "feature_mask": torch.stack([sample["feature_mask"] for sample in samples]),
    }
    batch["frame_mask"] = torch.arange(batch["labels"].shape[1]) < frames[:, None]
    if "reference" in samples[0]:
        batch["reference"] = pad_sequence([sample["reference"] for sample in samples], batch_first=True)
        batch["use_reference"] = torch.tensor([sample["use_reference"] for sample in samples])
    return batch
