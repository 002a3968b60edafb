"""`motionmillion train`. Heavy imports wait inside."""

import importlib.util
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from motionmillion.cli.options import start_torch


class Part(StrEnum):
    """Parts that can be trained."""

    tokenizer = "tokenizer"
    lm = "lm"
    dit = "dit"
    few_step = "few-step"
    preference = "preference"
    evaluator = "evaluator"


def train(
    part: Annotated[Part, typer.Argument(help="What to train.")],
    config: Annotated[Path, typer.Option("--config", help="Recipe (YAML file).")],
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a value: --set training.max_steps=100. Repeat for several."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume from the newest checkpoint.")] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Only warn where codes are another tokenizer's, or a run to resume had other data."
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check the recipe and print parameters, memory and hours without training."),
    ] = False,
    gpus: Annotated[int | None, typer.Option(help="Dry run: number of GPUs; default: number of processes.")] = None,
    gpu: Annotated[str, typer.Option(help="Dry run: GPU type, such as h200, h100 or a100.")] = "h200",
    mfu: Annotated[float, typer.Option(help="Dry run: fraction of the GPU's peak FLOPS that training reaches.")] = 0.4,
    sample_positions: Annotated[
        int, typer.Option(help="Dry run: mean length of a sample in tokens, text and motion, with packing.")
    ] = 100,
) -> None:
    """Train a tokenizer, a language model, a flow-matching transformer or a text-motion evaluator from a recipe.

    few-step distils a transformer; preference trains a language model on which of its own motions do what the text
    says.
    """
    if importlib.util.find_spec("accelerate") is None:
        raise ImportError('accelerate must be installed to train; run: pip install "motionmillion[train]"')
    from motionmillion.training.recipe import load_recipe

    recipe = load_recipe(config, override or [])
    start_torch()
    if dry_run:
        if part is Part.preference:
            raise ValueError(
                "--dry-run must be left out with preference; try --set data.prompts=10 --set output=runs/try"
            )
        from motionmillion.training.plan.dry_run import Target
        from motionmillion.training.plan.dry_run import dry_run as plan

        processes = int(os.environ.get("WORLD_SIZE", "1")) if gpus is None else gpus
        text, notes = plan(part.value, recipe, config, Target(processes, gpu, mfu, sample_positions))
        if os.environ.get("RANK", "0") == "0":
            typer.echo(text)
            typer.echo("".join(f"note: {note}\n" for note in notes), err=True, nl=False)
        return
    if part is Part.tokenizer:
        from motionmillion.training.tokenizer import train_tokenizer as run
    elif part is Part.dit:
        from motionmillion.training.dit.train import train_dit as run
    elif part is Part.few_step:
        from motionmillion.training.dit.distillation import train_few_step as run
    elif part is Part.preference:
        from motionmillion.training.lm.preference import train_preference as run
    elif part is Part.evaluator:
        from motionmillion.training.evaluator import train_evaluator as run
    else:
        from motionmillion.training.lm.train import train_lm as run
    figures = run(recipe, resume, force=force)
    if os.environ.get("RANK", "0") == "0":  # only the first of several processes prints
        final = Path(recipe.output) / "final"
        figures_line = "  ".join(f"{name.removeprefix('eval_')} {value:.4g}" for name, value in figures.items())
        typer.echo(f"validation of {final}: {figures_line}")
        if part in (Part.lm, Part.dit, Part.few_step, Part.preference):
            typer.echo(f'motionmillion generate "a person waves" --model {final} -o wave.html')
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from motionmillion.training.distributed import close_processes

        close_processes()
