"""`motionmillion curate`: from videos to clean motion clips. Heavy imports wait inside."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from motionmillion.cli.options import DeviceOption, find_device, start_torch

STAGES = ("shots", "people", "confidence", "transitions", "smpl", "quality")


class _AllByDefault(TyperGroup):
    """Runs all stages unless the first word names a stage."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
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


@curate_app.command("captions")
def captions(
    folder: Annotated[Path, typer.Argument(help="Folder of motionmillion curate, or of motions.")],
    out: Annotated[Path, typer.Option("-o", "--out", "--output", help="Table to write, .jsonl.")],
    watcher: Annotated[
        str | None, typer.Option(help="Vision-language model: https://host/v1#model, gemini:model, hub id or folder.")
    ] = None,
    writer: Annotated[str | None, typer.Option(help="Language model for paraphrases, named likewise.")] = None,
    rules: Annotated[bool, typer.Option(help="Whether there are captions measured by rules.")] = True,
    count: Annotated[int, typer.Option(help="Paraphrases of a clip at the most.")] = 20,
    parallel: Annotated[int, typer.Option(help="Clips that servers are asked about at once.")] = 1,
    device: DeviceOption = "auto",
) -> None:
    """Write captions of clips: by rules, by a model that watches, and paraphrases that mean the same.

    To resume after an interruption, run the same command again.
    """
    start_torch()
    from motionmillion.curation.captions.folders import CaptionOptions, write_captions

    options = CaptionOptions(watcher, writer, rules, count, find_device(device), parallel)
    typer.echo(write_captions(folder, out, options))
    typer.echo(out)
