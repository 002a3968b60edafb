"""The clips of a language model's recipe as code sequences: read, composed, described and encoded, or from a cache.

    training, held_out = motion_sequences(data, recipe.seed, tokenizer)

With `data.cache` the codes are kept in a folder, keyed by a hash of everything that they depend on: the options, the
list and files of the motions, the tokenizer, the seed, and the library itself. On a cache hit no motion is read.
"""

import contextlib
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from motionmillion.data.clips import MotionClip, list_clips
from motionmillion.data.sets.sequences import Sequences, make_sequences
from motionmillion.data.sets.token_cache import cached_sequences, fingerprint
from motionmillion.provenance import tensors_hash
from motionmillion.tokenizer import MotionTokenizer
from motionmillion.training.lm.options import LMSection


def motion_sequences(data: LMSection, seed: int, tokenizer: MotionTokenizer) -> tuple[Sequences, Sequences]:
    """Code sequences for training and for validation.

    Args:
        seed: seed of synthetic clips, compositions and versions.

    Raises:
        ValueError: for data without captioned clips of the splits `train` and `val`.
    """
    source = _Source(data, seed)
    if not data.cache:
        return source.training(tokenizer), source.validation(tokenizer)
    common = [tensors_hash(tokenizer.state_dict()), _settings(tokenizer), seed]
    key = fingerprint(["training", *common, source.state(), _deciding(data)])
    training = cached_sequences(data.cache, key, lambda: source.training(tokenizer))
    key = fingerprint(["validation", *common, source.state(), data.synthetic])
    return training, cached_sequences(data.cache, key, lambda: source.validation(tokenizer))


class _Source:
    """The clips that a recipe names, read once, on first use."""

    def __init__(self, data: LMSection, seed: int) -> None:
        self.data, self.seed = data, seed
        self._clips: list[MotionClip] | None = None

    def clips(self) -> list[MotionClip]:
        if self._clips is None:
            self._clips = self.data.clips(self.seed)
        return self._clips

    def training(self, tokenizer: MotionTokenizer) -> Sequences:
        clips = self.data.training_clips(self.clips(), self.seed)
        return make_sequences(clips, tokenizer, **self.data.versions, seed=self.seed)

    def validation(self, tokenizer: MotionTokenizer) -> Sequences:
        clips = [clip for clip in self.clips() if clip.split == "val"]
        return make_sequences(clips, tokenizer)

    def state(self) -> list[Any]:
        """Everything that identifies the clips without reading a motion; part of the cache's key."""
        rules = Path(self.data.caption_rules).read_text(encoding="utf-8") if self.data.caption_rules else ""
        return [rules, *(_folder_state(folder, self.data.skip_bad) for folder in self.data.folders)]


def _deciding(data: LMSection) -> dict[str, Any]:
    """Options that determine codes and captions, apart from folders and caption rules."""
    compose = None if data.compose is None else asdict(data.compose)
    own = {"synthetic": data.synthetic, **data.versions, "compose": compose}
    return own | {"skip_bad": True} if data.skip_bad else own


def _folder_state(folder: str, skip_bad: bool) -> list[Any]:
    """Every clip of a folder, with the size and modification time of its files."""
    records, stamps = list_clips(folder, skip_bad=skip_bad), {}
    for name in {"skeleton.json", *(record.file for record in records)}:
        with contextlib.suppress(OSError):
            found = os.stat(Path(folder) / name)
            stamps[name] = [found.st_size, found.st_mtime_ns]
    return [[record.facts() for record in records], stamps]


def _settings(tokenizer: MotionTokenizer) -> dict[str, Any]:
    """The tokenizer's config, without the path it was loaded from."""
    config = tokenizer.config.to_dict()
    return {name: value for name, value in config.items() if name not in ("_name_or_path", "transformers_version")}
