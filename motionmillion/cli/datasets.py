"""`motionmillion data build` and the other commands on data sets on disk. Heavy imports wait inside."""

import json
from pathlib import Path
from typing import Annotated

import typer

from motionmillion.cli.options import DeviceOption, find_device, start_torch

WorkersOption = Annotated[int | None, typer.Option("--workers", help="Processes; default: one per CPU core.")]
FolderArgument = Annotated[Path, typer.Argument(help="Data set made by motionmillion data build.")]
OutputOption = Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")]
RestartOption = Annotated[bool, typer.Option("--overwrite", help="Start over; removes the files of earlier runs.")]


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
    only: Annotated[
        list[str] | None, typer.Option(help="Pattern of archives and files, such as '*/MotionGV/*'. Repeat.")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Terms of use to note, where the layout knows none.")] = None,
    name: Annotated[str | None, typer.Option("--source", help="Name of the data to note.")] = None,
    kind: Annotated[str | None, typer.Option(help="Where the motion is from: mocap, video or synthetic.")] = None,
    made_by: Annotated[str | None, typer.Option(help="What generated or estimated it, to note.")] = None,
    trusted: Annotated[
        list[str] | None, typer.Option(help="Block of features that texts may be trained on. Repeat; default: all.")
    ] = None,
    text_share: Annotated[
        float | None, typer.Option(help="Fraction of visits that are conditioned on a text, for DiTs.")
    ] = None,
    quality: Annotated[bool, typer.Option(help="Measure jerk, sliding and more, and run the audit's rules.")] = True,
    shard_size: Annotated[int, typer.Option(help="Clips per file at the most.")] = 2048,
    workers: WorkersOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first fault.")] = False,
    overwrite: RestartOption = False,
) -> None:
    """Make a data set on disk out of a download: all cores, constant memory, safe to interrupt.

    What is wrong with the source is counted and named in faults.jsonl. To resume, or after downloading more archives,
    run the same command again.
    """
    start_torch()
    from motionmillion.data.building.build import build_set
    from motionmillion.data.layouts.base import BuildOptions

    options = BuildOptions(
        captions=captions,
        lists=lists,
        fps=fps,
        cut=cut,
        shortest=shortest,
        licence=licence,
        source=name,
        only=tuple(only or ()),
        quality=quality,
        strict=strict,
        shard_size=shard_size,
        kind=kind,
        made_by=made_by,
        trusted=tuple(trusted or ()),
        text_share=text_share,
    )
    build_set(source, output, layout, options, workers, overwrite)
    typer.echo(output)


def verify(
    folder: Annotated[Path, typer.Argument(help="Data set, or a download from the hub.")],
    workers: WorkersOption = None,
) -> None:
    """Check a data set: checksums, counts, values, units, up axis, names, and leaks between splits.

    A folder that was downloaded from the hub is compared with the checksums noted beside it. Exit code 1 if there are
    problems.
    """
    start_torch()
    from motionmillion.data.reports.verify import verify_download, verify_set
    from motionmillion.data.shards.motion_table import is_table

    report = verify_set(folder, workers) if is_table(folder) else verify_download(folder)
    typer.echo(report.text())
    if report.problems:
        raise typer.Exit(1)


