"""Loads the trained MotionDiT that a training starts from, to fine-tune it on other clips or to distil it."""

from pathlib import Path
from typing import Any

import torch

from motionmillion.configuration import unknown_key_error
from motionmillion.features.stats import FeatureStats
from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.pipeline.folder import find_pipeline
from motionmillion.text.encoder import TextEncoder
from motionmillion.training.recipe import Recipe
from motionmillion.training.start import without_weights

TUNABLE = ("max_frames", "flow", "smoothness", "block_weights", "text_dropout", "dropout")
"""Settings of a model that can change without changing its weights."""


def find_dit(name: str, argument: str) -> Path:
    """The folder of a trained transformer, given its pipeline (folder or hub id) or the folder itself.

    Raises:
        ValueError: if it is not a MotionDiT; `argument` is its name in the message.
    """
    folder = find_pipeline(name)
    inside = folder / "dit"
    folder = inside if inside.is_dir() else folder
    if not (folder / "config.json").is_file() or (folder / "lm").is_dir():
        raise ValueError(f"{argument} must be a pipeline with a DiT, or its transformer, got {name!r}")
    return folder


def load_dit(folder: Path, device: torch.device) -> MotionDiT:
    """The transformer in float32."""
    return MotionDiT.from_pretrained(folder, dtype=torch.float32).to(device)  # type: ignore[arg-type]


def check_encoder(model: MotionDiT, encoder: TextEncoder, name: str) -> None:
    """Raise `ValueError` for an encoder whose features are of another width than the model's."""
    if encoder.dim != model.config.text_dim:
        raise ValueError(
            f"text_encoder must be the one of the trained model, whose features are {model.config.text_dim} wide, got "
            f"{name!r} with {encoder.dim}"
        )


def statistics(model: MotionDiT) -> FeatureStats:
    """Mean and standard deviation of the features that the model was trained on."""
    return FeatureStats(model.mean.cpu(), model.std.cpu())


def tuned_config(config: MotionDiTConfig, changes: dict[str, Any]) -> MotionDiTConfig:
    """The config of a trained model, changed by the `model` section of a recipe that fine-tunes it.

    Raises:
        ValueError: for settings that are fixed by the weights, and for a distilled model.
    """
    if set(changes) - set(TUNABLE):
        raise unknown_key_error("model section of a recipe with data.start_from", set(changes) - set(TUNABLE), TUNABLE)
    if config.few_step is not None:
        raise ValueError(
            f"data.start_from must be a model of many steps, got one distilled for {config.few_step['steps']}; tune "
            "its teacher and distil again"
        )
    return MotionDiTConfig.from_dict({**config.to_dict(), **changes})


def copied(model: MotionDiT, config: MotionDiTConfig) -> MotionDiT:
    """An independent copy of the model, with another config; without weights if it has none."""
    absent = any(weight.is_meta for weight in model.parameters())
    copy = without_weights(MotionDiT, config) if absent else MotionDiT(config)
    copy.load_state_dict(model.state_dict())
    return copy


def dit_config(recipe: Recipe, text_dim: int) -> MotionDiTConfig:
    """The config of a recipe's `model` section, for text features of width `text_dim`."""
    options = {**recipe.model, "text_dim": text_dim}
    size = options.pop("size", None)
    return MotionDiTConfig.from_name(size, **options) if size else MotionDiTConfig(**options)
