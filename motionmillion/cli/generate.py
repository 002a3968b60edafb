"""The command `motionmillion generate`.

motionmillion generate "a person waves" -o wave.html -o wave.bvh --seed 0 --seconds 4
motionmillion generate "a person walks" --reference walk.bvh --strength 0.8 --model my_dit -o out.html
motionmillion generate "a person claps" --edit walk.bvh --edit-joints left_arm --model my_dit -o out.html
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from motionmillion.cli.options import DeviceOption, ModelOption, find_device, warnings_as_lines
from motionmillion.configuration import find_dtype


def generate(
    prompts: Annotated[list[str] | None, typer.Argument(help="Sentences; one motion (or more) for each.")] = None,
    output: Annotated[
        list[Path] | None,
        typer.Option("-o", "--output", help="File to write; its suffix sets the format. Repeat for several."),
    ] = None,
    prompts_file: Annotated[Path | None, typer.Option(help="Text file with one sentence per line.")] = None,
    model: ModelOption = "mini",
    seconds: Annotated[float | None, typer.Option(help="Length; by default the model decides.")] = None,
    num_samples: Annotated[int, typer.Option("-n", "--num-samples", help="Motions per sentence.")] = 1,
    seed: Annotated[int, typer.Option(help="The same seed gives the same motion.")] = 0,
    temperature: Annotated[float | None, typer.Option(help="Randomness of sampling; 0 is greedy.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Sample from the k most likely tokens; 0 is off.")] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Sample from the most likely tokens up to this probability.")
    ] = None,
    guidance_scale: Annotated[float | None, typer.Option(help="How closely to follow the text; 1 is off.")] = None,
    min_p: Annotated[
        float | None, typer.Option(help="Drop tokens below this fraction of the top probability.")
    ] = None,
    repetition_penalty: Annotated[float | None, typer.Option(help="Above 1, repeated codes are less likely.")] = None,
    no_repeat_ngram_size: Annotated[int | None, typer.Option(help="Never repeat an n-gram of this size.")] = None,
    min_seconds: Annotated[float | None, typer.Option(help="Shortest length that the model may choose.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Longest length that the model may choose.")] = None,
    timeline: Annotated[
        list[str] | None,
        typer.Option(help='Part of one motion: --timeline "4: a person walks". Repeat for each part.'),
    ] = None,
    prefix: Annotated[Path | None, typer.Option(help="Motion file to continue.")] = None,
    transition: Annotated[
        float | None, typer.Option(help="Seconds of the preceding motion used as context; more stays closer to it.")
    ] = None,
    end: Annotated[Path | None, typer.Option(help="Motion file to end with, after --prefix.")] = None,
    steps: Annotated[int | None, typer.Option(help="Flow models: solver steps; fewer are faster.")] = None,
    solver: Annotated[str | None, typer.Option(help="Flow models: euler, heun or midpoint.")] = None,
    shift: Annotated[
        float | None, typer.Option(help="Flow models: timestep shift; above 1, more steps near noise.")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(help="DiT: resampling rounds per step, to fit kept frames better.")
    ] = None,
    reference: Annotated[
        list[Path] | None, typer.Option(help="Reference motion file. Repeat for one per sentence.")
    ] = None,
    reference_mode: Annotated[
        str, typer.Option(help="Condition on motion, text or both; auto decides by --judge and jitter.")
    ] = "auto",
    reference_weight: Annotated[
        float | None, typer.Option(help="Weight of the reference with --reference-mode both, 0 to 1.")
    ] = None,
    judge: Annotated[
        str, typer.Option(help="Judge of whether a reference shows the text: similarity, none, or as for evaluate.")
    ] = "similarity",
    strength: Annotated[
        float | None,
        typer.Option(help="Below 1, start from the reference or the edited motion, with this much noise."),
    ] = None,
    edit: Annotated[Path | None, typer.Option(help="Motion file to edit according to the sentence.")] = None,
    edit_frames: Annotated[str | None, typer.Option(help="Frames to change, such as 20:60; default: all.")] = None,
    edit_joints: Annotated[
        list[str] | None,
        typer.Option(help="Joints or groups to change, such as left_arm or upper_body. Repeat for several."),
    ] = None,
    smoothing: Annotated[
        float | None, typer.Option(help="DiT: Gaussian smoothing, sigma in frames; 0 is off.")
    ] = None,
    recovery: Annotated[
        str | None, typer.Option(help="DiT: direct, or velocity, which integrates velocities.")
    ] = None,
    source_fps: Annotated[float | None, typer.Option(help="Frame rate of input motion files without one.")] = None,
    up: Annotated[
        str | None, typer.Option(help="Vertical axis of input motion files, y or z, if not the default.")
    ] = None,
    rewrite: Annotated[
        str | None,
        typer.Option(help="Language model that rewrites the prompts: name, folder, or https://host/v1#name."),
    ] = None,
    rewrite_cache: Annotated[Path | None, typer.Option(help="JSON file that caches rewritten prompts.")] = None,
    rewrite_errors: Annotated[
        str, typer.Option(help='What to do with a prompt that cannot be rewritten: "raise" or "keep".')
    ] = "raise",
    batch_size: Annotated[int, typer.Option(help="Motions generated together.")] = 16,
    resume: Annotated[bool, typer.Option("--resume", help="Skip motions whose files already exist.")] = False,
    device: DeviceOption = "auto",
    dtype: Annotated[str, typer.Option(help="Data type of the model: float32, bfloat16 or float16.")] = "float32",
    quantization: Annotated[str | None, typer.Option(help="Low-bit weights: 8bit, 4bit or int8.")] = None,
    compiled: Annotated[
        bool, typer.Option("--compiled", help="Compile the model first; worth it for many motions.")
    ] = False,
) -> None:
    """Generate motions from sentences.

    Several motions are numbered: -o walk.bvh becomes walk-0000.bvh, walk-0001.bvh, ... Every file is written as soon
    as its batch is done, and motions do not depend on each other, so --resume completes an interrupted job with the
    same result. --reference and --edit need a model of kind dit; with --reference the sentence may be "".
    """
    from motionmillion.cli.jobs import (
        Request,
        generate_files,
        output_jobs,
        read_prompts,
        read_span,
        read_timeline,
        rewrite_prompts,
    )
    from motionmillion.motion import Motion

    where = find_device(device)
    parts = read_timeline(timeline or [])
    if parts and (prompts or prompts_file):
        raise ValueError(f"prompts must be left out with timeline, got {prompts or str(prompts_file)!r}")
    texts = read_prompts([text for text, _ in parts] or prompts or [], prompts_file, empty=bool(reference))
    if rewrite is not None:
        texts = rewrite_prompts(texts, rewrite, rewrite_cache, rewrite_errors, where)
    elif rewrite_cache is not None:
        raise ValueError(f"rewrite_cache must come with rewrite, got {str(rewrite_cache)!r} alone; name a model")
    parts = tuple((text, seconds) for text, (_, seconds) in zip(texts, parts, strict=False))
    # a timeline is one motion: its parts share one prompt and one set of files
    whole = ["; ".join(texts)] if parts else texts
    jobs = output_jobs(whole, output or [], num_samples, seed, resume, settled=rewrite is None)
    options: dict[str, Any] = dict(seconds=seconds, temperature=temperature, guidance_scale=guidance_scale)
    options |= dict(top_k=top_k, top_p=top_p, min_p=min_p, repetition_penalty=repetition_penalty)
    options |= dict(no_repeat_ngram_size=no_repeat_ngram_size, min_seconds=min_seconds, max_seconds=max_seconds)
    options |= dict(transition=transition, steps=steps, solver=solver, strength=strength, smoothing=smoothing)
    options |= dict(shift=shift, rounds=rounds, reference_weight=reference_weight)
    options |= dict(recovery=recovery, compiled=compiled or None)
    # None leaves the pipeline's default
    options = {name: value for name, value in options.items() if value is not None}
    reading = {name: value for name, value in (("fps", source_fps), ("up", up)) if value is not None}
    given = [Motion.load(file, **reading) if file else None for file in (prefix, end, edit)]
    request = Request(
        parts,
        *given[:2],
        references=tuple(Motion.load(file, **reading) for file in reference or []),
        reference_mode=reference_mode,
        judge=None if judge == "none" else judge,
        edit=given[2],
        edit_frames=None if edit_frames is None else read_span(edit_frames),
        edit_joints=tuple(edit_joints or []),
    )
    loading = dict(dtype=find_dtype(dtype), quantization=quantization)
    request.check_rows(len(texts))
    with warnings_as_lines():
        generate_files(jobs, model, where, batch_size, options, request, loading)
