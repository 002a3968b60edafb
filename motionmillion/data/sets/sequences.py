"""Clips as codes in several versions, each with its captions and labels; `TokenDataset` draws from them.

    sequences = make_sequences(clips, tokenizer, variants=8, seed=0)
    sequences.codes[0][3], sequences.versions[0][3].captions         # the fourth version of the first clip

The motions themselves are not kept. Clips are encoded in chunks, sorted by length.

Letters: N codes in time, Q latent channels.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from motionmillion.data.augment import random_variants
from motionmillion.data.clips import MotionClip
from motionmillion.data.sets.groups import BALANCED_BY, group_of
from motionmillion.data.shards.encoding import encode_motion
from motionmillion.progress import progress_bar
from motionmillion.tokenizer import MotionTokenizer

DATASET = "dataset"

_TOGETHER = 64
"""Number of clips whose versions are encoded together; it bounds memory and does not change the codes."""


@dataclass(frozen=True)
class Version:
    """Captions and labels of one version of a clip; the fields are those of `MotionClip`."""

    captions: tuple[str, ...]
    own_captions: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    whole: bool = True
    ends: bool = True

    @classmethod
    def of(cls, clip: MotionClip) -> "Version":
        return cls(clip.captions, clip.own_captions, clip.sources, clip.whole, clip.ends)

    def replace(self, **changes) -> "Version":
        return replace(self, **changes)


@dataclass
class Sequences:
    """Clips with codes.

    Args:
        codes: codes `[N]` of each version of each clip; without a codebook, latents `[N, Q]`.
        versions: captions and labels of each version.
        groups: group of each clip, for each of `motionmillion.data.sets.groups.BALANCED_BY`; see `group_of`; and
            as `DATASET` the data set that it is from.
        names: name of each clip, for messages.
    """

    codes: list[list[Tensor]]
    versions: list[list[Version]]
    groups: dict[str, list[str | None]]
    names: list[str] = field(default_factory=list)

    def captions(self) -> Iterable[str]:
        """Every distinct caption, including those of mirrored versions."""
        return dict.fromkeys(c for own in self.versions for version in own for c in version.captions)


def make_sequences(
    clips: Sequence[MotionClip],
    tokenizer: MotionTokenizer,
    variants: int = 0,
    speed: float = 0.1,
    trim: float = 0.15,
    seed: int = 0,
) -> Sequences:
    """Encode the clips that have captions.

    Args:
        tokenizer: makes the codes, or latents if it has no codebook.
        variants: versions of each clip; 0 keeps the clip as it is.
        speed, trim: range of the versions, see `random_variant`.
        seed: seed of the versions.

    Raises:
        ValueError: if no clip has a caption.
    """
    clips = [clip for clip in clips if clip.captions]
    if not clips:
        raise ValueError("clips must have captions to train a language model, got none with any")
    generator = torch.Generator().manual_seed(seed)
    codes: list[list[Tensor]] = []
    versions: list[list[Version]] = []
    with progress_bar(len(clips), "encoding", "clips") as bar:
        for start in range(0, len(clips), _TOGETHER):
            part = clips[start : start + _TOGETHER]
            made = [random_variants(clip, variants, generator, speed, trim) for clip in part]
            every = [tokenizer.representation.encode(each.motion.canonicalize()) for own in made for each in own]
            encoded = iter(encode_motion(tokenizer, every))
            codes += [[next(encoded) for _ in own] for own in made]
            versions += [[Version.of(each) for each in own] for own in made]
            bar.update(len(part))
    groups: dict[str, list[str | None]] = {by: [group_of(clip, by) for clip in clips] for by in BALANCED_BY}
    groups[DATASET] = [clip.dataset for clip in clips]
    return Sequences(codes, versions, groups, [clip.name for clip in clips])
