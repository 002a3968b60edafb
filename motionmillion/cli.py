"""The `motionmillion` command.

    motionmillion generate "a person waves" -o wave.html -o wave.bvh --seed 0 --seconds 4

A user's mistake ends with one line on standard error and exit code 2, never a traceback. Heavy imports wait inside the
commands, so that `--help` is quick.
"""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="motionmillion",
    help="Text to 3D human motion with motion-token language models.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

ModelOption = Annotated[str, typer.Option(help="Bundled model, folder or hub id.")]
DeviceOption = Annotated[str, typer.Option(help='"cpu", "cuda", or "auto" for a GPU where there is one.')]


class Benched(StrEnum):
    """What can be timed."""

    tokenizer = "tokenizer"


class Converted(StrEnum):
    """What can be converted."""

    tokenizer = "tokenizer"


class Part(StrEnum):
    """What can be trained."""

    tokenizer = "tokenizer"
    lm = "lm"


class Evaluated(StrEnum):
    """What can be evaluated."""

    tokenizer = "tokenizer"


@app.command()
def generate(
    prompts: Annotated[list[str] | None, typer.Argument(help="Sentences, one motion (or more) each.")] = None,
    output: Annotated[
        list[Path] | None, typer.Option("-o", "--output", help="File to write; its suffix chooses the format. Repeat.")
    ] = None,
    prompts_file: Annotated[Path | None, typer.Option(help="Text file with one sentence a line.")] = None,
    model: ModelOption = "mini",
    seconds: Annotated[float | None, typer.Option(help="Length; left out, the model decides.")] = None,
    num_samples: Annotated[int, typer.Option("-n", "--num-samples", help="Motions for each sentence.")] = 1,
    seed: Annotated[int, typer.Option(help="The same seed gives the same motion.")] = 0,
    temperature: Annotated[float | None, typer.Option(help="Variety; 0 takes the most likely motion.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw from the k likeliest tokens; 0 is off.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the likeliest tokens up to this probability.")] = None,
    guidance_scale: Annotated[float | None, typer.Option(help="How closely to follow the text; 1 is off.")] = None,
    batch_size: Annotated[int, typer.Option(help="Motions generated together.")] = 16,
    resume: Annotated[bool, typer.Option("--resume", help="Leave out motions whose files are all there.")] = False,
    device: DeviceOption = "auto",
) -> None:
    """Generate motions from sentences.

    Several motions are numbered: -o walk.bvh becomes walk-0000.bvh, walk-0001.bvh, ... Every file is written as soon
    as its batch is done, and a motion does not depend on the others, so --resume finishes an interrupted job with the
    same result.
    """
    from motionmillion.batch import generate_files, output_jobs, read_prompts

    texts = read_prompts(prompts or [], prompts_file)
    jobs = output_jobs(texts, output or [], num_samples, seed, resume)
    options = dict(seconds=seconds, temperature=temperature, top_k=top_k, top_p=top_p, guidance_scale=guidance_scale)
    generate_files(jobs, model, _device(device), batch_size, options)


@app.command()
def export(
    source: Annotated[Path, typer.Argument(help="Motion file: .npz, .bvh or .npy.")],
    output: Annotated[list[Path], typer.Argument(help="Files to write; the suffix chooses the format.")],
    fps: Annotated[float | None, typer.Option(help="Resample to this frame rate.")] = None,
    canonical: Annotated[bool, typer.Option(help="Put the motion on the floor, at the origin, facing +z.")] = False,
) -> None:
    """Convert a motion file into other formats."""
    from motionmillion.io import check_output
    from motionmillion.motion import Motion

    for path in output:
        check_output(path)
    motion = Motion.load(source)
    motion = motion.canonicalize() if canonical else motion
    motion = motion.resample(fps) if fps is not None else motion
    for path in output:
        typer.echo(motion.save(path))


