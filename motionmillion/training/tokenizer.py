"""Train a motion tokenizer from a recipe file.

| key of `data` | meaning |
|---|---|
| folder, synthetic | where clips come from |
| frames | window length |
| copies, speed | versions of each clip (plain, mirrored, then speed variants), and the range of speeds |
| mixed | further versions with the upper body of another clip |
| kinematics_from | step from which the losses on decoded motion count |

Losses on decoded motion that count from the start only teach the decoder to stand still, which is smooth: let the
features become roughly right first.
"""

from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerState, set_seed

from motionmillion.data.windows import FeatureWindows, WholeClips, collate_features
from motionmillion.eval.reconstruction import evaluate_tokenizer
from motionmillion.features.stats import feature_stats
from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig
from motionmillion.training.recipe import Recipe, clips_of, take_options
from motionmillion.training.trainer import build_trainer, run


def train_tokenizer(recipe: Recipe, resume: bool = False) -> dict[str, float]:
    """Train, validate on whole clips of the `val` split, write `<output>/final`; returns the validation figures."""
    data = take_options(
        recipe.data,
        "data section",
        folder=None,
        synthetic=0,
        frames=64,
        copies=2,
        speed=0.1,
        mixed=0,
        kinematics_from=0,
    )
    set_seed(recipe.seed)
    config = MotionTokenizerConfig(**recipe.model)
    model = MotionTokenizer(config)
    clips = clips_of(data["folder"], data["synthetic"], recipe.seed)
    split = {name: [clip for clip in clips if clip.split == name] for name in ("train", "val")}
    for name, members in split.items():
        if not members:
            raise ValueError(f"data must hold clips of the split {name!r}, got none; add a {name}.txt")
    windows = FeatureWindows(
        split["train"],
        model.representation,
        data["frames"],
        data["copies"],
        data["speed"],
        data["mixed"],
        recipe.seed,
    )
    model.set_statistics(feature_stats(windows.clips, model.representation.layout))
    validation = WholeClips(split["val"], model.representation)
    trainer = build_trainer(
        model, recipe, windows, validation, collate_features, lambda m: evaluate_tokenizer(m, validation.features)
    )
    trainer.add_callback(KinematicsFrom(data["kinematics_from"]))
    figures = run(trainer, resume)
    if trainer.is_world_process_zero():
        model.save_pretrained(Path(recipe.output) / "final")
    return figures


class KinematicsFrom(TrainerCallback):
    """Lets the kinematic losses of a tokenizer count from step `first` on."""

    def __init__(self, first: int) -> None:
        self.first = first

    def on_step_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        model = getattr(kwargs["model"], "module", kwargs["model"])  # wrapped where several processes train
        model.kinematics = state.global_step >= self.first
