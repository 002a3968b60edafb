"""Commands on files: `motionmillion export`, `view`, `tokenize` and `detokenize`. Heavy imports wait inside."""

from pathlib import Path
from typing import Annotated

import typer

from motionmillion.cli.options import (
    READABLE,
    WRITABLE,
    DeviceOption,
    ModelOption,
    OutputOptions,
    find_device,
    with_output_options,
)


@with_output_options
def export(
    source: Annotated[Path, typer.Argument(help=f"Motion file: {READABLE}.")],
    output: Annotated[list[Path], typer.Argument(help=f"Files to write: {WRITABLE}.")],
    fps: Annotated[float | None, typer.Option(help="Resample to this frame rate.")] = None,
    canonical: Annotated[bool, typer.Option(help="Put the motion on the floor, at the origin, facing +z.")] = False,
    source_fps: Annotated[float | None, typer.Option(help="Frame rate of a source without one.")] = None,
    up: Annotated[
        str | None, typer.Option(help="Vertical axis of the source, y or z, if not its format's default.")
    ] = None,
    *,
    writing: OutputOptions,
) -> None:
    """Convert a motion file to other formats.

    A .npy file may hold features of 272, 276 or 263 values per frame, or joint positions [T, 22, 3] with --source-fps.
    """
    from motionmillion.io import check_output
    from motionmillion.motion import Motion

    for path in output:
        check_output(path)
    writing.check(output)
    # readers have their own defaults: pass only what was given
    given = {name: value for name, value in (("fps", source_fps), ("up", up)) if value is not None}
    motion = Motion.load(source, **given)
    motion = motion.canonicalize() if canonical else motion
    motion = motion.resample(fps) if fps is not None else motion
    for path in output:
        typer.echo(motion.save(path, **writing.of(path)))


def view(
    source: Annotated[Path, typer.Argument(help=f"Motion file: {READABLE}.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="HTML file; default: next to the source.")
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open it in the web browser.")] = True,
) -> None:
    """Show a motion in the web browser."""
    import webbrowser

    from motionmillion.io import check_output
    from motionmillion.motion import Motion

    output = source.with_suffix(".html") if output is None else output
    if output.suffix.lower() != ".html":
        raise ValueError(f"output must end in .html to be viewed, got {str(output)!r}")
    check_output(output)
    page = Motion.load(source).save(output)
    typer.echo(page)
    if browser:
        webbrowser.open(page.resolve().as_uri())


def tokenize(
    source: Annotated[Path, typer.Argument(help=f"Motion file ({READABLE}), or a folder of motions.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Code file (.npy, int64, [N]), or folder of shards.")],
    model: ModelOption = "mini",
    split: Annotated[list[str] | None, typer.Option(help="Only clips of this split. Repeat for several.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; default: one per CPU core.")] = None,
    batch_size: Annotated[int, typer.Option(help="Clips encoded together; does not change the codes.")] = 32,
    shard_size: Annotated[int, typer.Option(help="Clips per Parquet file.")] = 256,
    device: DeviceOption = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start over; removes the shards of earlier runs.")
    ] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Skip motions that cannot be read.")] = False,
) -> None:
    """Turn a motion into codes, or a folder of motions into Parquet files of codes and captions.

    Options from --split on apply to folders. To resume after an interruption, run the same command again.
    """
    if not source.is_dir():
        from motionmillion.cli.jobs import tokenize_file

        typer.echo(tokenize_file(source, output, model))
        return
    from motionmillion.data.clips import SPLITS
    from motionmillion.data.shards.tokenize import tokenize_folder
    from motionmillion.pipeline.folder import find_tokenizer

    folder = tokenize_folder(
        source,
        output,
        find_tokenizer(model),
        splits=split or SPLITS,
        workers=workers,
        batch_size=batch_size,
        shard_size=shard_size,
        device=find_device(device),
        overwrite=overwrite,
        skip_bad=skip_bad,
    )
    typer.echo(folder)


def detokenize(
    source: Annotated[Path, typer.Argument(help="Code file (.npy, integers, [N]).")],
    output: Annotated[
        list[Path], typer.Option("-o", "--output", help=f"Motion file to write: {WRITABLE}. Repeat for several.")
    ],
    model: ModelOption = "mini",
) -> None:
    """Turn codes back into a motion."""
    from motionmillion.cli.jobs import detokenize_file

    for path in detokenize_file(source, output, model):
        typer.echo(path)
