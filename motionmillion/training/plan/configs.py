"""The config of the language model that a recipe will train, before its tokenizer and its data exist.

    config = lm_config(recipe, data, path, notes)

What does not exist yet is taken from the recipe that will write it, if there is one in the same folder or in the
sibling folder `tokenizer`; otherwise MotionMillion's codebook and text encoder are assumed, and a note says so.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from motionmillion.configuration import check_whole
from motionmillion.data.shards.texts import read_text_header
from motionmillion.data.shards.tokens import read_header
from motionmillion.lm import MotionLMConfig
from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.pipeline.folder import bundled, find_pipeline, is_pipeline
from motionmillion.text.encoder import MINILM
from motionmillion.tokenizer import MotionTokenizerConfig
from motionmillion.training.dit.sources import dit_data_options
from motionmillion.training.dit.start_from import dit_config, find_dit
from motionmillion.training.lm.options import LMSection, lm_data_options, motion_of
from motionmillion.training.recipe import Recipe, load_yaml
from motionmillion.training.sections import TextToMotionSection

LEVELS, TEXT_DIM = [8, 8, 8, 5, 5, 5], 2048  # MotionMillion's
CODEBOOK = math.prod(LEVELS)
LATENTS = 16

TEXT_DIMS = {
    MINILM: 384,
    "google/flan-t5-small": 512,
    "google/flan-t5-base": 768,
    "google/flan-t5-large": 1024,
    "google/flan-t5-xl": 2048,
    "google/flan-t5-xxl": 4096,
    "google/umt5-small": 512,
    "google/umt5-base": 768,
    "google/umt5-xl": 2048,
    "google/umt5-xxl": 4096,
    "openai/clip-vit-base-patch32": 512,
    "openai/clip-vit-large-patch14": 768,
}
"""Feature widths of published text encoders."""


def lm_config(recipe: Recipe, data: LMSection, path: Path, notes: list[str]) -> MotionLMConfig:
    """The config of the model that the recipe trains; with `start_from`, the config of that model.

    Raises:
        ValueError: for unknown options of the model, and a tokenizer without a codebook.
    """
    if data.start_from:
        started = _started(data.start_from, path, notes)
        if started is not None:
            return started
    options = {key: value for key, value in recipe.model.items() if key != "lora"}
    options |= _motion_sizes(str(data.tokenizer or ""), options, path, notes)
    options["text_dim"] = text_width(data, notes)
    _check_tokens(data.tokens, options["codebook_size"])
    size = options.pop("size", None)
    return MotionLMConfig.from_name(size, **options) if size else MotionLMConfig(**options)


def completed(recipe: Recipe, data: LMSection) -> LMSection:
    """The section with missing values filled in from the pipeline `start_from`, if that exists."""
    name = str(data.start_from or "")
    there = name in bundled() or is_pipeline(name)
    return data.completed(find_pipeline(name), recipe.data) if there else data


def _started(name: str, path: Path, notes: list[str]) -> MotionLMConfig | None:
    """The config of the model to start from: bundled, on disk, or from the recipe that will write it."""
    if name in bundled() or Path(name).is_dir():
        folder = find_pipeline(name)
        inside = folder / "lm"
        return MotionLMConfig.from_pretrained(inside if inside.is_dir() else folder)
    for other, content in _recipes(path):
        if f"{content.get('output')}/final" == name.rstrip("/") and isinstance(content.get("data"), dict):
            notes.append(f"the model to start from is taken to be that of {_short(other)}, which writes it")
            below = Recipe(**content)
            return lm_config(below, lm_data_options(below), other, notes)
    notes.append(f"the model to start from cannot be looked at: {name}; sizes are those of the recipe's own section")
    return None


def _motion_sizes(name: str, model: Mapping[str, Any], path: Path, notes: list[str]) -> dict[str, Any]:
    """Codebook size or latent channels of the tokenizer `name`, as needed by the section `model` of a recipe."""
    if name and Path(name, "config.json").is_file():
        return motion_of(MotionTokenizerConfig.from_pretrained(name), model, name)
    for other, content in _recipes(path):
        if name and f"{content.get('output')}/final" == name.rstrip("/"):
            notes.append(f"the codebook is taken to be that of {_short(other)}, which writes the tokenizer")
            return motion_of(MotionTokenizerConfig(**content.get("model", {})), model, name)
    if model.get("head") == "flow":
        notes.append(f"the tokenizer cannot be looked at; latents of {LATENTS} channels are assumed")
        return {"codebook_size": 0, "latent_dim": LATENTS}
    notes.append(f"the tokenizer cannot be looked at; a codebook of {CODEBOOK:,} is assumed")
    return motion_of(MotionTokenizerConfig(quantizer={"type": "fsq", "levels": LEVELS}), model, name)


def _check_tokens(given: str | list[str] | None, codebook_size: int) -> None:
    """Raise `ValueError` for token shards of another codebook; missing folders are skipped."""
    for folder in [given] if isinstance(given, str) else given or []:
        if Path(folder).exists():
            found = read_header(folder)["tokenizer"].get("codebook_size")
            if found != codebook_size:
                raise ValueError(
                    f"data.tokens must be of the tokenizer's codebook, {codebook_size} codes, got {found!r} in "
                    f"{folder!r}; tokenize the motions again"
                )


def text_width(data: TextToMotionSection, notes: list[str]) -> int:
    """Width of the text encoder's features, from precomputed features, the encoder's name, or its folder."""
    name, features = str(data.text_encoder), data.text_features
    if features and Path(features).exists():
        encoder = read_text_header(features)["encoder"]
        wanted = {"name": name, "sentence": data.sentence, "max_length": data.text_length}
        for key, value in wanted.items():
            if encoder.get(key) != value:
                raise ValueError(
                    f"data.text_features must be of the recipe's text encoder, {key} {value!r}, got "
                    f"{encoder.get(key)!r} in {features!r}; encode the captions again"
                )
        return check_whole("width of data.text_features", encoder.get("dim"), 1)
    if name in TEXT_DIMS:
        return TEXT_DIMS[name]
    try:
        found = json.loads((Path(name) / "config.json").read_text(encoding="utf-8"))
        found = found.get("text_config", found)
        return check_whole("width", found.get("d_model", found.get("hidden_size")), 1)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, AttributeError, ValueError):
        notes.append(f"the text encoder cannot be looked at: {name}; features of {TEXT_DIM:,} are assumed")
        return TEXT_DIM


def _short(path: Path) -> str:
    return os.path.relpath(path)


def trained_dit_config(name: str, argument: str, path: Path, notes: list[str]) -> MotionDiTConfig:
    """The config of the DiT that the recipe at `path` starts from: on disk, or from the recipe that will write it.

    Raises:
        ValueError: if it is neither; `argument` is its name in the message.
    """
    if Path(name).is_dir():
        return MotionDiTConfig.from_pretrained(find_dit(name, argument))
    for other, content in _recipes(path):
        if f"{content.get('output')}/final" == name.rstrip("/"):
            notes.append(f"the trained model is taken to be that of {_short(other)}, which writes it")
            below = Recipe(**content)
            return dit_config(below, text_width(dit_data_options(below), notes))
    raise ValueError(f"{argument} must be a trained DiT, or what a recipe beside this one writes, got {name!r}")


def _recipes(path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Other recipe files in the folder of `path`, and those in its sibling folder `tokenizer`."""
    folder = path.resolve().parent
    for other in sorted(folder.glob("*.yaml")) + sorted(folder.parent.glob("tokenizer/*.yaml")):
        try:
            content = load_yaml(other)
        except ValueError:
            continue  # some other YAML
        if other != path.resolve() and isinstance(content.get("output"), str) and "base" not in content:
            yield other, content
