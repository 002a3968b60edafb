"""Distil a trained MotionDiT into a student of a few steps, from a recipe file.

    motionmillion train few-step --config recipes/flow/few_step.yaml

`data` takes the keys of `motionmillion.training.dit`; text encoder, sentence, text length and sampling are those of
the teacher's pipeline where the recipe does not name them. There is no caption dropout.

| key of `model` | meaning |
|---|---|
| teacher | pipeline of a DiT, or the folder of the transformer itself |
| steps | number of steps of the student |
| substeps | steps of the teacher within each of them |
| guidance_scale | guidance of the teacher, which becomes part of the student |
| shift | shift of the steps; left out, that of the teacher's training |
| starts | where steps begin: "teacher", on its own path from noise, or "motion", at clean motion with noise |
| dropout | dropout in the student's blocks |

The student is initialised as a copy of the teacher. Validation reports, besides the loss, `gap`, the distance between
the student's result and that of the teacher in steps * substeps steps from the same noise, and `gap_teacher`, the same
distance for the teacher limited to the student's number of steps; both in standard deviations of the features. Written
at the end: `<output>/final`, a pipeline whose defaults are the student's steps without further guidance. The method is
explained in `motionmillion.lm.dit.few_step`.
"""

from collections import Counter
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Subset
from transformers import set_seed

from motionmillion.configuration import check_number
from motionmillion.data.sets.flow_pairs import collate_flow
from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.lm.dit.few_step import Distiller, FewStep
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.pipeline.options import DiTOptions, given_only
from motionmillion.progress import say_lines
from motionmillion.training.arguments import training_arguments
from motionmillion.training.dit.sources import dit_data_options, dit_sources
from motionmillion.training.dit.start_from import check_encoder, copied, find_dit, load_dit, statistics
from motionmillion.training.dit.train import dit_data_sets, run_and_save, visits
from motionmillion.training.origins import check_origins, clips_of, model_of, shards_of
from motionmillion.training.recipe import Recipe
from motionmillion.training.resume import check_output, note_recipe
from motionmillion.training.sections import option, read_section
from motionmillion.training.sharing import chosen
from motionmillion.training.trainer import build_trainer

_BATCH = 32
_LOOKED_AT = 32
"""Validation clips for which student and teacher are both sampled in full, to measure the gap."""


@dataclass(frozen=True)
class FewStepSection:
    """The section `model` of a distillation recipe."""

    teacher: str | None = option(None, "pipeline of a DiT, or the folder of the transformer itself")
    steps: int = option(FewStep.steps, "number of steps of the student")
    substeps: int = option(FewStep.substeps, "steps of the teacher within each of them")
    guidance_scale: float = option(
        FewStep.guidance_scale, "guidance of the teacher, which becomes part of the student"
    )
    shift: float | None = option(FewStep.shift, "shift of the steps; left out, that of the teacher's training")
    starts: str = option(
        FewStep.starts,
        'where steps begin: "teacher", on its own path from noise, or "motion", at clean motion with noise',
    )
    dropout: float = option(0.0, "dropout in the student's blocks")

    def __post_init__(self) -> None:
        if check_number("model.dropout", self.dropout) >= 1:
            raise ValueError(f"model.dropout must be in [0, 1), got {self.dropout!r}")
        if not self.teacher:
            raise ValueError(
                f"model.teacher must name a trained DiT, got {self.teacher!r}; add teacher: runs/flow/NAME/final"
            )
        _ = self.distillation

    @property
    def distillation(self) -> FewStep:
        """Options of the distillation."""
        return FewStep(**{each.name: getattr(self, each.name) for each in fields(FewStep)})


def train_few_step(recipe: Recipe, resume: bool = False, force: bool = False) -> dict[str, float]:
    """Distil, validate on the `val` split, write the pipeline `<output>/final`; returns the validation figures.

    Args:
        resume: continue from the newest checkpoint in the output folder.
        force: only warn if a run to resume had another teacher or other data.

    Raises:
        ValueError: for unknown options, a teacher that is not a DiT or uses other text features, and data without
            captioned clips of the splits `train` and `val`.
    """
    # 1. checks that need nothing loaded
    model = few_step_options(recipe)
    options = model.distillation
    folder = find_dit(str(model.teacher), "model.teacher")
    data = dit_data_options(recipe).completed(folder.parent, recipe.data)
    if data.start_from:
        raise ValueError(
            f"data.start_from must be left out, got {data.start_from!r}; the student starts as its teacher"
        )
    arguments = training_arguments(recipe, "few-step")
    check_output(recipe, resume)
    say_lines(data.check_clips(captioned=True))
    note_recipe(recipe)
    check_origins(recipe.output, {"model.teacher": model_of(folder), **shards_of([], data.text_features)}, force)
    # 2. teacher and student
    teacher = load_dit(folder, arguments.device)
    distiller = Distiller(teacher, options)
    set_seed(recipe.seed)
    student = student_of(distiller, model.dropout)
    # 3. data
    sources = dit_sources(recipe, data)
    encoder = data.encoder(arguments.device)
    check_encoder(teacher, encoder, data.text_encoder)
    train, held_out = dit_data_sets(recipe, data, sources, encoder, student, statistics(teacher))
    check_origins(recipe.output, clips_of(train, data.every_folder, data.skip_bad), force)
    sampling = {"steps": options.steps, "solver": "euler", "shift": distiller.shift, "guidance_scale": 1.0}
    sampling = given_only({**(data.sampling or {}), **sampling})
    DiTOptions.from_defaults(sampling).check_features(student.config.features)
    encoder.to("cpu")
    # 4. train, and write the pipeline
    some = [visit.index for visit in chosen(len(held_out), arguments.eval_samples, recipe.seed)]
    compared: Dataset = Subset(held_out, some)
    trainer = build_trainer(
        student, arguments, train, held_out, collate_flow, lambda m: evaluate(m, distiller, compared, recipe.seed)
    )
    trainer.sample_weights, trainer.prepare = visits(train, data), distiller.drawn
    trainer.count = distiller.loss_counts
    return run_and_save(trainer, recipe, encoder, sampling)


def few_step_options(recipe: Recipe) -> FewStepSection:
    """The section `model` of a recipe.

    Raises:
        ValueError: for unknown keys, values out of range, and a missing teacher.
    """
    return read_section(FewStepSection, recipe.model, "model section")


def student_of(distiller: Distiller, dropout: float = 0.0) -> MotionDiT:
    """A trainable copy of the teacher, whose config records the number of steps it is distilled for."""
    changes = {"few_step": distiller.made_for, "text_dropout": 0.0, "dropout": dropout}
    return copied(distiller.teacher, MotionDiTConfig.from_dict({**distiller.teacher.config.to_dict(), **changes}))


@torch.no_grad()
def evaluate(student: MotionDiT, distiller: Distiller, dataset: Dataset, seed: int) -> dict[str, float]:
    """Means over clips, with noise that follows from `seed`: "loss", the plain error, and the gaps of the first clips.

    The unweighted squared error is that of the last layer's output: "velocity" or "clean", see
    `MotionDiTConfig.prediction`.
    """
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
            figures = {"loss": output.loss, **output.losses}
            sums.update({"rows": rows, **{name: rows * float(value) for name, value in figures.items()}})
    means = {name: sums[name] / sums["rows"] for name in ("loss", student.config.prediction)}
    return means | {name: sums[name] / sums["looked at"] for name in ("gap", "gap_teacher")}
