"""The `motionmillion` command.

    motionmillion generate "a person waves" -o wave.html -o wave.bvh --seed 0 --seconds 4

A user's mistake ends with one line on standard error and exit code 2, never a traceback. Heavy imports wait inside the
commands, so that `--help` is quick.
"""

import importlib.util
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from motionmillion.cli_evaluate import compare_app, evaluate
from motionmillion.cli_options import DeviceOption, ModelOption, find_device, find_dtype

app = typer.Typer(
    name="motionmillion",
    help="Text to 3D human motion with motion-token language models.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

data_app = typer.Typer(name="data", help="Prepare data for training.", no_args_is_help=True)
app.add_typer(data_app)
app.command()(evaluate)
app.add_typer(compare_app)


class Benched(StrEnum):
    """What can be timed."""

    tokenizer = "tokenizer"
    lm = "lm"
    eval = "eval"


class Converted(StrEnum):
    """What can be converted."""

    tokenizer = "tokenizer"
    lm = "lm"
    evaluator = "evaluator"
    checkpoint = "checkpoint"


class Part(StrEnum):
    """What can be trained."""

    tokenizer = "tokenizer"
    lm = "lm"
    dit = "dit"
    evaluator = "evaluator"


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
    min_p: Annotated[float | None, typer.Option(help="Leave out tokens below this share of the likeliest.")] = None,
    repetition_penalty: Annotated[float | None, typer.Option(help="Above 1, used codes are less likely.")] = None,
    no_repeat_ngram_size: Annotated[int | None, typer.Option(help="No run of so many codes comes twice.")] = None,
    min_seconds: Annotated[float | None, typer.Option(help="Shortest length that the model may decide for.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Longest length that the model may decide for.")] = None,
    timeline: Annotated[
        list[str] | None, typer.Option(help='Part of one motion: --timeline "4: a person walks". Repeat.')
    ] = None,
    prefix: Annotated[Path | None, typer.Option(help="Motion file to go on from.")] = None,
    transition: Annotated[
        float | None, typer.Option(help="Seconds of the motion before that a text goes on from; more clings to it.")
    ] = None,
    end: Annotated[Path | None, typer.Option(help="Motion file to arrive at, from --prefix.")] = None,
    rewrite: Annotated[
        str | None,
        typer.Option(help="Language model that rewrites the prompts: name, folder, or https://host/v1#name."),
    ] = None,
    rewrite_cache: Annotated[Path | None, typer.Option(help="JSON file of what was rewritten before.")] = None,
    rewrite_errors: Annotated[
        str, typer.Option(help='What to do with a prompt that cannot be rewritten: "raise" or "keep".')
    ] = "raise",
    batch_size: Annotated[int, typer.Option(help="Motions generated together.")] = 16,
    resume: Annotated[bool, typer.Option("--resume", help="Leave out motions whose files are all there.")] = False,
    device: DeviceOption = "auto",
    dtype: Annotated[str, typer.Option(help="Of the language model: float32, bfloat16 or float16.")] = "float32",
    quantization: Annotated[str | None, typer.Option(help="Weights in few bits: 8bit, 4bit or int8.")] = None,
    compiled: Annotated[
        bool, typer.Option("--compiled", help="Compile the steps first; pays for many motions.")
    ] = False,
) -> None:
    """Generate motions from sentences.

    Several motions are numbered: -o walk.bvh becomes walk-0000.bvh, walk-0001.bvh, ... Every file is written as soon
    as its batch is done, and a motion does not depend on the others, so --resume finishes an interrupted job with the
    same result.
    """
    from motionmillion.batch import Request, generate_files, output_jobs, read_prompts, read_timeline, rewrite_prompts
    from motionmillion.motion import Motion

    where = find_device(device)
    parts = read_timeline(timeline or [])
    if parts and (prompts or prompts_file):
        raise ValueError(f"prompts must be left out with timeline, got {prompts or str(prompts_file)!r}")
    texts = read_prompts([text for text, _ in parts] or prompts or [], prompts_file)
    if rewrite is not None:
        texts = rewrite_prompts(texts, rewrite, rewrite_cache, rewrite_errors, where)
    elif rewrite_cache is not None:
        raise ValueError(f"rewrite_cache must come with rewrite, got {str(rewrite_cache)!r} alone; name a model")
    parts = tuple((text, seconds) for text, (_, seconds) in zip(texts, parts, strict=False))
    jobs = output_jobs(["; ".join(texts)] if parts else texts, output or [], num_samples, seed, resume)
    options = dict(seconds=seconds, temperature=temperature, top_k=top_k, top_p=top_p, guidance_scale=guidance_scale)
    options |= dict(min_p=min_p, repetition_penalty=repetition_penalty, no_repeat_ngram_size=no_repeat_ngram_size)
    options |= dict(min_seconds=min_seconds, max_seconds=max_seconds, compiled=compiled or None, transition=transition)
    given = [Motion.load(file) if file else None for file in (prefix, end)]
    loading = dict(dtype=find_dtype(dtype), quantization=quantization)
    generate_files(jobs, model, where, batch_size, options, Request(parts, *given), loading)


