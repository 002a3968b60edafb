"""The report of `motionmillion train --dry-run`: checks a recipe, estimates memory, disk and time; writes nothing.

    text, notes = dry_run("lm", load_recipe(path), path, Target(gpus=40, gpu="h100", mfu=0.4))

It needs neither data nor GPUs nor DeepSpeed: a path that does not exist gives a note, not an error, and everything
else in the recipe is checked as in training. The estimates come from `motionmillion.training.plan`.

Unusual: if a tokenizer or model does not exist yet, its config is taken from the neighbouring recipe that will write
it, so that parameter counts are exact before anything has been trained.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import yaml

from motionmillion.configuration import check_whole
from motionmillion.training.plan.checks import check_arguments, check_sharding
from motionmillion.training.plan.cost import (
    GIB,
    STAGES,
    Gpu,
    ModelShape,
    Step,
    find_gpu,
    hours,
    lm_shape,
    memory,
    step_flops,
)
from motionmillion.training.plan.disk import Saved, disk_lines, text_line
from motionmillion.training.plan.measured import MeasuredShape, measured_shape
from motionmillion.training.recipe import Recipe

if TYPE_CHECKING:
    from motionmillion.training.lm.options import LMSection
    from motionmillion.training.sections import ClipsSection

SAMPLE_POSITIONS = 100
"""Default mean number of positions of a packed sample: text, about 3.6 s of motion, END."""


@dataclass(frozen=True)
class Target:
    """Hardware that a recipe is planned for.

    Args:
        gpus: number of GPUs, one process each.
        gpu: GPU model, a key of `motionmillion.training.plan.cost.GPUS`.
        mfu: model FLOPs utilization, the fraction of the datasheet's speed that is reached.
        sample_positions: mean number of positions per sample (text, motion and END); used if rows are packed.

    Raises:
        ValueError: for values out of range.
    """

    gpus: int = 1
    gpu: str = "h200"
    mfu: float = 0.4
    sample_positions: int = SAMPLE_POSITIONS

    def __post_init__(self) -> None:
        check_whole("gpus", self.gpus, 1)
        check_whole("sample_positions", self.sample_positions, 1)
        find_gpu(self.gpu)
        if not 0 < self.mfu <= 1:
            raise ValueError(f"mfu must be above 0 and at most 1, got {self.mfu!r}")


def dry_run(part: str, recipe: Recipe, path: str | Path, target: Target) -> tuple[str, list[str]]:
    """The report on a recipe, and notes on what could not be checked.

    Args:
        part: "tokenizer", "lm", "dit", "few-step" or "evaluator".
        path: the recipe's file; configs of models that do not exist yet are taken from recipes next to it.

    Raises:
        ValueError: for anything in the recipe that training would reject, except missing paths.
    """
    notes: list[str] = []
    arguments = check_arguments(recipe, part)
    stage = check_sharding(recipe, arguments, target.gpus)
    if part == "tokenizer":
        resolved, lines = _tokenizer(recipe, arguments, stage, target, notes)
    elif part == "evaluator":
        resolved, lines = _evaluator(recipe, arguments, stage, target, notes)
    elif part in ("dit", "few-step"):
        resolved, lines = _dit(recipe, Path(path), arguments, stage, target, notes, part)
    else:
        resolved, lines = _lm(recipe, Path(path), arguments, stage, target, notes)
    config = yaml.safe_dump(asdict(resolved), sort_keys=False, width=119, allow_unicode=True)
    return "\n".join([config.rstrip(), "", *lines]), notes


def _tokenizer(
    recipe: Recipe, arguments: Any, stage: int, target: Target, notes: list[str]
) -> tuple[Recipe, list[str]]:
    from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig
    from motionmillion.training.tokenizer import data_options

    data = data_options(recipe)
    _note_missing(asdict(data), ("folder",), notes)
    _check_clips(data, notes, captioned=False)
    config = MotionTokenizerConfig(**recipe.model)
    model = MotionTokenizer(config).train()
    model.kinematics = True
    features = torch.randn(2, data.frames, model.representation.dim)
    shape = measured_shape(model, {"features": features}, autocast=arguments.bf16)
    batch = _batch(arguments, target, data.frames)
    codes = f"{config.codebook_size:,} codes" if config.codebook_size else "no codes, continuous latents"
    lines = [
        f"parameters   {shape.parameters:,}; {codes}, {config.frames_per_token} frames each",
        f"a step       {batch.all_rows:,} windows, {batch.all_positions:,} frames on {_processes(target.gpus)}",
        _steps_line(arguments),
        *disk_lines(Saved(shape.parameters, shape.parameters), arguments),
        "",
        *memory_table(shape, batch, find_gpu(target.gpu), stage, bool(arguments.ema_decay)),
    ]
    return replace(recipe, data=asdict(data)), lines


def _evaluator(
    recipe: Recipe, arguments: Any, stage: int, target: Target, notes: list[str]
) -> tuple[Recipe, list[str]]:
    from motionmillion.eval.evaluator.config import TextMotionEvaluatorConfig
    from motionmillion.eval.evaluator.model import TextMotionEvaluator
    from motionmillion.training.evaluator import data_options

    data = data_options(recipe)
    _note_missing(asdict(data), ("folder", "caption_rules"), notes)
    _check_clips(data, notes, val=2)
    config = TextMotionEvaluatorConfig(**recipe.model)
    model = TextMotionEvaluator(config).train()
    sample = {
        "features": torch.randn(2, config.max_frames, model.representation.dim),
        "lengths": torch.full((2,), config.max_frames),
        "text_features": torch.randn(2, config.text_length, config.text_dim),
        "text_mask": torch.ones(2, config.text_length, dtype=torch.bool),
        "sentences": torch.randn(2, config.text_dim),
        "sides": torch.zeros(2),
    }
    shape = measured_shape(model, sample, autocast=arguments.bf16)
    if data.mirrored:  # a mirrored copy is a row of its own
        arguments = replace(arguments, per_device_train_batch_size=2 * arguments.per_device_train_batch_size)
    batch = _batch(arguments, target, config.max_frames)
    lines = [
        f"parameters   {shape.parameters:,}; text features of {config.text_dim:,}",
        f"a step       {batch.all_rows:,} pairs on {_processes(target.gpus)}, contrasted within "
        f"{arguments.per_device_train_batch_size:,}",
        _steps_line(arguments),
        *disk_lines(Saved(shape.parameters, shape.parameters), arguments),
        "",
        *memory_table(shape, batch, find_gpu(target.gpu), stage, bool(arguments.ema_decay)),
    ]
    return replace(recipe, data=asdict(data)), lines


def _lm(
    recipe: Recipe, path: Path, arguments: Any, stage: int, target: Target, notes: list[str]
) -> tuple[Recipe, list[str]]:
    from motionmillion.training.lm.options import lm_data_options, lora_options
    from motionmillion.training.plan.configs import completed, lm_config

    data = lm_data_options(recipe)
    lora = lora_options(recipe, data)
    data = completed(recipe, data)
    paths = ("folder", "tokens", "tokenizer", "text_features", "start_from", "caption_rules")
    _note_missing(asdict(data), paths, notes)
    _check_clips(data, notes)
    config = lm_config(recipe, data, path, notes)
    shape = lm_shape(config, lora)
    step = _step(config, data, arguments, target)
    gpu = find_gpu(target.gpu)
    lines = [
        *_model_lines(shape),
        *_step_lines(step, shape, bool(data.packing)),
        _steps_line(arguments),
        *_time_lines(step, shape, arguments, gpu, target),
        *_disk_lines(recipe, shape, arguments, stage),
        text_line(data, config.text_dim),
        "",
        *memory_table(shape, step, gpu, stage, bool(arguments.ema_decay)),
    ]
    if arguments.max_steps > 0 and arguments.get_warmup_steps(arguments.max_steps) >= arguments.max_steps:
        notes.append("the warm-up is as long as the run: the learning rate never falls")
    return replace(recipe, data=asdict(data)), lines


def _dit(
    recipe: Recipe, path: Path, arguments: Any, stage: int, target: Target, notes: list[str], part: str
) -> tuple[Recipe, list[str]]:
    from motionmillion.data.shards.motion_table import is_table
    from motionmillion.lm.dit.config import MotionDiTConfig
    from motionmillion.training.dit.distillation import few_step_options
    from motionmillion.training.dit.sources import check_manifest, dit_data_options, source_settings
    from motionmillion.training.dit.start_from import dit_config, tuned_config
    from motionmillion.training.plan.configs import text_width, trained_dit_config
    from motionmillion.training.plan.dit_cost import dit_shape

    data = dit_data_options(recipe)
    _note_missing(asdict(data), ("folder", "text_features", "caption_rules"), notes)
    _check_clips(data, notes)
    config: MotionDiTConfig
    if part == "few-step":
        config = trained_dit_config(str(few_step_options(recipe).teacher), "model.teacher", path, notes)
    elif data.start_from:
        config = trained_dit_config(data.start_from, "data.start_from", path, notes)
        config = tuned_config(config, recipe.model)
    else:
        config = dit_config(recipe, text_width(data, notes))
    share = data.text_share
    for source in data.sources or []:
        share = min(share, source_settings(source, config).get("text_share", share))  # references cost more
        _note_missing(source, ("folder",), notes)
    for folder in filter(is_table, data.folders):
        check_manifest(folder, config)
    shape = dit_shape(config, data.text_length, share)
    step = Step(
        gpus=target.gpus,
        rows=arguments.per_device_train_batch_size,
        positions=-(-config.max_frames // config.patch),
        predicted=1,
        accumulation=arguments.gradient_accumulation_steps,
        checkpointing=bool(arguments.gradient_checkpointing),
    )
    lines = [
        *_model_lines(shape),
        *_step_lines(step, shape, packed=False),
        f"             as if all clips had {config.max_frames} frames and all texts {data.text_length} words",
        _steps_line(arguments),
        *_time_lines(step, shape, arguments, find_gpu(target.gpu), target),
        *_disk_lines(recipe, shape, arguments, stage),
        text_line(data, config.text_dim),
        "",
        *memory_table(shape, step, find_gpu(target.gpu), stage, bool(arguments.ema_decay)),
    ]
    return replace(recipe, data=asdict(data)), lines


def _batch(arguments: Any, target: Target, frames: int) -> Step:
    """Batch of one step of a tokenizer or an evaluator, whose rows are frames."""
    batch, accumulation = arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps
    return Step(target.gpus, batch, frames, frames, accumulation)


def _step(config: Any, data: "LMSection", arguments: Any, target: Target) -> Step:
    """Batch of one step: rows padded to the longest sample, or samples of the mean length packed into rows."""
    batch, longest = arguments.per_device_train_batch_size, data.text_length + config.context_codes + 1
    step = Step(
        gpus=target.gpus,
        rows=batch,
        positions=longest,
        predicted=config.context_codes + 1,
        accumulation=arguments.gradient_accumulation_steps,
        checkpointing=bool(arguments.gradient_checkpointing),
    )
    packing, mean = data.packing, target.sample_positions
    if not packing:
        return step
    if mean > packing:
        raise ValueError(f"sample_positions must be at most data.packing, {packing}, got {mean}")
    rows = -(-batch * mean // packing)
    positions = -(-batch * mean // rows)
    return replace(step, rows=rows, positions=positions, predicted=positions, samples_a_row=batch / rows)


def _model_lines(shape: ModelShape) -> list[str]:
    layers = shape.layers + getattr(shape, "reference_layers", 0)
    lines = [f"parameters   {shape.parameters:,}, of them {shape.body:,} in {layers} layers"]
    if shape.trained != shape.parameters:
        share = shape.trained / shape.parameters
        lines.append(f"trained      {shape.trained:,} in adapters, {share:.2%}")
    return lines


def _step_lines(step: Step, shape: ModelShape, packed: bool) -> list[str]:
    batch = step.rows * step.samples_a_row
    kind = f"in rows of {step.positions}, mean length assumed" if packed else f"{step.positions} a row"
    return [
        f"a step       {step.samples:,.0f} samples: {batch:.0f} x {step.accumulation} accumulated x "
        f"{_processes(step.gpus)}",
        f"             {step.all_positions:,} positions {kind}, padding included; "
        f"{step_flops(shape, step) / 1e12:,.4g} TFLOP",
    ]


def _steps_line(arguments: Any) -> str:
    if arguments.max_steps > 0:
        warmup = arguments.get_warmup_steps(arguments.max_steps)
        most = f", at most {arguments.max_epochs:g} visits of every clip" if arguments.max_epochs else ""
        return f"steps        {arguments.max_steps:,}{most}, the first {warmup:,} of warm-up"
    return f"steps        {arguments.num_train_epochs:g} visits of every clip; how many steps depends on the data"


def _time_lines(step: Step, shape: ModelShape, arguments: Any, gpu: Gpu, target: Target) -> list[str]:
    if arguments.max_steps <= 0:
        return []
    flops = step_flops(shape, step)
    took = hours(flops, arguments.max_steps, step.gpus, gpu, target.mfu)
    return [
        f"time         {_duration(took)} on {step.gpus} x {gpu.name} ({gpu.tflops:g} TFLOP/s) at an MFU of "
        f"{target.mfu:g}",
    ]


def _disk_lines(recipe: Recipe, shape: ModelShape, arguments: Any, stage: int) -> list[str]:
    deepspeed = stage if recipe.training.get("deepspeed") else 0
    return disk_lines(Saved(shape.parameters, shape.trained, deepspeed), arguments)


def memory_table(shape: ModelShape, step: Step, gpu: Gpu, stage: int | None, average: bool = False) -> list[str]:
    """Lines of a table: memory per GPU in GiB for each ZeRO stage, with the recipe's stage marked."""
    source = "measured.py" if isinstance(shape, MeasuredShape) else "cost.py"
    names = ("weights", "gradients", "optimizer", "buffers", "activations", "logits", "total")
    lines = [
        f"GiB of a GPU, {gpu.name} has {gpu.memory:g}; how it is estimated: motionmillion/training/plan/{source}",
        "stage  " + "".join(f"{name:>12}" for name in names) + "  fits",
    ]
    for each in STAGES:
        found = memory(shape, step, each, average)
        cells = "".join(f"{_gib(getattr(found, name)):>12}" for name in names)
        mark = "  <- this recipe" if each == stage else ""
        lines.append(f"{each or 'none':<7}{cells}  {'yes' if found.fits(gpu) else 'no'}{mark}")
    if average:
        lines.append(f"totals include {_gib(4 * shape.parameters)} GiB for averaged weights (ema_decay)")
    return lines


def _note_missing(data: dict[str, Any], keys: tuple[str, ...], notes: list[str]) -> None:
    from motionmillion.pipeline.folder import bundled

    for key in keys:
        given = data.get(key)
        for folder in given if isinstance(given, list) else [given]:
            if folder and str(folder) not in bundled() and not Path(str(folder)).exists():
                notes.append(f"data.{key} is not there yet: {folder}")


def _check_clips(data: "ClipsSection", notes: list[str], captioned: bool = True, val: int = 1) -> None:
    """Check the clips as training does, if their folders exist."""
    if all(Path(folder).exists() for folder in data.folders):
        notes.extend(data.check_clips(captioned, val))


def _processes(gpus: int) -> str:
    return "1 GPU" if gpus == 1 else f"{gpus} GPUs"


def _duration(took: float) -> str:
    """Hours in words: "7.1 hours", "12 minutes"."""
    return f"{took:,.1f} hours" if took >= 1 else f"{60 * took:.2g} minutes"


def _gib(value: int) -> str:
    return f"{value / GIB:.2f}"
