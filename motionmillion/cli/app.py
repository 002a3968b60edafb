"""The `motionmillion` command.

    motionmillion generate "a person waves" -o wave.html -o wave.bvh --seed 0 --seconds 4

A user error ends with one line on standard error and exit code 2, never a traceback. Heavy imports are inside the
commands, so that `--help` is fast.
"""

import importlib.util
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from motionmillion.cli.evaluate import compare_app, evaluate
from motionmillion.cli.generate import generate
from motionmillion.cli.options import DeviceOption, ModelOption, find_device

app = typer.Typer(
    name="motionmillion",
    help="Text to 3D human motion with motion-token language models.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

data_app = typer.Typer(name="data", help="Prepare data for training.", no_args_is_help=True)
app.add_typer(data_app)
app.command()(generate)
app.command()(evaluate)
app.add_typer(compare_app)


class Benched(StrEnum):
    """Parts that can be benchmarked."""

    tokenizer = "tokenizer"
    lm = "lm"
    flow = "flow"
    eval = "eval"


class Converted(StrEnum):
    """Kinds of checkpoints that can be converted."""

    tokenizer = "tokenizer"
    lm = "lm"
    dit = "dit"
    evaluator = "evaluator"
    checkpoint = "checkpoint"


class Part(StrEnum):
    """Parts that can be trained."""

    tokenizer = "tokenizer"
    lm = "lm"
    dit = "dit"
    few_step = "few-step"
    evaluator = "evaluator"


@app.command()
def export(
    source: Annotated[Path, typer.Argument(help="Motion file: .npz, .bvh or .npy.")],
    output: Annotated[list[Path], typer.Argument(help="Files to write; the suffix chooses the format.")],
    fps: Annotated[float | None, typer.Option(help="Resample to this frame rate.")] = None,
    canonical: Annotated[bool, typer.Option(help="Put the motion on the floor, at the origin, facing +z.")] = False,
    source_fps: Annotated[float | None, typer.Option(help="Frame rate of a source without one.")] = None,
    up: Annotated[
        str | None, typer.Option(help="Vertical axis of the source, y or z, if not its format's default.")
    ] = None,
) -> None:
    """Convert a motion file to other formats.

    A .npy file may hold features of 272, 276 or 263 values per frame, or joint positions [T, 22, 3] with --source-fps.
    """
    from motionmillion.io import check_output
    from motionmillion.motion import Motion

    for path in output:
        check_output(path)
    # readers have their own defaults: pass only what was given
    given = {name: value for name, value in (("fps", source_fps), ("up", up)) if value is not None}
    motion = Motion.load(source, **given)
    motion = motion.canonicalize() if canonical else motion
    motion = motion.resample(fps) if fps is not None else motion
    for path in output:
        typer.echo(motion.save(path))


@app.command()
def view(
    source: Annotated[Path, typer.Argument(help="Motion file: .npz, .bvh or .npy.")],
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


@app.command()
def tokenize(
    source: Annotated[Path, typer.Argument(help="Motion file (.npz, .bvh or .npy), or a folder of motions.")],
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

    folder = tokenize_folder(
        source,
        output,
        model,
        splits=split or SPLITS,
        workers=workers,
        batch_size=batch_size,
        shard_size=shard_size,
        device=find_device(device),
        overwrite=overwrite,
        skip_bad=skip_bad,
    )
    typer.echo(folder)


@app.command()
def detokenize(
    source: Annotated[Path, typer.Argument(help="Code file (.npy, integers, [N]).")],
    output: Annotated[list[Path], typer.Option("-o", "--output", help="Motion file to write. Repeat for several.")],
    model: ModelOption = "mini",
) -> None:
    """Turn codes back into a motion."""
    from motionmillion.cli.jobs import detokenize_file

    for path in detokenize_file(source, output, model):
        typer.echo(path)


@app.command()
def train(
    part: Annotated[Part, typer.Argument(help="What to train.")],
    config: Annotated[Path, typer.Option("--config", help="Recipe (YAML file).")],
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a value: --set training.max_steps=100. Repeat for several."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume from the newest checkpoint.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check the recipe and print parameters, memory and hours without training."),
    ] = False,
    gpus: Annotated[int | None, typer.Option(help="Dry run: number of GPUs; default: number of processes.")] = None,
    gpu: Annotated[str, typer.Option(help="Dry run: GPU type, such as h200, h100 or a100.")] = "h200",
    mfu: Annotated[float, typer.Option(help="Dry run: fraction of the GPU's peak FLOPS that training reaches.")] = 0.4,
    sample_positions: Annotated[
        int, typer.Option(help="Dry run: mean length of a sample in tokens, text and motion, with packing.")
    ] = 100,
) -> None:
    """Train a tokenizer, a language model, a flow-matching transformer or a text-motion evaluator from a recipe."""
    if importlib.util.find_spec("accelerate") is None:
        raise ImportError('accelerate must be installed to train; run: pip install "motionmillion[train]"')
    from motionmillion.training.recipe import load_recipe

    recipe = load_recipe(config, override or [])
    if dry_run:
        from motionmillion.training.plan.dry_run import Target
        from motionmillion.training.plan.dry_run import dry_run as plan

        processes = int(os.environ.get("WORLD_SIZE", "1")) if gpus is None else gpus
        text, notes = plan(part.value, recipe, config, Target(processes, gpu, mfu, sample_positions))
        if os.environ.get("RANK", "0") == "0":
            typer.echo(text)
            typer.echo("".join(f"note: {note}\n" for note in notes), err=True, nl=False)
        return
    if part is Part.tokenizer:
        from motionmillion.training.tokenizer import train_tokenizer as run
    elif part is Part.dit:
        from motionmillion.training.dit.train import train_dit as run
    elif part is Part.few_step:
        from motionmillion.training.dit.distillation import train_few_step as run
    elif part is Part.evaluator:
        from motionmillion.training.evaluator import train_evaluator as run
    else:
        from motionmillion.training.lm.train import train_lm as run
    figures = run(recipe, resume)
    if os.environ.get("RANK", "0") == "0":  # only the first of several processes prints
        typer.echo("  ".join(f"{name.removeprefix('eval_')} {value:.4g}" for name, value in figures.items()))
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from motionmillion.training.distributed import close_processes

        close_processes()


@app.command()
def bench(
    part: Annotated[Benched, typer.Argument(help="What to benchmark.")],
    codebook: Annotated[list[int], typer.Option(help="Nominal FSQ size. tokenizer: repeat for several.")] = [65536],  # noqa: B006
    batch_size: Annotated[
        list[int] | None, typer.Option(help="Windows or motions per call. Repeat for several.")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(help="tokenizer: frames per window (96). eval: frames per motion (100).")
    ] = None,
    width: Annotated[int, typer.Option(help="tokenizer: channels of the network; 512 is the published width.")] = 512,
    size: Annotated[
        list[str] | None, typer.Option(help="lm: 44m, 111m, ... flow: mini, 44m, 343m, 1b. Repeat for several.")
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option(help="lm: dynamic, static, compiled or int8. Repeat for several.")
    ] = None,
    tokens: Annotated[int, typer.Option(help="lm: codes per motion.")] = 150,
    dtype: Annotated[str, typer.Option(help="lm, flow: float32 or bfloat16.")] = "float32",
    steps: Annotated[
        list[int] | None, typer.Option(help="flow: steps of the solver (1, 4, 10, 20, 50). Repeat for several.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="flow: length of the motion.")] = 5.0,
    guidance_scale: Annotated[float | None, typer.Option(help="flow: guidance scale; 1 is off.")] = None,
    patch: Annotated[int, typer.Option(help="flow: frames per position of the DiT.")] = 1,
    model: Annotated[
        list[str] | None, typer.Option(help="flow: saved pipeline instead of random weights. Repeat for several.")
    ] = None,
    packing: Annotated[bool, typer.Option("--packing", help="lm: time training steps, packed and padded.")] = False,
    repeats: Annotated[int, typer.Option(help="Repetitions of each measurement.")] = 5,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for report.md and results.json.")
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Benchmark the speed and memory of a part of the library.

    tokenizer, lm: compared with the published implementation, with the same weights.

    eval: physical metrics of many motions, compared with plain loops over frames, and metrics of embeddings.

    flow: seconds per motion with latents and a flow head and with MotionDiT, compared with codes.
    """
    where = find_device(device)
    if part is Benched.eval:
        from motionmillion.bench.eval import bench_eval_files

        clips = (batch_size or [450])[0]
        typer.echo(bench_eval_files(clips, 100 if frames is None else frames, repeats, where, output))
        return
    if part is Benched.tokenizer:
        from motionmillion.bench.tokenizer import bench_tokenizer_files

        window = 96 if frames is None else frames
        typer.echo(bench_tokenizer_files(codebook, batch_size or [64], window, width, repeats, where, output))
        return
    if part is Benched.flow:
        from motionmillion.bench.flow import STEPS, bench_flow_files

        sizes, models = size or ([] if model else ["44m"]), model or []
        given = (steps or list(STEPS), seconds, (batch_size or [1])[0], guidance_scale, patch, dtype, repeats)
        typer.echo(bench_flow_files(sizes, models, *given, where, output))
        return
    from motionmillion.bench.lm import bench_decoding_files
    from motionmillion.bench.packing import bench_packing_files
    from motionmillion.convert.options import nominal_codes

    sizes, codes = size or ["44m"], nominal_codes(codebook[0])
    if packing:
        typer.echo(bench_packing_files(sizes, (batch_size or [32])[0], repeats, codes, where, output))
    else:
        settings = setting or ["dynamic", "static"]
        typer.echo(
            bench_decoding_files(sizes, batch_size or [1], settings, dtype, tokens, repeats, codes, where, output)
        )


@app.command()
def convert(
    part: Annotated[Converted, typer.Argument(help="What the checkpoint holds.")],
    checkpoint: Annotated[
        Path,
        typer.Argument(help="Checkpoint of MotionMillion-Codes or ViMoGen; for checkpoint, a run's checkpoint-N."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")],
    options: Annotated[
        Path | None, typer.Option(help="JSON of its training options; default: the released ones.")
    ] = None,
    mean: Annotated[
        Path | None, typer.Option(help="Feature means it was trained with (.npy, [272] or [276]).")
    ] = None,
    std: Annotated[Path | None, typer.Option(help="Standard deviations (.npy, [272] or [276]).")] = None,
    rope_precision: Annotated[
        str | None, typer.Option(help="lm: rotary angles in float32 (default), bfloat16 or autocast.")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="lm, dit: weights in float32 or bfloat16; lm: default as in the checkpoint.")
    ] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="lm: tokenizer folder, to write a whole pipeline.")] = None,
    text_encoder: Annotated[
        str | None,
        typer.Option(
            help="lm, dit: text encoder (google/flan-t5-xl or google/umt5-xxl for released checkpoints), to write a "
            "whole pipeline. evaluator: distilbert-base-uncased."
        ),
    ] = None,
    shard_size: Annotated[str | None, typer.Option(help="lm: size of a file (2GB); bounds memory.")] = None,
) -> None:
    """Convert a checkpoint of another project, or of a training run, to a folder to load; weights are kept exactly.

    Converting a language model takes the memory of two or three of its files, whatever its size.
    """
    from motionmillion.convert.tokenizer import convert_dit, convert_evaluator, convert_lm, convert_tokenizer

    of_tokenizer = dict(mean=mean, std=std)
    of_lm = dict(rope_precision=rope_precision, dtype=dtype, tokenizer=tokenizer, text_encoder=text_encoder)
    of_lm |= dict(shard_size=shard_size)
    of_others = {name: value for name, value in of_lm.items() if name != "text_encoder"} | dict(options=options)
    unfit = {Converted.tokenizer: of_lm, Converted.lm: of_tokenizer, Converted.evaluator: of_others}
    unfit[Converted.dit] = {name: of_lm[name] for name in ("rope_precision", "tokenizer", "shard_size")}
    of_none = dict(options=options) | of_tokenizer | of_lm
    for name, value in unfit.get(part, of_none).items():
        if value is not None:
            raise ValueError(f"--{name.replace('_', '-')} must be left out for a {part.value}, got {str(value)!r}")
    if part is Converted.checkpoint:
        from motionmillion.training.export import export_checkpoint

        typer.echo(export_checkpoint(checkpoint, output))
    elif part is Converted.tokenizer:
        typer.echo(convert_tokenizer(checkpoint, output, options, mean, std))
    elif part is Converted.dit:
        typer.echo(convert_dit(checkpoint, output, options, mean, std, dtype or "float32", text_encoder))
    elif part is Converted.evaluator:
        given = {} if text_encoder is None else dict(text_encoder=text_encoder)
        typer.echo(convert_evaluator(checkpoint, output, mean, std, **given))
    else:
        given = {name: value for name, value in of_lm.items() if value is not None}
        typer.echo(convert_lm(checkpoint, output, options, **given))  # type: ignore[arg-type]


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
    from motionmillion.data.describing.folders import DescribeOptions, describe_folder

    typer.echo(describe_folder(folder, output, DescribeOptions(count, seed, append, overwrite)), err=True)


@data_app.command("audit")
def audit(
    folder: Annotated[Path, typer.Argument(help="Folder of motions.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Text file for the names of bad clips.")
    ] = None,
    split: Annotated[list[str] | None, typer.Option(help="Only clips of this split. Repeat.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most this number of clips, spread over the folder.")] = None,
) -> None:
    """Find broken clips: elbows bent backwards, joints that flip, bodies that float, files that cannot be read."""
    from motionmillion.data.audit import audit_folder
    from motionmillion.data.clips import SPLITS
    from motionmillion.io.files import check_writable, write_text

    if output is not None:
        check_writable(output)
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
