"""Distil a trained MotionDiT into a student of a few steps, from a recipe file.

    motionmillion train few-step --config recipes/flow/few_step.yaml

`data` takes the keys of `motionmillion.training.dit`; text encoder, sentence and text length are those of the
teacher's pipeline where the recipe does not name them. Texts are never left out.

| key of `model` | meaning |
|---|---|
| teacher | pipeline of a DiT, or the folder of the transformer itself |
| steps | that the student is made for |
| substeps | of the teacher in each of them |
| guidance_scale | with which the teacher follows its texts; it becomes part of the student |
| shift | of the steps; left out, that of the teacher's training |
| dropout | in the student's blocks |

The student begins as a copy of the teacher. Validation gives, besides the loss, `gap`, how far the student arrives
from the teacher's steps * substeps steps from the same noise, and `gap_teacher`, how far the teacher itself does in as
many steps as the student; both in standard deviations of the features. Written at the end: `<output>/final`, a
pipeline whose defaults are the student's steps without further guidance. How it works: `motionmillion.lm.few_step`.
"""

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import set_seed

from motionmillion.configuration import check_number
from motionmillion.data.flow_pairs import FlowPairs, collate_flow
from motionmillion.features.stats import FeatureStats
from motionmillion.lm.dit import MotionDiT
from motionmillion.lm.dit_config import MotionDiTConfig
from motionmillion.lm.few_step import Distiller, FewStep
from motionmillion.pipeline import find_pipeline
from motionmillion.text import SETTINGS
from motionmillion.training.dit import (
    caption_encoder,
    dit_data_options,
    dit_data_sets,
    dit_sources,
    run_and_save,
    visits,
)
from motionmillion.training.dry_run_model import encoder_options
from motionmillion.training.recipe import Recipe, take_options
from motionmillion.training.resume import check_output
from motionmillion.training.trainer import build_trainer, training_arguments

_BATCH = 32
_LOOKED_AT = 32
"""Validation clips that both go all the way for."""


def train_few_step(recipe: Recipe, resume: bool = False) -> dict[str, float]:
    """Distil, validate on the `val` split, write the pipeline `<output>/final`; returns the validation figures.

    Args:
        resume: go on from the newest checkpoint of the output folder.

    Raises:
        ValueError: for unknown options, a teacher that is none or reads other text features, and data without
            captioned clips of the splits `train` and `val`.
    """
    # 1. check what can be checked before anything is loaded
    options, dropout, teacher_name = few_step_options(recipe)
    folder = find_teacher(teacher_name)
    data = dit_data_options(recipe)
    if recipe.data.get("text_encoder") is None and (folder.parent / SETTINGS).is_file():
        data |= encoder_options(folder.parent, recipe)
    check_output(recipe, resume)
    arguments = training_arguments(recipe)
    # 2. teacher and student
    teacher = MotionDiT.from_pretrained(folder, dtype=torch.float32)
    teacher.to(arguments.device)  # type: ignore[arg-type]
    distiller = Distiller(teacher, options)
    set_seed(recipe.seed)
    student = student_of(distiller, dropout)
    # 3. data
    sources = dit_sources(recipe, data)
    encoder = caption_encoder(data, arguments.device)
    if encoder.dim != teacher.config.text_dim:
        raise ValueError(
            f"text_encoder must be the teacher's, whose features are {teacher.config.text_dim} wide, got "
            f"{data['text_encoder']!r} with {encoder.dim}"
        )
    stats = FeatureStats(*(teacher.get_buffer(name).cpu() for name in ("mean", "std")))
    train, held_out = dit_data_sets(recipe, data, sources, encoder, student, stats)
    encoder.to("cpu")
    # 4. train, and write it
    trainer = build_trainer(
        student, arguments, train, held_out, collate_flow, lambda m: evaluate(m, distiller, held_out, recipe.seed)
    )
    trainer.sample_weights, trainer.prepare = visits(train, data), distiller.drawn
    sampling = {"steps": options.steps, "solver": "euler", "shift": distiller.shift, "guidance_scale": 1.0}
    return run_and_save(trainer, recipe, encoder, {**(data["sampling"] or {}), **sampling})


def few_step_options(recipe: Recipe) -> tuple[FewStep, float, str]:
    """Options of a recipe's `model` section: those of `FewStep`, the student's dropout, the teacher's name.

    Raises:
        ValueError: for unknown keys, values out of range, and no teacher.
    """
    given = take_options(recipe.model, "model section", teacher=None, dropout=0.0, **dataclasses.asdict(FewStep()))
    teacher, dropout = given.pop("teacher"), given.pop("dropout")
    if check_number("model.dropout", dropout) >= 1:
        raise ValueError(f"model.dropout must be in [0, 1), got {dropout!r}")
    if not teacher:
        raise ValueError(f"model.teacher must name a trained DiT, got {teacher!r}; add teacher: runs/flow/NAME/final")
    return FewStep(**given), dropout, str(teacher)


def find_teacher(name: str) -> Path:
    """The folder of a teacher's transformer.

    Raises:
        ValueError: if it is no MotionDiT.
    """
    folder = find_pipeline(name)
    inside = folder / "dit"
    folder = inside if inside.is_dir() else folder
    if not (folder / "config.json").is_file() or (folder / "lm").is_dir():
        raise ValueError(f"model.teacher must be a pipeline with a DiT, or its transformer, got {name!r}")
    return folder


def student_of(distiller: Distiller, dropout: float = 0.0) -> MotionDiT:
    """A copy of the teacher to be trained, whose config says what it is made for."""
    changes = {"few_step": distiller.made_for, "text_dropout": 0.0, "dropout": dropout}
    config = MotionDiTConfig.from_dict({**distiller.teacher.config.to_dict(), **changes})
    student = MotionDiT(config)
    student.load_state_dict(distiller.teacher.state_dict())
    return student


@torch.no_grad()
def evaluate(student: MotionDiT, distiller: Distiller, dataset: FlowPairs, seed: int) -> dict[str, float]:
    """Means over clips, with noise that follows from `seed`: "loss", "velocity", and the gaps of the first clips."""
    sums: Counter[str] = Counter()
    devices = [student.device] if student.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        for batch in DataLoader(dataset, batch_size=_BATCH, collate_fn=collate_flow):
            batch = {name: value.to(student.device) for name, value in batch.items()}
            rows = len(batch["labels"])
            if sums["rows"] < _LOOKED_AT:
                gaps = distiller.gaps(student, batch, torch.randn_like(batch["labels"]))
                found = zip(("gap", "gap_teacher"), gaps, strict=True)
                sums.update({"looked at": rows, **{name: float(each.sum()) for name, each in found}})
            output: Any = student(**distiller.drawn(batch))
            figures = {"loss": output.loss, "velocity": output.losses["velocity"]}
            sums.update({"rows": rows, **{name: rows * float(value) for name, value in figures.items()}})
    means = {name: sums[name] / sums["rows"] for name in ("loss", "velocity")}
    return means | {name: sums[name] / sums["looked at"] for name in ("gap", "gap_teacher")}
