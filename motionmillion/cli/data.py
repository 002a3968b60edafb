"""`motionmillion data`: prepare what training reads. Heavy imports wait inside."""

from pathlib import Path
from typing import Annotated

import typer

from motionmillion.cli import datasets
from motionmillion.cli.options import DeviceOption, OverwriteOption, find_device, start_torch

data_app = typer.Typer(name="data", help="Prepare data for training.", no_args_is_help=True)
for command in (datasets.build, datasets.verify, datasets.stats, datasets.split, datasets.match, datasets.merge):
    data_app.command()(command)
data_app.command("filter")(datasets.filter_)


@data_app.command()
def describe(
    folder: Annotated[Path, typer.Argument(help="Motion set, or folder of motion files.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Folder for text files, else beside the motions; .jsonl for a motion set."
        ),
    ] = None,
    count: Annotated[int | None, typer.Option(help="Sentences of a motion at the most, drawn at random.")] = None,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    append: Annotated[bool, typer.Option("--append", help="Add to captions that are there.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace captions that are there.")] = False,
) -> None:
    """Write captions measured on the motions: x.txt beside x.bvh, where there is none.

    A motion set is listed anew, with the captions in it. Only what is clear is said.
    """
    start_torch()
    from motionmillion.data.describing.folders import DescribeOptions, describe_folder

    typer.echo(describe_folder(folder, output, DescribeOptions(count, seed, append, overwrite)), err=True)


@data_app.command("check")
def check(
    folder: Annotated[Path, typer.Argument(help="Motion set, or folder of motion files.")],
    limit: Annotated[int | None, typer.Option(help="At most this number of clips, spread over the folder.")] = None,
) -> None:
    """Show what training finds in a folder: clips, captions, splits, rigs, frame rates, lengths, and what is wrong.

    Exit code 1 if there are problems.
    """
    start_torch()
    from motionmillion.data.check import check_folder

    report = check_folder(folder, limit)
    typer.echo(report.text())
    if report.problems:
        raise typer.Exit(1)


@data_app.command("audit")
def audit(
    folder: Annotated[Path, typer.Argument(help="Folder of motions.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Text file for the names of bad clips, or a page (.html).")
    ] = None,
    split: Annotated[list[str] | None, typer.Option(help="Only clips of this split. Repeat.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most this number of clips, spread over the folder.")] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Find broken clips: elbows bent backwards, joints that flip, bodies that float, files that cannot be read."""
    start_torch()
    from motionmillion.data.audit import audit_folder
    from motionmillion.data.clips import SPLITS
    from motionmillion.io.files import write_text
    from motionmillion.io.outputs import check_outputs

    if output is not None:
        check_outputs([output], overwrite=overwrite)
    if output is not None and output.suffix.lower() == ".html":
        from motionmillion.data.reports.page import write_audit

        typer.echo(write_audit(folder, output, split or SPLITS, limit).text())
        typer.echo(output)
        return
    report = audit_folder(folder, split or SPLITS, limit)
    typer.echo(report.table())
    if output is not None:
        write_text("".join(f"{name}\n" for name in report.bad()), output)
        typer.echo(output)


@data_app.command("encode-text")
def encode_text(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Folders of token shards or motions, and text files with one caption per line."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")],
    text_encoder: Annotated[str, typer.Option(help="Hub id or folder, such as google/flan-t5-xl.")],
    sentence: Annotated[bool, typer.Option("--sentence", help="Prepend the mean over the words.")] = False,
    text_length: Annotated[int, typer.Option(help="Maximum tokens per caption.")] = 150,
    dtype: Annotated[str, typer.Option(help="Storage type: bfloat16, float16 or float32.")] = "bfloat16",
    batch_size: Annotated[int, typer.Option(help="Captions encoded together.")] = 64,
    shard_size: Annotated[int, typer.Option(help="Captions per file.")] = 4096,
    device: DeviceOption = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start over; removes the files of earlier runs.")
    ] = False,
) -> None:
    """Compute the text features of every caption once, for training.

    To resume after an interruption, run the same command again.
    """
    start_torch()
    from motionmillion.data.shards.text_writer import encode_text as run

    folder = run(
        sources,
        output,
        text_encoder,
        sentence=sentence,
        text_length=text_length,
        dtype=dtype,
        batch_size=batch_size,
        shard_size=shard_size,
        device=find_device(device),
        overwrite=overwrite,
    )
    typer.echo(folder)
