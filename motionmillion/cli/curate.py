"""`motionmillion curate`: from videos to clean motion clips. Heavy imports wait inside."""

from pathlib import Path
from typing import Annotated

import click
import typer
from typer.core import TyperGroup

from motionmillion.cli.options import start_torch

STAGES = ("shots", "people", "confidence", "transitions", "smpl", "quality")


class _AllByDefault(TyperGroup):
    """Runs all stages unless the first word names a stage."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["all", *args]
        return super().parse_args(ctx, args)


curate_app = typer.Typer(
    name="curate",
    help="Make clean motion clips of videos: shots, people, confidence, transitions, smpl, quality. "
    "`motionmillion curate VIDEO... --out DIR` runs all stages, `motionmillion curate people VIDEO... --out DIR` "
    "those up to people.",
    cls=_AllByDefault,
    no_args_is_help=True,
)


def _add(name: str, last: str, summary: str) -> None:
    """Register the command that runs the stages up to `last`."""

    @curate_app.command(name, help=f"{summary} To resume after an interruption, run the same command again.")
    def command(
        videos: Annotated[list[Path], typer.Argument(help="Video files.")],
        out: Annotated[Path, typer.Option("-o", "--out", "--output", help="Folder to write.")],
        config: Annotated[
            Path | None, typer.Option("--config", help="Options of the stages (YAML file): a section for each.")
        ] = None,
        override: Annotated[
            list[str] | None,
            typer.Option("--set", help="An option of a stage: --set smpl.folder=results. Repeat for several."),
        ] = None,
        workers: Annotated[int, typer.Option(help="Processes; each loads the models.")] = 1,
    ) -> None:
        from motionmillion.training.recipe import apply_override, load_yaml

        options = {} if config is None else load_yaml(config)
        for each in override or ():
            apply_override(options, each)
        start_torch()
        from motionmillion.curation.run import curate

        typer.echo(curate(videos, out, options, last, workers).text())
        typer.echo(out)


_add("all", STAGES[-1], "All stages.")
for _stage in STAGES:
    _add(_stage, _stage, f"The stages up to {_stage}.")
