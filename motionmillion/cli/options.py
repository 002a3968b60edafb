"""Options shared by several commands; model options are generated from `motionmillion.pipeline.options`.

    @with_model_options
    def generate(prompts: ..., output: ..., options: RunOptions) -> None: ...

The decorator replaces the parameter `options` by one command-line option for every field of the options classes of all
kinds of model, with the help text and panel defined for the field, and passes the given values as one `RunOptions`. So
`generate` and `evaluate` have the same options, and an option is added by adding a field. `with_output_options` does
the same with the parameter `writing` and `motionmillion.io.write_options.OutputOptions`, for commands that write
motions, and `with_clip_options` with `clips` and `motionmillion.data.game_clips.ClipOptions`.

Unusual: typer builds commands from signatures, so the decorator sets `__signature__` and `__annotations__`. Options
default to None, because the actual default depends on the model; flags can only be turned on.
"""

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from typing import Annotated, Any

import typer

from motionmillion.data.game_clips import ClipOptions
from motionmillion.io import check_output, readable_suffixes, writable_suffixes
from motionmillion.io.write_options import OutputOptions
from motionmillion.pipeline.options import DIT, FLOW, KINDS, LENGTH, SAMPLING, SPEED, RunOptions
from motionmillion.progress import doing
from motionmillion.serve.settings import Settings as LimitOptions

OUTPUT, INPUT, REWRITING = "Output", "Prompts and motion files", "Rewriting"
WAY = "Where to go"
FOREIGN, MEASURES = "Motions of another system", "Measures"
"""Panels of `--help`, apart from model options: `SAMPLING`, `LENGTH`, `DIT`, `SPEED` and one for flows."""

READABLE, WRITABLE = (
    f"{', '.join(known[:-1])} or {known[-1]}" for known in (readable_suffixes(), writable_suffixes())
)
"""Suffixes of motion files, in words."""

ModelOption = Annotated[str, typer.Option(help="Bundled model, folder or hub id.")]
_DEVICE = '"cpu", "cuda", or "auto" for a GPU if there is one.'
DeviceOption = Annotated[str, typer.Option(help=_DEVICE)]
RunDeviceOption = Annotated[str, typer.Option(help=_DEVICE, rich_help_panel=SPEED)]

SourceFpsOption = Annotated[float | None, typer.Option("--source-fps", help="Frame rate of a source without one.")]
UpOption = Annotated[
    str | None, typer.Option("--up", help="Vertical axis of the source if not its format's: y, z, -y or -z.")
]
IndexOption = Annotated[
    int | None, typer.Option("--index", help="Which motion or person of a source of several, from 0.")
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace output files that exist, but never a source.")
]

__all__ = [
    "DIT",
    "FOREIGN",
    "INPUT",
    "LENGTH",
    "MEASURES",
    "OUTPUT",
    "READABLE",
    "REWRITING",
    "SAMPLING",
    "SPEED",
    "WAY",
]
__all__ += ["DeviceOption", "IndexOption", "ModelOption", "OutputOptions", "OverwriteOption", "RunDeviceOption"]
__all__ += ["RunOptions", "find_device", "model_options", "WRITABLE"]
__all__ += ["SourceFpsOption", "UpOption", "start_torch"]
__all__ += ["ClipOptions", "with_clip_options", "with_model_options", "with_output_options"]
__all__ += ["LimitOptions", "with_limit_options"]

_PANELS = (SAMPLING, LENGTH, FLOW, DIT, SPEED)
"""Panels of model options, in order."""


def model_options() -> dict[str, inspect.Parameter]:
    """The parameters of a command for the options of all kinds of model, panel by panel."""
    made: dict[str, inspect.Parameter] = {}
    for kind in (*KINDS, RunOptions):
        hints = typing.get_type_hints(kind)
        for field in dataclasses.fields(kind):
            if field.name not in made and "help" in field.metadata:
                made[field.name] = _parameter(field, hints[field.name], of_call=kind is not RunOptions)
    return dict(sorted(made.items(), key=lambda item: _PANELS.index(_panel(item[1]))))


def _parameter(field: dataclasses.Field, hint: Any, of_call: bool) -> inspect.Parameter:
    names = [f"--{field.name.replace('_', '-')}"] if hint is bool else []  # a flag without a "--no-" form
    told = typer.Option(*names, help=field.metadata["help"], rich_help_panel=field.metadata["panel"])
    default: Any = field.default
    if of_call and hint is not bool:
        hint, default = hint | None, None
    annotation = Annotated[hint, told]  # type: ignore[valid-type]
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _panel(parameter: inspect.Parameter) -> str:
    return parameter.annotation.__metadata__[0].rich_help_panel


def with_model_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of `model_options` in place of its parameter `options`."""
    return _with_options(command, "options", model_options(), _collected)


def with_output_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with one option for every field of `OutputOptions` in place of its parameter `writing`."""
    hints = typing.get_type_hints(OutputOptions)
    added = {
        field.name: _parameter(field, hints[field.name], of_call=False) for field in dataclasses.fields(OutputOptions)
    }
    return _with_options(command, "writing", added, lambda values: OutputOptions(**values))


def with_clip_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with one option for every field of `ClipOptions` in place of its parameter `clips`."""
    hints = typing.get_type_hints(ClipOptions)
    added = {
        field.name: _parameter(field, hints[field.name], of_call=False) for field in dataclasses.fields(ClipOptions)
    }
    return _with_options(command, "clips", added, lambda values: ClipOptions(**values))


def with_limit_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with one option for every limit of the service in place of its parameter `limits`."""
    hints = typing.get_type_hints(LimitOptions)
    fields = [field for field in dataclasses.fields(LimitOptions) if "help" in field.metadata]
    added = {field.name: _parameter(field, hints[field.name], of_call=False) for field in fields}
    return _with_options(command, "limits", added, lambda values: LimitOptions(**values))


def _with_options(
    command: Callable[..., None],
    name: str,
    added: dict[str, inspect.Parameter],
    collect: Callable[[dict[str, Any]], Any],
) -> Callable[..., None]:
    """The command with the parameters `added` in place of `name`, which gets what `collect` makes of their values."""
    signature = inspect.signature(command)
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if parameter.name == name:
            parameters += added.values()
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def run(**values: Any) -> None:
        if name == "options" and isinstance(values.get("output"), list):
            for path in values["output"]:
                check_output(path)  # the options' own checks import torch, which takes long
        taken = {key: values.pop(key) for key in added if key in values}
        command(**values, **{name: collect(taken)})

    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del run.__wrapped__  # type: ignore[attr-defined]
    return run


def _collected(values: dict[str, Any]) -> RunOptions:
    """The values given on the command line."""
    of_run = {field.name for field in dataclasses.fields(RunOptions)}
    given = {name: value for name, value in values.items() if name not in of_run}
    # a flag that was not given is not passed on
    given = {name: value for name, value in given.items() if value is not None and value is not False}
    return RunOptions(given, **{name: value for name, value in values.items() if name in of_run})


def find_device(name: str) -> str:
    """The device that an option names; raises `ValueError` if it is not available."""
    start_torch()
    from motionmillion.configuration import check_device

    return check_device(name)


def start_torch() -> None:
    """Import PyTorch, and say so, because it takes seconds; commands call it after the checks that do without."""
    with doing("starting PyTorch"):
        import torch  # noqa: F401
