"""Pairs of motion and text: the training data of the text-motion evaluator.

    dataset = PairDataset(clips, representation, text_encoder, variants=8, seed=0)
    batch = collate_pairs([dataset[i] for i in ...])

Every clip is encoded in several versions ahead of time (mirrored, other speeds, ends cut); each visit draws one of
them and one of its captions, and can show its mirrored copy with it.

Letters: B batch, T frames, D feature size, L text length, C text feature size.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from motionmillion.data.augment import random_variants
from motionmillion.data.clips import MotionClip
from motionmillion.data.mirror_words import mirror_caption, sides
from motionmillion.data.sets.groups import BALANCED_BY, check_balance_by, group_of
from motionmillion.data.sets.sequences import Version
from motionmillion.data.sets.texts import TextBank, Texts, check_caption_sources, draw_caption, padded_texts
from motionmillion.data.shards.texts import TextShards
from motionmillion.features import Representation
from motionmillion.progress import tracked
from motionmillion.text.encoder import TextEncoder

_SIDES = ("left", "right", "clockwise", "counterclockwise")
_COMPARED = 12
"""Sides of a text that are compared, the first ones."""


class PairDataset(Dataset):
    """Clips as features with captions; version and caption are drawn at random at each access.

    Args:
        clips: clips with captions; others are left out.
        representation: makes the features.
        encoder: makes the text features.
        variants: versions of each clip; 0 keeps the clip as it is.
        speed, trim: range of the versions, see `random_variant`.
        own_caption_share: for a window cut out of a longer take, probability of drawing one of its own captions.
        seed: seed of the versions.
        texts: precomputed features; `encoder` is then not used.
        caption_weights: probability weights of the sources of captions, see `motionmillion.data.sets.texts`.
        mirrored: also encode the mirrored copy of every version, which comes with it in each visit.

    Raises:
        ValueError: if no clip has a caption, or none of a source that `caption_weights` names, or precomputed features
            lack a caption.
    """

    def __init__(
        self,
        clips: Sequence[MotionClip],
        representation: Representation,
        encoder: TextEncoder,
        variants: int = 0,
        speed: float = 0.1,
        trim: float = 0.15,
        own_caption_share: float = 0.5,
        seed: int = 0,
        texts: Texts | None = None,
        caption_weights: Mapping[str, float] | None = None,
        mirrored: bool = False,
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        clips = [clip for clip in clips if clip.captions]
        if not clips:
            raise ValueError("clips must have captions to train on, got none with any")
        check_caption_sources(caption_weights, (clip.sources for clip in clips))
        self.own_caption_share, self.caption_weights = own_caption_share, caption_weights
        self._groups = {by: [group_of(clip, by) for clip in clips] for by in BALANCED_BY}
        self.names = [clip.name for clip in clips]
        self.versions: list[list[Version]] = []
        self.features: list[list[Tensor]] = []
        self.mirrored: list[list[Tensor]] = []
        for clip in tracked(clips, "encoding", "clips"):
            made = random_variants(clip, variants, generator, speed, trim)
            self.versions.append([Version.of(each) for each in made])  # without the motions, which would double memory
            self.features.append([representation.encode(each.motion.canonicalize()) for each in made])
            if mirrored:
                copies = [each.motion.mirror().canonicalize() for each in made]
                self.mirrored.append([representation.encode(copy) for copy in copies])
        captions = [c for versions in self.versions for version in versions for c in version.captions]
        captions += map(mirror_caption, list(captions)) if mirrored else []
        if texts is None:
            texts = TextBank(captions, encoder)
        elif isinstance(texts, TextShards):
            texts.check(captions)
        self.texts = texts

    def __len__(self) -> int:
        return len(self.versions)

    def name(self, item: int) -> str:
        """Name of a clip, for messages."""
        return self.names[item]

    def groups(self, by: str = "category") -> list[str | None]:
        """The group of each clip, see `motionmillion.data.sets.groups.group_of`."""
        return self._groups[check_balance_by(by)]

    def __getitem__(self, item: int) -> dict[str, Any]:
        draw = int(torch.randint(len(self.versions[item]), ()))
        clip = self.versions[item][draw]
        shares = (self.own_caption_share, clip.sources, self.caption_weights)
        caption = draw_caption(clip.captions, clip.own_captions, clip.whole, *shares)
        pair = self._pair(self.features[item][draw], caption)
        if self.mirrored:
            pair["mirrored"] = self._pair(self.mirrored[item][draw], mirror_caption(caption))
        return pair

    def _pair(self, features: Tensor, caption: str) -> dict[str, Any]:
        return {"features": features, "text": self.texts[caption], "sides": _number_of(sides(caption, turns=True))}


def _number_of(named: Sequence[str]) -> int:
    """A number for the sides that a text names, in their order; 0 for none."""
    return sum((1 + _SIDES.index(side)) * 5**place for place, side in enumerate(named[:_COMPARED]))


def collate_pairs(samples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """Padded `features` `[B, T, D]`, `lengths` `[B]`, `text_features` `[B, L, C]`, `text_mask` `[B, L]`, `sentences`
    `[B, C]`, the mean of each text's features, and `sides` `[B]`, equal where texts name the same sides in one order.

    Mirrored copies are samples of their own, behind all others.
    """
    samples = [*samples, *(sample["mirrored"] for sample in samples if "mirrored" in sample)]
    features, text = ([sample[name] for sample in samples] for name in ("features", "text"))
    text_features, text_mask = padded_texts(text)
    return {
        "features": pad_sequence(features, batch_first=True),
        "lengths": torch.tensor([len(each) for each in features]),
        "text_features": text_features,
        "text_mask": text_mask,
        "sentences": torch.stack([states.mean(0) for states in text]),
        "sides": torch.tensor([sample["sides"] for sample in samples]),
    }