def stats(
    folder: FolderArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what is in a data set: clips, hours, lengths, captions, verbs, quality, findings."""
    start_torch()
    from motionmillion.data.reports.overview import overview_of_table
    from motionmillion.data.shards.motion_table import MotionTable

    overview = overview_of_table(MotionTable(folder))
    typer.echo(json.dumps(overview.numbers(), indent=2, ensure_ascii=False) if as_json else overview.text())


def split(
    folder: FolderArgument,
    output: OutputOption,
    by: Annotated[str, typer.Option(help="What stays together: subject, take or content.")] = "subject",
    val: Annotated[float, typer.Option(help="Fraction for validation.")] = 0.1,
    test: Annotated[float, typer.Option(help="Fraction for test.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Another seed gives other splits.")] = 0,
    overwrite: RestartOption = False,
) -> None:
    """Write a data set with new splits."""
    start_torch()
    from motionmillion.data.rewriting import split_set

    _show(split_set(folder, output, by, val, test, seed, overwrite), output)


def filter_(
    folder: FolderArgument,
    output: OutputOption,
    least: Annotated[list[str] | None, typer.Option("--least", help="Such as seconds=2. Repeat for several.")] = None,
    most: Annotated[list[str] | None, typer.Option("--most", help="Such as jerk=500. Repeat for several.")] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="A finding that leaves a clip out, such as frozen, or any. Repeat.")
    ] = None,
    source: Annotated[list[str] | None, typer.Option(help="Only clips of this source. Repeat.")] = None,
    split: Annotated[list[str] | None, typer.Option(help="Only clips of this split. Repeat.")] = None,
    captioned: Annotated[bool, typer.Option("--captioned", help="Leave out clips without captions.")] = False,
    unique: Annotated[bool, typer.Option("--unique", help="Leave out copies of clips.")] = False,
    no_leaks: Annotated[
        bool, typer.Option("--no-leaks", help="Leave out clips of val and test whose take or motion is in train.")
    ] = False,
    overwrite: RestartOption = False,
) -> None:
    """Write a data set without the clips that do not pass; faults.jsonl names them and says why."""
    start_torch()
    from motionmillion.data.audit import KINDS
    from motionmillion.data.rewriting import Filter, filter_set

    kinds = tuple(KINDS) if "any" in (without or ()) else tuple(without or ())
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ValueError(f"without must be among {', '.join(KINDS)} and any, got {unknown[0]!r}")
    chosen = Filter(
        _limits("least", least),
        _limits("most", most),
        kinds,
        tuple(source or ()),
        tuple(split or ()),
        captioned,
        unique,
        no_leaks,
    )
    _show(filter_set(folder, output, chosen, overwrite), output)


def match(
    folder: FolderArgument,
    output: OutputOption,
    least: Annotated[float, typer.Option(help="Percent below which a clip is left out; 50 is chance.")] = 70.0,
    source: Annotated[list[str] | None, typer.Option(help="Judge only clips of this source. Repeat.")] = None,
    texts: Annotated[int, typer.Option(help="Captions that a clip's own are compared with.")] = 500,
    seed: Annotated[int, typer.Option(help="Of the choice of captions.")] = 0,
    evaluator: Annotated[str, typer.Option(help="Text-motion evaluator: bundled name, folder or hub id.")] = "mini",
    device: DeviceOption = "auto",
    overwrite: RestartOption = False,
) -> None:
    """Write a data set without the clips whose captions fit other motions better; for synthetic and estimated motion.

    The match of a clip is the percentage of other captions that are farther from its motion than its own.
    """
    start_torch()
    from motionmillion.curation.match import MatchOptions, match_set
    from motionmillion.eval.evaluator import TextMotionEvaluator, find_evaluator

    options = MatchOptions(least, texts, tuple(source or ()), seed)
    model = TextMotionEvaluator.from_pretrained(find_evaluator(evaluator)).to(find_device(device))  # type: ignore[arg-type]
    _show(match_set(folder, output, model, options, overwrite), output)


def merge(
    folders: Annotated[list[Path], typer.Argument(help="Data sets.")],
    output: OutputOption,
    weight: Annotated[
        list[str] | None,
        typer.Option(help="How often a source or a set is visited in training, such as cmu=0.3. Repeat for several."),
    ] = None,
    overwrite: RestartOption = False,
) -> None:
    """Write several data sets as one, with mixing weights for training."""
    start_torch()
    from motionmillion.data.rewriting import merge_sets

    _show(merge_sets(folders, output, _limits("weight", weight), overwrite), output)


def _limits(name: str, given: list[str] | None) -> dict[str, float]:
    limits = {}
    for each in given or ():
        key, _, value = each.partition("=")
        try:
            limits[key] = float(value)
        except ValueError:
            raise ValueError(f"{name} must look like name=number, got {each!r}") from None
    return limits


def _show(header: dict, output: Path) -> None:
    splits = ", ".join(f"{count:,} {name}" for name, count in header["splits"].items())
    typer.echo(f"{header['clips']:,} clips ({splits}), {header['hours']:,.2f} hours", err=True)
    for reason, count in header["faults"].items():
        typer.echo(f"{count:,} left out: {reason}", err=True)
    typer.echo(output)
