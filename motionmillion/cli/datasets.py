"""`motionmillion data build` and the other commands on data sets on disk. Heavy imports wait inside."""

from pathlib import Path
from typing import Annotated

import typer

from motionmillion.cli.options import start_torch

WorkersOption = Annotated[int | None, typer.Option("--workers", help="Processes; default: one per CPU core.")]
FolderArgument = Annotated[Path, typer.Argument(help="Data set made by motionmillion data build.")]
OutputOption = Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")]


def build(
    source: Annotated[Path, typer.Argument(help="Folder with the data as it was downloaded, archives or unpacked.")],
    output: OutputOption,
    layout: Annotated[
        str | None,
        typer.Option(
            help="motionmillion, humanml3d, humanml3d-272, amass, vimogen, 100style, bones-seed, lafan1 or folder; "
            "default: found by the files."
        ),
    ] = None,
    captions: Annotated[
        str | None, typer.Option(help="Table of captions (.csv, .tsv, .jsonl), or the folder of BABEL for AMASS.")
    ] = None,
    lists: Annotated[str | None, typer.Option(help="Which lists of splits, such as tokenizer_96.")] = None,
    fps: Annotated[float, typer.Option(help="Resample faster motions to this rate; 0 keeps all.")] = 30.0,
    cut: Annotated[float, typer.Option(help="Cut longer motions into windows of this many seconds; 0: never.")] = 20.0,
    shortest: Annotated[float, typer.Option(help="Leave out motions shorter than this, seconds.")] = 0.5,
    only: Annotated[str | None, typer.Option(help="Pattern of archives and files, such as '*/MotionGV/*'.")] = None,
    licence: Annotated[str | None, typer.Option(help="Terms of use to note, where the layout knows none.")] = None,
    name: Annotated[str | None, typer.Option("--source", help="Name of the data to note.")] = None,
    quality: Annotated[bool, typer.Option(help="Measure jerk, sliding and more, and run the audit's rules.")] = True,
    shard_size: Annotated[int, typer.Option(help="Clips per file at the most.")] = 2048,
    workers: WorkersOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first fault.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start over; removes the files of earlier runs.")
    ] = False,
) -> None:
    """Make a data set on disk out of a download: all cores, constant memory, safe to interrupt.

    What is wrong with the source is counted and named in faults.jsonl. To resume, or after downloading more archives,
    run the same command again.
    """
    start_torch()
    from motionmillion.data.building.build import build_set
    from motionmillion.data.layouts.base import BuildOptions

    options = BuildOptions(captions, lists, fps, cut, shortest, licence, name, only, quality, strict, shard_size)
    build_set(source, output, layout, options, workers, overwrite)
    typer.echo(output)
