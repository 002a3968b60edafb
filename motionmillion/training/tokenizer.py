"""Train a motion tokenizer from a recipe file.

| key of `data` | meaning |
|---|---|
| folder, synthetic | where clips come from: a folder or a list of folders, or a number of synthetic clips |
| skip_bad | leave out clips that cannot be read, and names in lists that match none, and list them |
| frames | window length in frames |
| copies, speed | versions of each clip (plain, mirrored, then speed variants), and the range of their speeds |
| mixed | further versions with the upper body of another clip |
| kinematics_from | step from which the losses on decoded motion count |
| balance | how much more often windows with rare events, such as kicks, are drawn: 0 not, 1 all kinds equally often |
| in_memory | encode a data set of `motionmillion data build` at the start instead of reading it from disk |
| by_process | each process reads files of its own in an epoch, for a data set on a drive that many machines share |

If the losses on decoded motion are active from the first step, the decoder only learns to stand still, which is
smooth: let the features become roughly right first.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback, TrainerState, set_seed

from motionmillion.configuration import check_number, check_share, check_whole
from motionmillion.data.sets.events import event_weights
from motionmillion.data.sets.mapped import MappedClips, MappedWindows
from motionmillion.data.sets.mixing import mixed
from motionmillion.data.sets.windows import FeatureWindows, WholeClips, collate_features
from motionmillion.eval.reconstruction import evaluate_tokenizer
from motionmillion.features import Representation
from motionmillion.features.stats import feature_stats
from motionmillion.progress import say_lines
from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig
from motionmillion.training.arguments import training_arguments
from motionmillion.training.origins import check_origins, clips_of
from motionmillion.training.recipe import Recipe
from motionmillion.training.resume import check_output, note_recipe
from motionmillion.training.sections import ClipsSection, option, read_section
from motionmillion.training.sharing import chosen
from motionmillion.training.trainer import build_trainer, run

EVALUATED = 1024
"""Validation clips of a data set on disk, unless training.eval_samples says otherwise."""

_COPIES = "versions of each clip (plain, mirrored, then speed variants), and the range of their speeds"


@dataclass(frozen=True)
class TokenizerSection(ClipsSection):
    """The section `data` of a tokenizer's recipe."""

    frames: int = option(64, "window length in frames")
    copies: int = option(2, _COPIES)
    speed: float = option(0.1, _COPIES)
    mixed: int = option(0, "further versions with the upper body of another clip")
    kinematics_from: int = option(0, "step from which the losses on decoded motion count")
    balance: float = option(
        0.0, "how much more often windows with rare events, such as kicks, are drawn: 0 not, 1 all kinds equally often"
    )
    in_memory: bool = option(
        False, "encode a data set of `motionmillion data build` at the start instead of reading it from disk"
    )
    by_process: bool = option(
        False, "each process reads files of its own in an epoch, for a data set on a drive that many machines share"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("frames", 1), ("copies", 1), ("mixed", 0), ("kinematics_from", 0)):
            check_whole(f"data.{name}", getattr(self, name), least)
        check_number("data.speed", self.speed)
        check_share("data.balance", self.balance)
        for name in ("in_memory", "by_process"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"data.{name} must be true or false, got {getattr(self, name)!r}")


@dataclass
class TokenizerData:
    """Training and validation data of a tokenizer; several runs can share it.

    Args:
        weights: sampling weight of each window; None draws all alike.
    """

    windows: FeatureWindows | MappedWindows
    validation: WholeClips | MappedClips
    weights: Tensor | None = None


def load_tokenizer_data(recipe: Recipe, representation: Representation) -> TokenizerData:
    """Load the data that a recipe's `data` section names, as features.

    Raises:
        ValueError: for unknown options, and for data without clips of the splits `train` and `val`.
    """
    data = data_options(recipe)
    versions = (data.frames, data.copies, data.speed, data.mixed)
    if tables := [] if data.in_memory else data.tables():
        windows = MappedWindows(tables, representation, *versions, seed=recipe.seed, by_process=data.by_process)
        if data.balance:
            raise ValueError(
                f"data.balance must be 0 for a data set on disk, got {data.balance!r}; set data.in_memory: true"
            )
        return TokenizerData(windows, MappedClips(tables, representation), windows.weights())
    clips = data.clips(recipe.seed)
    split = {name: [clip for clip in clips if clip.split == name] for name in ("train", "val")}
    for name, members in split.items():
        if not members:
            raise ValueError(f"data must hold clips of the split {name!r}, got none; add a {name}.txt")
    windows = FeatureWindows(split["train"], representation, *versions, seed=recipe.seed)
    weights = event_weights(windows, split["train"], data.balance) if data.balance else None
    if mixing := data.mixing():
        datasets = [split["train"][windows.origins[version]].dataset for version, _ in windows.starts]
        weights = mixed(torch.ones(len(windows)) if weights is None else weights, datasets, mixing)
    return TokenizerData(windows, WholeClips(split["val"], representation), weights)


def train_tokenizer(
    recipe: Recipe, resume: bool = False, data: TokenizerData | None = None, force: bool = False
) -> dict[str, float]:
    """Train, validate on whole clips of the `val` split, write `<output>/final`; returns the validation figures.

    Args:
        resume: continue from the newest checkpoint in the output folder.
        data: result of `load_tokenizer_data`, to share it between runs; None loads it.
        force: only warn if a run to resume was trained on other data.
    """
    options = data_options(recipe)
    arguments = training_arguments(recipe, "tokenizer")
    check_output(recipe, resume)
    if data is None:
        say_lines(options.check_clips(captioned=False))
    note_recipe(recipe)
    set_seed(recipe.seed)
    model = MotionTokenizer(MotionTokenizerConfig(**recipe.model))
    data = load_tokenizer_data(recipe, model.representation) if data is None else data
    check_origins(recipe.output, clips_of(data.windows, options.folders, options.skip_bad), force)
    model.set_statistics(feature_stats(data.windows.clips, model.representation.layout))
    if model.config.uses_band_statistics:
        model.band_std.copy_(model.measure_bands(data.windows.clips).flatten())
    features = data.validation.features
    samples = arguments.eval_samples or (EVALUATED if isinstance(features, MappedClips) else 0)
    held_out = [features[visit.index] for visit in chosen(len(features), samples, recipe.seed)]
    trainer = build_trainer(
        model,
        arguments,
        data.windows,
        data.validation,
        collate_features,
        lambda m: evaluate_tokenizer(m, held_out),
    )
    trainer.sample_weights = data.weights
    trainer.add_callback(KinematicsFrom(options.kinematics_from))
    figures = run(trainer, recipe)
    if trainer.is_world_process_zero():
        trainer.trained_model.save_pretrained(Path(recipe.output) / "final")
    return figures


def data_options(recipe: Recipe) -> TokenizerSection:
    """The section `data` of a recipe; unknown keys and values out of range raise `ValueError`."""
    return read_section(TokenizerSection, recipe.data)


class KinematicsFrom(TrainerCallback):
    """Enables the kinematic losses of a tokenizer at step `first`."""

    def __init__(self, first: int) -> None:
        self.first = first

    def on_step_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        model = getattr(kwargs["model"], "module", kwargs["model"])  # wrapped where several processes train
        model.kinematics = state.global_step >= self.first