@app.command()
def view(
    source: Annotated[Path, typer.Argument(help="Motion file: .npz, .bvh or .npy.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="HTML file; default beside the source.")
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


@app.command()
def tokenize(
    source: Annotated[Path, typer.Argument(help="Motion file (.npz, .bvh or .npy), or a folder of motions.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Code file (.npy, int64, [N]), or folder of shards.")],
    model: ModelOption = "mini",
    split: Annotated[list[str] | None, typer.Option(help="Only clips of this split. Repeat.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; one a CPU core unless said.")] = None,
    batch_size: Annotated[int, typer.Option(help="Clips encoded together; never changes the codes.")] = 32,
    shard_size: Annotated[int, typer.Option(help="Clips of a Parquet file.")] = 256,
    device: DeviceOption = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Begin anew; removes another run's shards.")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out motions that cannot be read.")] = False,
) -> None:
    """Turn a motion into codes, or a folder of motions into Parquet files of codes and captions.

    Options from --split on are for folders. Run the same command again after an interruption, and it goes on.
    """
    if not source.is_dir():
        from motionmillion.batch import tokenize_file

        typer.echo(tokenize_file(source, output, model))
        return
    from motionmillion.data.clips import SPLITS
    from motionmillion.tokenize_dataset import tokenize_folder

    folder = tokenize_folder(
        source,
        output,
        model,
        splits=split or SPLITS,
        workers=workers,
        batch_size=batch_size,
        shard_size=shard_size,
        device=_device(device),
        overwrite=overwrite,
        skip_bad=skip_bad,
    )
    typer.echo(folder)


@app.command()
def detokenize(
    source: Annotated[Path, typer.Argument(help="Code file (.npy, whole numbers, [N]).")],
    output: Annotated[list[Path], typer.Option("-o", "--output", help="Motion file to write. Repeat for several.")],
    model: ModelOption = "mini",
) -> None:
    """Turn codes back into a motion."""
    from motionmillion.batch import detokenize_file

    for path in detokenize_file(source, output, model):
        typer.echo(path)


@app.command()
def train(
    part: Annotated[Part, typer.Argument(help="What to train.")],
    config: Annotated[Path, typer.Option("--config", help="Recipe, a YAML file.")],
    override: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value: --set training.max_steps=100. Repeat.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint.")] = False,
) -> None:
    """Train a tokenizer or a language model from a recipe."""
    from motionmillion.training.recipe import load_recipe

    recipe = load_recipe(config, override or [])
    if part is Part.tokenizer:
        from motionmillion.training.tokenizer import train_tokenizer as run
    else:
        from motionmillion.training.lm import train_lm as run
    figures = run(recipe, resume)
    if os.environ.get("RANK", "0") == "0":  # one of several processes speaks
        typer.echo("  ".join(f"{name.removeprefix('eval_')} {value:.4g}" for name, value in figures.items()))


@app.command()
def evaluate(
    part: Annotated[Evaluated, typer.Argument(help="What to evaluate.")],
    data: Annotated[list[Path], typer.Option("--data", help="Folder of motions. Repeat for several.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for results, report and plots.")],
    model: ModelOption = "mini",
    split: Annotated[str, typer.Option(help="Clips to measure: train, val or test.")] = "test",
    seed: Annotated[int, typer.Option(help="Of the bootstrap intervals.")] = 0,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples.")] = 2000,
    batch_size: Annotated[int, typer.Option(help="Clips that go through the model together.")] = 16,
    plots: Annotated[bool, typer.Option(help="Draw plots (needs matplotlib).")] = True,
    device: DeviceOption = "auto",
) -> None:
    """Measure what a tokenizer loses: position, rotation and acceleration errors, foot sliding, code usage.

    Writes results.json, clips.jsonl, report.md and plots: means with 95 % intervals, by data set and category.
    """
    from motionmillion.eval.tokenizer_files import evaluate_folders

    table, paths = evaluate_folders(model, data, split, output, seed, batch_size, _device(device), resamples, plots)
    typer.echo(table + "\n")
    for path in paths:
        typer.echo(path)


@app.command()
def bench(
    part: Annotated[Benched, typer.Argument(help="What to time.")],
    codebook: Annotated[list[int], typer.Option(help="Nominal FSQ size. Repeat for several.")] = [65536],  # noqa: B006
    batch_size: Annotated[list[int], typer.Option(help="Windows a call. Repeat for several.")] = [64],  # noqa: B006
    frames: Annotated[int, typer.Option(help="Frames a window.")] = 96,
    width: Annotated[int, typer.Option(help="Channels of the network; 512 is the published width.")] = 512,
    repeats: Annotated[int, typer.Option(help="Turns that each side takes.")] = 5,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for report.md and results.json.")
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Time the tokenizer and measure its memory, against the published forward pass with the same weights."""
    from motionmillion.bench.tokenizer import bench_tokenizer_files

    typer.echo(bench_tokenizer_files(codebook, batch_size, frames, width, repeats, _device(device), output))


@app.command()
def convert(
    part: Annotated[Converted, typer.Argument(help="What the checkpoint holds.")],
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint of MotionMillion-Codes (.pth).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")],
    options: Annotated[Path | None, typer.Option(help="JSON of its training options, else the released ones.")] = None,
    mean: Annotated[Path | None, typer.Option(help="Feature means it was trained with (.npy, [272]).")] = None,
    std: Annotated[Path | None, typer.Option(help="Standard deviations (.npy, [272]).")] = None,
) -> None:
    """Turn a checkpoint of another project into a folder for this one; every number is kept."""
    from motionmillion.convert import convert_tokenizer

    typer.echo(convert_tokenizer(checkpoint, output, options, mean, std))


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError):
        raise ValueError(f'device must be one that torch can use here, got {name!r}; try "cpu"') from None
    return name


def main() -> None:
    """Entry point of the console script."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except (ValueError, OSError, ImportError) as error:
        message = str(error)
    except Exception as error:  # typer's own, whose base class has moved between its versions
        if type(error).__name__ == "Abort":
            sys.exit(130)
        if not hasattr(error, "format_message"):
            raise
        message = f"{error.format_message()} See motionmillion --help."  # type: ignore[attr-defined]
    print("motionmillion:", " ".join(message.split()), file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
