"""The commands `motionmillion evaluate` and `motionmillion compare`.

    motionmillion evaluate --suite motionmillion-eval --model mini -o runs/mini
    motionmillion evaluate --suite mbench --prompts meta_info --motions their_motions -o runs/theirs
    motionmillion compare results runs/mini runs/theirs -o runs/comparison

Exit code 3: everything was measured, but a judge left questions unanswered; run the same command again to retry.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from motionmillion.cli.mapping import ForeignMappingOption, read_mapping
from motionmillion.cli.options import (
    FOREIGN,
    MEASURES,
    OverwriteOption,
    RunDeviceOption,
    RunOptions,
    find_device,
    model_options,
    start_torch,
    with_model_options,
)
from motionmillion.eval.suites import KINDS

if TYPE_CHECKING:
    from motionmillion.eval.judges.judge import Answer

UNANSWERED = 3

TOKENIZER = "tokenizer"

compare_app = typer.Typer(
    name="compare",
    help="Compare evaluated systems: tables with significance tests, side-by-side pages, human votes.",
    no_args_is_help=True,
)


@with_model_options
def evaluate(
    ctx: typer.Context,
    part: Annotated[str | None, typer.Argument(help="Suite; the same as --suite.", metavar="[SUITE]")] = None,
    suite: Annotated[
        str | None,
        typer.Option(help=f"{', '.join([*KINDS, TOKENIZER])}, or the path of a JSON suite."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for results, reports and motions.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Bundled model, folder or hub id; default: mini.")] = None,
    motions: Annotated[
        Path | None, typer.Option(help="Folder of another system's motions, named by prompt.", rich_help_panel=FOREIGN)
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="Your copy of the prompts: a file, or a folder with MBench's two files.")
    ] = None,
    data: Annotated[
        list[Path] | None, typer.Option("--data", help="Folder of real motions. tokenizer: repeat for several.")
    ] = None,
    split: Annotated[str, typer.Option(help="Clips of --data to take: train, val or test.")] = "test",
    num_samples: Annotated[int, typer.Option("-n", "--num-samples", help="Motions per prompt.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of motions, captions, random sampling and intervals.")] = 0,
    evaluator: Annotated[
        str, typer.Option(help="Text-motion evaluator: bundled name, folder or hub id.", rich_help_panel=MEASURES)
    ] = "mini",
    judge: Annotated[
        str,
        typer.Option(
            help="retrieval, https://host/v1#model, gemini:MODEL, or the name of a vision-language model.",
            rich_help_panel=MEASURES,
        ),
    ] = "",
    axes: Annotated[
        str,
        typer.Option(
            help="mbench: corrected, or released to reproduce its published axis mix-up.", rich_help_panel=MEASURES
        ),
    ] = "corrected",
    nrdf: Annotated[
        Path | None, typer.Option(help="mbench: NRDF's weights, for Pose_Quality.", rich_help_panel=MEASURES)
    ] = None,
    smpl: Annotated[
        Path | None,
        typer.Option(help="mbench: SMPL body model (.npz), for Body_Penetration.", rich_help_panel=MEASURES),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(help="Statistics of real motion; default: the bundled ones.", rich_help_panel=MEASURES),
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help="motions: frame rate of files without one.", rich_help_panel=FOREIGN)
    ] = None,
    up: Annotated[
        str | None,
        typer.Option(help='motions: vertical axis, "y" or "z"; default: that of the format.', rich_help_panel=FOREIGN),
    ] = None,
    mapping: ForeignMappingOption = None,
    representation: Annotated[
        str | None,
        typer.Option(
            help="motions: content of .npy files: rot272, rot276, hml263, joints, ...", rich_help_panel=FOREIGN
        ),
    ] = None,
    route: Annotated[
        str,
        typer.Option(
            help="motions: recover joints from the positions or the rotations of features.", rich_help_panel=FOREIGN
        ),
    ] = "positions",
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing", help="motions: score only the prompts that have a file.", rich_help_panel=FOREIGN
        ),
    ] = False,
    name: Annotated[str, typer.Option(help="Name of the system in tables.")] = "",
    ask_again: Annotated[
        bool,
        typer.Option(
            "--ask-again", help="Repeat the questions that the judge answered unclearly.", rich_help_panel=MEASURES
        ),
    ] = False,
    limit: Annotated[int, typer.Option(help="Maximum prompts per category; 0 is all.")] = 0,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples.", rich_help_panel=MEASURES)] = 2000,
    repeats: Annotated[
        int, typer.Option(help="Repetitions of metrics that sample at random.", rich_help_panel=MEASURES)
    ] = 20,
    plots: Annotated[
        bool, typer.Option(help="tokenizer: draw plots (needs matplotlib).", rich_help_panel=MEASURES)
    ] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the results of another evaluation.")] = False,
    *,
    options: RunOptions,
    device: RunDeviceOption = "auto",
) -> None:
    """Evaluate a model, or the motions of another system, on a suite.

    Writes results.json with the whole protocol, report.md and report.html, which plays the best and worst motions.
    Generated motions are saved in the subfolder motions; to resume after an interruption, run the same command again.
    The suite tokenizer measures the reconstruction error of a tokenizer on --data.
    """
    if (part is None) == (suite is None):
        raise ValueError(
            f"suite must be given exactly once, got {part!r} and {suite!r}; add --suite motionmillion-eval"
        )
    chosen = suite or part or ""
    if output is None:
        raise ValueError("output must name a folder, got none; add -o FOLDER")
    _check_unused(ctx, chosen)
    if chosen == TOKENIZER:
        _tokenizer(model or "mini", data, split, output, seed, options.batch_size, device, resamples, plots, overwrite)
        return
    from motionmillion.eval.run.evaluate import evaluate_suite
    from motionmillion.eval.run.evaluation import Evaluation, ForeignMotions
    from motionmillion.eval.run.generation import GenerationOptions

    if data is not None and len(data) != 1:
        raise ValueError(f"data must be one folder for the suite {chosen!r}, got {len(data)}")
    outcome = evaluate_suite(
        Evaluation(
            suite=chosen,
            output=output,
            model="mini" if model is None and motions is None else model,
            motions=motions,
            foreign=ForeignMotions(fps, up, representation, route, allow_missing, read_mapping(mapping) or None),
            prompts=prompts,
            data=data[0] if data else None,
            split=split,
            evaluator=evaluator,
            judge=judge,
            axes=axes,  # type: ignore[arg-type]
            generation=GenerationOptions.from_run(options, seed, num_samples),
            nrdf=nrdf,
            smpl=smpl,
            calibration=calibration,
            name=name,
            resamples=resamples,
            repeats=repeats,
            seed=seed,
            limit=limit,
            ask_again=ask_again,
            overwrite=overwrite,
            device=device,
        )
    )
    from motionmillion.eval.report.report import summary

    typer.echo(summary(outcome.results) + "\n")
    for path in outcome.files:
        typer.echo(path)
    _report_answers(outcome.answers)


def _report_answers(answers: "Sequence[Answer]") -> None:
    """Print what the judge left open; exit with code 3 if questions are unanswered or no reply was clear."""
    from motionmillion.eval.judges.ask import first_failure

    failed, unclear = sum(answer.failed for answer in answers), sum(answer.unclear for answer in answers)
    if unclear:
        message = f"{unclear} of {len(answers)} replies of the judge were unclear; --ask-again repeats them"
        print(f"motionmillion: {message}", file=sys.stderr)
    if failed:
        message = f"the judge left {failed} of {len(answers)} questions unanswered: {first_failure(answers)}"
        print(f"motionmillion: {message}; run the same command again to ask them", file=sys.stderr)
    if failed or (answers and unclear == len(answers)):
        raise typer.Exit(UNANSWERED)


@compare_app.command("results")
def compare_results(
    results: Annotated[list[Path], typer.Argument(help="Folders of results, or results.json files, of one suite.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for comparison.md, .json and .html.")],
    seed: Annotated[int, typer.Option(help="Seed of the tests and intervals.")] = 0,
    overwrite: OverwriteOption = False,
) -> None:
    """Tabulate several systems; differences from the first are tested on paired samples."""
    start_torch()
    from motionmillion.eval.compare.files import compare_files

    for path in compare_files(results, output, seed, overwrite):
        typer.echo(path)


@compare_app.command("side-by-side")
def compare_side_by_side(
    first: Annotated[Path, typer.Argument(help="Results of one system.")],
    second: Annotated[Path, typer.Argument(help="Results of the other.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the tables and the rating page.")],
    prompts: Annotated[
        int | None, typer.Option(help="Prompts on the page, spread over categories; default: all.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the order of prompts and sides on the page.")] = 0,
    overwrite: OverwriteOption = False,
) -> None:
    """Wins, ties and losses by prompt and axis with a sign test, and a page for blind human votes."""
    start_torch()
    from motionmillion.eval.compare.files import side_by_side_files

    for path in side_by_side_files(first, second, output, seed, prompts, overwrite=overwrite):
        typer.echo(path)


@compare_app.command("votes")
def compare_votes(
    votes: Annotated[list[Path], typer.Argument(help="JSON files that raters saved from the page.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the tables.")],
    overwrite: OverwriteOption = False,
) -> None:
    """Count human votes: wins, ties and losses with a sign test, and inter-rater agreement."""
    start_torch()
    from motionmillion.eval.compare.files import count_votes_files

    for path in count_votes_files(votes, output, overwrite):
        typer.echo(path)


def _tokenizer(
    model: str,
    data: list[Path] | None,
    split: str,
    output: Path,
    seed: int,
    batch_size: int,
    device: str,
    resamples: int,
    plots: bool,
    overwrite: bool,
) -> None:
    from motionmillion.eval.suites.tokenizer.run import evaluate_folders

    where = find_device(device)
    table, paths = evaluate_folders(
        model, data or [], split, output, seed, batch_size, where, resamples, plots, overwrite
    )
    typer.echo(table + "\n")
    for path in paths:
        typer.echo(path)


_TOKENIZER_OPTIONS = {"model", "data", "split", "output", "seed", "batch_size", "device", "resamples", "plots"}
_TOKENIZER_OPTIONS |= {"overwrite"}
_FOREIGN_OPTIONS = {"fps", "up", "mapping", "representation", "route", "allow_missing"}
_GENERATION_OPTIONS = {"num_samples", *model_options()}


def _check_unused(ctx: typer.Context, suite: str) -> None:
    """Raise `ValueError` for options that were given but would have no effect."""
    # parameters that come from the command line and not from defaults
    given = {name for name in ctx.params if str(ctx.get_parameter_source(name)).endswith("COMMANDLINE")}
    if suite == TOKENIZER:
        unused, reason = given - _TOKENIZER_OPTIONS - {"part", "suite"}, "for the suite tokenizer"
    else:
        unused, reason = given & {"plots"}, f"for the suite {suite}"
        if not unused:
            unused = given & (_GENERATION_OPTIONS if "motions" in given else _FOREIGN_OPTIONS)
            reason = "with --motions" if "motions" in given else "without --motions"
    if unused:
        option = min(unused).replace("_", "-")
        raise ValueError(f"--{option} must be left out {reason}, got {ctx.params[min(unused)]!r}")