@app.command()
def export(
    source: Annotated[Path, typer.Argument(help="Motion file: .npz, .bvh or .npy.")],
    output: Annotated[list[Path], typer.Argument(help="Files to write; the suffix chooses the format.")],
    fps: Annotated[float | None, typer.Option(help="Resample to this frame rate.")] = None,
    canonical: Annotated[bool, typer.Option(help="Put the motion on the floor, at the origin, facing +z.")] = False,
    source_fps: Annotated[float | None, typer.Option(help="Frame rate of a source that does not say its own.")] = None,
    up: Annotated[str | None, typer.Option(help="Vertical axis of the source, y or z, if not the usual.")] = None,
) -> None:
    """Convert a motion file into other formats.

    Features of 272, 276 or 263 numbers a frame are read from .npy, and joint positions [T, 22, 3] with --source-fps.
    """
    from motionmillion.io import check_output
    from motionmillion.motion import Motion

    for path in output:
        check_output(path)
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
        device=find_device(device),
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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the recipe, print parameters, memory and hours; train nothing.")
    ] = False,
    gpus: Annotated[int | None, typer.Option(help="Dry run: number of GPUs; else of processes.")] = None,
    gpu: Annotated[str, typer.Option(help="Dry run: their kind, such as h200, h100 or a100.")] = "h200",
    mfu: Annotated[float, typer.Option(help="Dry run: share of the GPU's peak that training reaches.")] = 0.4,
    sample_positions: Annotated[
        int, typer.Option(help="Dry run: mean length of a packed sample, text and motion.")
    ] = 100,
) -> None:
    """Train a tokenizer, a language model, a flow-matching transformer or a text-motion evaluator from a recipe."""
    if importlib.util.find_spec("accelerate") is None:
        raise ImportError('accelerate must be installed to train; run: pip install "motionmillion[train]"')
    from motionmillion.training.recipe import load_recipe

    recipe = load_recipe(config, override or [])
    if dry_run:
        from motionmillion.training.dry_run import Target
        from motionmillion.training.dry_run import dry_run as plan

        processes = int(os.environ.get("WORLD_SIZE", "1")) if gpus is None else gpus
        text, notes = plan(part.value, recipe, config, Target(processes, gpu, mfu, sample_positions))
        if os.environ.get("RANK", "0") == "0":
            typer.echo(text)
            typer.echo("".join(f"note: {note}\n" for note in notes), err=True, nl=False)
        return
    if part is Part.tokenizer:
        from motionmillion.training.tokenizer import train_tokenizer as run
    elif part is Part.dit:
        from motionmillion.training.dit import train_dit as run
    elif part is Part.evaluator:
        from motionmillion.training.evaluator import train_evaluator as run
    else:
        from motionmillion.training.lm import train_lm as run
    figures = run(recipe, resume)
    if os.environ.get("RANK", "0") == "0":  # one of several processes speaks
        typer.echo("  ".join(f"{name.removeprefix('eval_')} {value:.4g}" for name, value in figures.items()))
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from motionmillion.training.distributed import close_processes

        close_processes()


