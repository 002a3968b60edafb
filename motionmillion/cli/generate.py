"""The command `motionmillion generate`.

motionmillion generate "a person waves" -o wave.html -o wave.bvh --seed 0 --seconds 4
motionmillion generate "a person walks" --reference walk.bvh --strength 0.8 -o out.html
motionmillion generate "a person walks" --path "0,0 0,2 2,3" -o out.glb
motionmillion generate "a person claps" --edit walk.bvh --edit-joints left_arm -o out.html
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from motionmillion.cli.mapping import InputMappingOption, check_mapping, load_motion, read_mapping
from motionmillion.cli.messages import option_names
from motionmillion.cli.options import (
    DIT,
    INPUT,
    OUTPUT,
    REWRITING,
    SAMPLING,
    WAY,
    ClipOptions,
    OutputOptions,
    RunDeviceOption,
    RunOptions,
    find_device,
    start_torch,
    with_clip_options,
    with_model_options,
    with_output_options,
)


@with_output_options
@with_clip_options
@with_model_options
def generate(
    prompts: Annotated[list[str] | None, typer.Argument(help="Sentences; one motion (or more) for each.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Bundled model, folder or hub id. Default: mini; with --edit, --reference or --facing mini-dit."
        ),
    ] = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "-o",
            "--output",
            help="File to write; its suffix sets the format. Repeat for several.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    num_samples: Annotated[
        int, typer.Option("-n", "--num-samples", help="Motions per sentence.", rich_help_panel=OUTPUT)
    ] = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Skip motions whose files already exist.", rich_help_panel=OUTPUT)
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace output files that exist, but never a source.", rich_help_panel=OUTPUT
        ),
    ] = False,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Repair feet, floor and jitter before writing; prints what was wrong before and after.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    manifest: Annotated[
        bool,
        typer.Option(
            "--manifest", help="List the clips in manifest.json beside the first output.", rich_help_panel=OUTPUT
        ),
    ] = False,
    prompts_file: Annotated[
        Path | None, typer.Option(help="Text file with one sentence per line.", rich_help_panel=INPUT)
    ] = None,
    timeline: Annotated[
        list[str] | None,
        typer.Option(
            help='Part of one motion: --timeline "4: a person walks". Repeat for each part.', rich_help_panel=INPUT
        ),
    ] = None,
    prefix: Annotated[
        Path | None,
        typer.Option(help="Motion file to continue; --seconds is the length of the new part.", rich_help_panel=INPUT),
    ] = None,
    end: Annotated[
        Path | None,
        typer.Option(
            help="Motion file to end with, after --prefix and the --seconds in between.", rich_help_panel=INPUT
        ),
    ] = None,
    source_fps: Annotated[
        float | None, typer.Option(help="Frame rate of input motion files without one.", rich_help_panel=INPUT)
    ] = None,
    up: Annotated[
        str | None,
        typer.Option(help="Vertical axis of input motion files if not the default.", rich_help_panel=INPUT),
    ] = None,
    mapping: InputMappingOption = None,
    path: Annotated[
        str | None,
        typer.Option(
            help='Points on the floor, "0,0 1,2 2,2" (x,z in metres) or "0,0,0 2,1,2" (seconds,x,z); or a JSON or CSV '
            "file of them.",
            rich_help_panel=WAY,
        ),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(help="Speed along the floor, m/s, straight on or along the path.", rich_help_panel=WAY),
    ] = None,
    turn: Annotated[
        float | None, typer.Option(help="Turn over the whole motion, degrees, left if positive.", rich_help_panel=WAY)
    ] = None,
    facing: Annotated[
        float | None,
        typer.Option(help="DiT: direction of the body, degrees; 0 is +z, 90 is +x.", rich_help_panel=WAY),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same motion.", rich_help_panel=SAMPLING)] = 0,
    *,
    options: RunOptions,
    reference: Annotated[
        list[Path] | None,
        typer.Option(help="Reference motion file. Repeat for one per sentence.", rich_help_panel=DIT),
    ] = None,
    reference_mode: Annotated[
        str,
        typer.Option(
            help="Condition on motion, text or both; auto decides by --judge and jitter.", rich_help_panel=DIT
        ),
    ] = "auto",
    judge: Annotated[
        str,
        typer.Option(
            help="Judge of whether a reference shows the text: similarity, none, or as for evaluate.",
            rich_help_panel=DIT,
        ),
    ] = "similarity",
    edit: Annotated[
        Path | None, typer.Option(help="Motion file to edit according to the sentence.", rich_help_panel=DIT)
    ] = None,
    edit_frames: Annotated[
        str | None, typer.Option(help="Frames to change, such as 20:60; default: all.", rich_help_panel=DIT)
    ] = None,
    edit_joints: Annotated[
        list[str] | None,
        typer.Option(
            help="Joints or groups to change, such as left_arm or upper_body. Repeat for several.",
            rich_help_panel=DIT,
        ),
    ] = None,
    edit_place: Annotated[
        bool,
        typer.Option(
            "--edit-keep-place/--edit-move-rest",
            help="Leave the frames after the changed ones where they are, or move them to where the change ends.",
            rich_help_panel=DIT,
        ),
    ] = True,
    rewrite: Annotated[
        str | None,
        typer.Option(
            help="Language model that rewrites the prompts: name, folder, or https://host/v1#name.",
            rich_help_panel=REWRITING,
        ),
    ] = None,
    rewrite_cache: Annotated[
        Path | None, typer.Option(help="JSON file that caches rewritten prompts.", rich_help_panel=REWRITING)
    ] = None,
    rewrite_errors: Annotated[
        str,
        typer.Option(
            help='What to do with a prompt that cannot be rewritten: "raise" or "keep".', rich_help_panel=REWRITING
        ),
    ] = "raise",
    device: RunDeviceOption = "auto",
    clips: ClipOptions,
    writing: OutputOptions,
) -> None:
    """Generate motions from sentences.

    Several motions are numbered: -o walk.bvh becomes walk-0000.bvh, walk-0001.bvh, ... Every file is written as soon
    as its batch is done, and motions do not depend on each other, so --resume completes an interrupted job with the
    same result. --edit, --reference and --facing need a DiT; with --reference the sentence may be "".
    """
    from motionmillion.cli.prompts import read_prompts, read_span, read_timeline
    from motionmillion.cli.ways import read_path

    writing.check(output or [])
    parts = read_timeline(timeline or [])
    if parts and (prompts or prompts_file):
        raise ValueError(f"prompts must be left out with timeline, got {prompts or str(prompts_file)!r}")
    texts = read_prompts([text for text, _ in parts] or prompts or [], prompts_file, empty=bool(reference))
    span = None if edit_frames is None else read_span(edit_frames)
    start_torch()
    from motionmillion.cli.finishing import Finish, open_manifest
    from motionmillion.cli.jobs import Request, generate_files, output_jobs, rewrite_prompts

    points = None if path is None else read_path(path)
    named = read_mapping(mapping)
    check_mapping(named, [prefix, end, edit, *(reference or [])])
    where = find_device(device)
    sources = [file for file in (prompts_file, prefix, end, edit, rewrite_cache, *(reference or [])) if file]
    if rewrite is not None:
        # outputs are checked before a language model is loaded, and again with its prompts
        output_jobs(texts[:1] if parts else texts, output or [], num_samples, seed, resume, False, sources, overwrite)
        texts = rewrite_prompts(texts, rewrite, rewrite_cache, rewrite_errors, where)
    elif rewrite_cache is not None:
        raise ValueError(f"rewrite_cache must come with rewrite, got {str(rewrite_cache)!r} alone; name a model")
    parts = tuple((text, seconds) for text, (_, seconds) in zip(texts, parts, strict=False))
    # a timeline is one motion: its parts share one prompt and one set of files
    whole = ["; ".join(texts)] if parts else texts
    settled = rewrite is None
    finish = Finish(clips, writing, repair, open_manifest(output or []) if manifest else None)
    jobs = output_jobs(whole, output or [], num_samples, seed, resume, settled, sources, overwrite, finish)
    reading = dict(fps=source_fps, up=up)

    def read(option: str, file: Path) -> Any:
        with option_names(path=option):
            return load_motion(file, named, **reading)

    given = [
        read(option, file) if file else None for option, file in (("prefix", prefix), ("end", end), ("edit", edit))
    ]
    request = Request(
        parts,
        *given[:2],
        references=tuple(read("reference", file) for file in reference or []),
        reference_mode=reference_mode,
        judge=None if judge == "none" else judge,
        edit=given[2],
        edit_frames=span,
        edit_joints=tuple(edit_joints or []),
        edit_keep_place=edit_place,
        way={"path": points, "speed": speed, "turn": turn, "facing": facing},
    )
    request.check_rows(len(texts))
    if model is None:
        model = "mini-dit" if edit or reference or facing is not None else "mini"
    generate_files(jobs, model, where, options, request, finish)
