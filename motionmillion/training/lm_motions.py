"""The clips of a language model's recipe as code sequences: read, composed, described and encoded, or from a cache.

    training, held_out = motion_sequences(recipe, data, tokenizer)

With `data.cache` the codes are kept in a folder under a hash of everything that they follow from: the options, list
and files of the motions, tokenizer, seed, and the library itself. Where they are found no motion is read.
"""

import contextlib
import os
from pathlib import Path
from typing import Any

from motionmillion.data.captions import add_captions, load_caption_rules
from motionmillion.data.clips import MotionClip, list_clips
from motionmillion.data.composing import ComposeOptions, compose_clips
from motionmillion.data.sets.sequences import Sequences, make_sequences
from motionmillion.data.sets.token_cache import cached_sequences, fingerprint
from motionmillion.provenance import tensors_hash
from motionmillion.tokenizer import MotionTokenizer
from motionmillion.training.recipe import Recipe, clips_of

_DECIDING = ("synthetic", "variants", "speed", "trim", "compose")
"""Options that codes and captions follow from, besides the folders and the rules for captions."""


def motion_sequences(recipe: Recipe, data: dict[str, Any], tokenizer: MotionTokenizer) -> tuple[Sequences, Sequences]:
    """Training and validation.

    Raises:
        ValueError: for data without captioned clips of the splits `train` and `val`.
    """
    source = _Source(recipe, data)
    if not data["cache"]:
        return source.training(tokenizer), source.validation(tokenizer)
    common = [tensors_hash(tokenizer.state_dict()), _settings(tokenizer), recipe.seed]
    key = fingerprint(["training", *common, source.state(), {name: data[name] for name in _DECIDING}])
    training = cached_sequences(data["cache"], key, lambda: source.training(tokenizer))
    key = fingerprint(["validation", *common, source.state(), data["synthetic"]])
    return training, cached_sequences(data["cache"], key, lambda: source.validation(tokenizer))


class _Source:
    """The clips that a recipe names; they are read once, when the first of them are needed."""

    def __init__(self, recipe: Recipe, data: dict[str, Any]) -> None:
        self.recipe, self.data = recipe, data
        self._clips: list[MotionClip] | None = None

    def clips(self, split: str) -> list[MotionClip]:
        if self._clips is None:
            self._clips = clips_of(self.data["folder"], self.data["synthetic"], self.recipe.seed)
        return [clip for clip in self._clips if clip.split == split and clip.captions]

    def training(self, tokenizer: MotionTokenizer) -> Sequences:
        data, seed = self.data, self.recipe.seed
        rules = load_caption_rules(data["caption_rules"]) if data["caption_rules"] else []
        clips = [add_captions(clip, rules) for clip in self.clips("train")]
        compose = ComposeOptions.from_section(data["compose"])
        if compose is not None:
            clips, _ = compose_clips(clips, compose, seed)
        versions = {name: data[name] for name in ("variants", "speed", "trim")}
        return make_sequences(clips, tokenizer, **versions, seed=seed, progress=True)

    def validation(self, tokenizer: MotionTokenizer) -> Sequences:
        return make_sequences(self.clips("val"), tokenizer, progress=True)

    def state(self) -> list[Any]:
        """What is known of the clips without reading a motion."""
        folders = self.data["folder"] or []
        folders = [folders] if isinstance(folders, str) else folders
        rules = Path(self.data["caption_rules"]).read_text(encoding="utf-8") if self.data["caption_rules"] else ""
        return [rules, *(_folder_state(folder) for folder in folders)]


def _folder_state(folder: str) -> list[Any]:
    """Every clip of a folder, and size and time of its files."""
    records, stamps = list_clips(folder), {}
    for name in {"skeleton.json", *(record.file for record in records)}:
        with contextlib.suppress(OSError):
            found = os.stat(Path(folder) / name)
            stamps[name] = [found.st_size, found.st_mtime_ns]
    return [[vars(record) for record in records], stamps]


def _settings(tokenizer: MotionTokenizer) -> dict[str, Any]:
    """The tokenizer's config, without where it was loaded from."""
    config = tokenizer.config.to_dict()
    return {name: value for name, value in config.items() if name not in ("_name_or_path", "transformers_version")}
