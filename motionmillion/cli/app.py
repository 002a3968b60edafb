"""The `motionmillion` command.

    motionmillion generate "a person waves" -o wave.html -o wave.bvh --seed 0 --seconds 4

A user error ends with one line on standard error and exit code 2, without a traceback unless `--debug` is given
anywhere. An error of a training that this package does not know always has its traceback. Heavy imports are inside the
commands, so that `--help` is fast.
"""

import io
import os
import sys
import traceback
from typing import Annotated

import typer

from motionmillion import __version__
from motionmillion.cli.bench import bench
from motionmillion.cli.convert import convert
from motionmillion.cli.curate import curate_app
from motionmillion.cli.data import data_app
from motionmillion.cli.evaluate import compare_app, evaluate
from motionmillion.cli.files import detokenize, export, tokenize, view
from motionmillion.cli.generate import generate
from motionmillion.cli.messages import is_known, message_of, usage_message, warnings_as_lines
from motionmillion.cli.repair import repair
from motionmillion.cli.retargeting import retarget
from motionmillion.cli.serve import serve
from motionmillion.cli.train import train
from motionmillion.progress import shown

app = typer.Typer(
    name="motionmillion",
    help="Text to 3D human motion with motion-token language models.",
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"motionmillion {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; may be given anywhere.")
    ] = False,
) -> None:
    """Text to 3D human motion with motion-token language models."""


app.command()(generate)
app.command()(evaluate)
app.add_typer(compare_app)
app.command()(export)
app.command()(repair)
app.command()(view)
app.command()(retarget)
app.command()(tokenize)
app.command()(detokenize)
app.command()(train)
app.command()(serve)
app.command()(bench)
app.command()(convert)
app.add_typer(data_app)
app.add_typer(curate_app)


def _print_anything() -> None:
    """Show characters that the console's encoding lacks as escapes (Windows, `LC_ALL=C`) rather than stop at them."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def main() -> None:
    """Entry point of the console script."""
    # torch's OpenMP threads spin while they wait, unless it finds this; a busy machine is 20 times slower then
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _print_anything()
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    try:
        with shown(), warnings_as_lines():
            sys.exit(app(prog_name="motionmillion", standalone_mode=False) or 0)
    except (ValueError, OSError, ImportError) as error:
        message = message_of(error)
        if debug or ("train" in sys.argv[1:2] and not is_known(error)):
            traceback.print_exc()
    except Exception as error:  # typer's errors, whose base class differs between versions
        if type(error).__name__ == "Abort":
            sys.exit(130)
        if not hasattr(error, "format_message") and (debug or not is_known(error)):
            raise
        message = usage_message(error) if hasattr(error, "format_message") else message_of(error)
    print("motionmillion:", " ".join(message.split()), file=sys.stderr)
    sys.exit(2)
