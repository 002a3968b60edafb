"""The `motionmillion` command.

    motionmillion generate "a person waves" -o wave.html -o wave.bvh --seed 0 --seconds 4

A user error ends with one line on standard error and exit code 2, never a traceback. Heavy imports are inside the
commands, so that `--help` is fast.
"""

import sys

import typer

from motionmillion.cli.bench import bench
from motionmillion.cli.convert import convert
from motionmillion.cli.data import data_app
from motionmillion.cli.evaluate import compare_app, evaluate
from motionmillion.cli.files import detokenize, export, tokenize, view
from motionmillion.cli.generate import generate
from motionmillion.cli.train import train

app = typer.Typer(
    name="motionmillion",
    help="Text to 3D human motion with motion-token language models.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(generate)
app.command()(evaluate)
app.add_typer(compare_app)
app.command()(export)
app.command()(view)
app.command()(tokenize)
app.command()(detokenize)
app.command()(train)
app.command()(bench)
app.command()(convert)
app.add_typer(data_app)


def main() -> None:
    """Entry point of the console script."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except (ValueError, OSError, ImportError) as error:
        message = str(error)
    except Exception as error:  # typer's errors, whose base class differs between versions
        if type(error).__name__ == "Abort":
            sys.exit(130)
        if not hasattr(error, "format_message"):
            raise
        message = f"{error.format_message()} See motionmillion --help."  # type: ignore[attr-defined]
    print("motionmillion:", " ".join(message.split()), file=sys.stderr)
    sys.exit(2)
