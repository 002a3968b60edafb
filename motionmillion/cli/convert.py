"""`motionmillion convert`. Heavy imports wait inside."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from motionmillion.cli.options import start_torch


class Converted(StrEnum):
    """Kinds of checkpoints that can be converted."""

    tokenizer = "tokenizer"
    lm = "lm"
    dit = "dit"
    evaluator = "evaluator"
    checkpoint = "checkpoint"
    pipeline = "pipeline"


def convert(
    part: Annotated[Converted, typer.Argument(help="What the checkpoint holds.")],
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="Checkpoint of MotionMillion-Codes or ViMoGen; for checkpoint, a run's checkpoint-N; for pipeline, a "
            "folder as published on the hub."
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")],
    options: Annotated[
        Path | None, typer.Option(help="JSON of its training options; default: the released ones.")
    ] = None,
    mean: Annotated[
        Path | None, typer.Option(help="Feature means it was trained with (.npy, [272] or [276]).")
    ] = None,
    std: Annotated[Path | None, typer.Option(help="Standard deviations (.npy, [272] or [276]).")] = None,
    rope_precision: Annotated[
        str | None, typer.Option(help="lm: rotary angles in float32 (default), bfloat16 or autocast.")
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(help="lm, dit, pipeline: weights in float32 or bfloat16; lm: default as in the checkpoint."),
    ] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="lm: tokenizer folder, to write a whole pipeline.")] = None,
    text_encoder: Annotated[
        str | None,
        typer.Option(
            help="lm, dit: text encoder (google/flan-t5-xl or google/umt5-xxl for released checkpoints), to write a "
            "whole pipeline. evaluator: distilbert-base-uncased."
        ),
    ] = None,
    shard_size: Annotated[str | None, typer.Option(help="lm: size of a file (2GB); bounds memory.")] = None,
) -> None:
    """Convert a checkpoint of another project, or of a training run, to a folder to load; weights are kept exactly.

    Converting a language model takes the memory of two or three of its files, whatever its size.
    """
    start_torch()
    from motionmillion.convert import convert_dit, convert_evaluator, convert_lm, convert_tokenizer
    from motionmillion.io.files import check_new_folder

    of_tokenizer = dict(mean=mean, std=std)
    of_lm = dict(rope_precision=rope_precision, dtype=dtype, tokenizer=tokenizer, text_encoder=text_encoder)
    of_lm |= dict(shard_size=shard_size)
    of_others = {name: value for name, value in of_lm.items() if name != "text_encoder"} | dict(options=options)
    unfit = {Converted.tokenizer: of_lm, Converted.lm: of_tokenizer, Converted.evaluator: of_others}
    unfit[Converted.dit] = {name: of_lm[name] for name in ("rope_precision", "tokenizer", "shard_size")}
    unfit[Converted.pipeline] = of_tokenizer | dict(options=options)
    unfit[Converted.pipeline] |= {name: value for name, value in of_lm.items() if name != "dtype"}
    of_none = dict(options=options) | of_tokenizer | of_lm
    for name, value in unfit.get(part, of_none).items():
        if value is not None:
            raise ValueError(f"--{name.replace('_', '-')} must be left out for a {part.value}, got {str(value)!r}")
    check_new_folder(output)  # before the checkpoint is read
    if part is Converted.checkpoint:
        from motionmillion.training.export import export_checkpoint

        typer.echo(export_checkpoint(checkpoint, output))
    elif part is Converted.pipeline:
        from motionmillion.convert.published import convert_pipeline

        typer.echo(convert_pipeline(checkpoint, output, dtype or "float32"))
    elif part is Converted.tokenizer:
        typer.echo(convert_tokenizer(checkpoint, output, options, mean, std))
    elif part is Converted.dit:
        typer.echo(convert_dit(checkpoint, output, options, mean, std, dtype or "float32", text_encoder))
    elif part is Converted.evaluator:
        given = {} if text_encoder is None else dict(text_encoder=text_encoder)
        typer.echo(convert_evaluator(checkpoint, output, mean, std, **given))
    else:
        given = {name: value for name, value in of_lm.items() if value is not None}
        typer.echo(convert_lm(checkpoint, output, options, **given))  # type: ignore[arg-type]