@app.command()
def bench(
    part: Annotated[Benched, typer.Argument(help="What to time.")],
    codebook: Annotated[list[int], typer.Option(help="Nominal FSQ size. tokenizer: repeat for several.")] = [65536],  # noqa: B006
    batch_size: Annotated[
        list[int] | None, typer.Option(help="Windows or motions a call. Repeat for several.")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(help="tokenizer: frames a window (96). eval: frames a motion (100).")
    ] = None,
    width: Annotated[int, typer.Option(help="tokenizer: channels of the network; 512 is the published width.")] = 512,
    size: Annotated[list[str] | None, typer.Option(help="lm: 44m, 111m, ... Repeat for several.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option(help="lm: dynamic, static, compiled or int8. Repeat for several.")
    ] = None,
    tokens: Annotated[int, typer.Option(help="lm: codes of a motion.")] = 150,
    dtype: Annotated[str, typer.Option(help="lm: float32 or bfloat16.")] = "float32",
    packing: Annotated[bool, typer.Option("--packing", help="lm: time training steps, packed and padded.")] = False,
    repeats: Annotated[int, typer.Option(help="Turns that each side takes.")] = 5,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for report.md and results.json.")
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Time the tokenizer or the language model and measure memory, against the published way with the same weights.

    eval: time the physical measures of many motions against plain loops over frames, and measures of embeddings.
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
    from motionmillion.bench.lm_files import bench_decoding_files, bench_packing_files
    from motionmillion.convert_options import nominal_codes

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
        Path, typer.Argument(help="Checkpoint of MotionMillion-Codes (.pth); for checkpoint, a run's checkpoint-N.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")],
    options: Annotated[Path | None, typer.Option(help="JSON of its training options, else the released ones.")] = None,
    mean: Annotated[Path | None, typer.Option(help="Feature means it was trained with (.npy, [272]).")] = None,
    std: Annotated[Path | None, typer.Option(help="Standard deviations (.npy, [272]).")] = None,
    rope_precision: Annotated[
        str | None, typer.Option(help="lm: rotary angles in float32 (default), bfloat16 or autocast.")
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="lm: weights in float32 or bfloat16; else as they are.")] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="lm: tokenizer folder, to write a whole pipeline.")] = None,
    text_encoder: Annotated[
        str | None,
        typer.Option(help="lm: its text encoder, google/flan-t5-xl if released. evaluator: distilbert-base-uncased."),
    ] = None,
    shard_size: Annotated[str | None, typer.Option(help="lm: size of a file, 2GB unless said; bounds memory.")] = None,
) -> None:
    """Turn a checkpoint of another project, or of a run under way, into a folder to load; every number is kept.

    A language model is converted in the memory of two or three of its files, whatever its size.
    """
    from motionmillion.convert import convert_evaluator, convert_lm, convert_tokenizer

    of_tokenizer = dict(mean=mean, std=std)
    of_lm = dict(rope_precision=rope_precision, dtype=dtype, tokenizer=tokenizer, text_encoder=text_encoder)
    of_lm |= dict(shard_size=shard_size)
    of_others = {name: value for name, value in of_lm.items() if name != "text_encoder"} | dict(options=options)
    unfit = {Converted.tokenizer: of_lm, Converted.lm: of_tokenizer, Converted.evaluator: of_others}
    of_none = dict(options=options) | of_tokenizer | of_lm
    for name, value in unfit.get(part, of_none).items():
        if value is not None:
            raise ValueError(f"--{name.replace('_', '-')} must be left out for a {part.value}, got {str(value)!r}")
    if part is Converted.checkpoint:
        from motionmillion.training.export import export_checkpoint

        typer.echo(export_checkpoint(checkpoint, output))
    elif part is Converted.tokenizer:
        typer.echo(convert_tokenizer(checkpoint, output, options, mean, std))
    elif part is Converted.evaluator:
        given = {} if text_encoder is None else dict(text_encoder=text_encoder)
        typer.echo(convert_evaluator(checkpoint, output, mean, std, **given))
    else:
        given = {name: value for name, value in of_lm.items() if value is not None}
        typer.echo(convert_lm(checkpoint, output, options, **given))  # type: ignore[arg-type]


@data_app.command("encode-text")
def encode_text(
    sources: Annotated[
        list[Path], typer.Argument(help="Folders of token shards or motions, and text files with one caption a line.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")],
    text_encoder: Annotated[str, typer.Option(help="Hub id or folder, such as google/flan-t5-xl.")],
    sentence: Annotated[bool, typer.Option("--sentence", help="Put the mean over the words before them.")] = False,
    text_length: Annotated[int, typer.Option(help="Tokens of a caption that are kept.")] = 150,
    dtype: Annotated[str, typer.Option(help="Stored as bfloat16, float16 or float32.")] = "bfloat16",
    batch_size: Annotated[int, typer.Option(help="Captions encoded together.")] = 64,
    shard_size: Annotated[int, typer.Option(help="Captions of a file.")] = 4096,
    device: DeviceOption = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Begin anew; removes another run's files.")] = False,
) -> None:
    """Compute the text features of every caption once, for training.

    Run the same command again after an interruption, and it goes on.
    """
    from motionmillion.data.text_writer import encode_text as run

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
