"""Commands on files: `motionmillion export`, `view`, `tokenize` and `detokenize`. Heavy imports wait inside."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from motionmillion.cli.mapping import MappingOption, check_mapping, load_motion, mapping_text, read_mapping
from motionmillion.cli.options import (
    READABLE,
    WRITABLE,
    ClipOptions,
    DeviceOption,
    IndexOption,
    ModelOption,
    OutputOptions,
    OverwriteOption,
    SourceFpsOption,
    UpOption,
    find_device,
    start_torch,
    with_clip_options,
    with_output_options,
)
from motionmillion.io.write_options import Shown
from motionmillion.progress import say, tracked

_VIEW = "motionmillion view"
"""What pages of the command `view` say that they were made by."""


@with_output_options
@with_clip_options
def export(
    files: Annotated[list[Path], typer.Argument(help=f"Motion files: {READABLE}.", metavar="SOURCE...")],
    output: Annotated[
        list[Path] | None,
        typer.Option("-o", "--output", help=f"File to write ({WRITABLE}), or a folder. Repeat for several."),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="Format of the files in an output folder, such as bvh. Repeat for several."),
    ] = None,
    canonical: Annotated[bool, typer.Option(help="Put the motion on the floor, at the origin, facing +z.")] = False,
    source_fps: SourceFpsOption = None,
    up: UpOption = None,
    index: IndexOption = None,
    mapping: MappingOption = None,
    show_mapping: Annotated[
        bool, typer.Option("--show-mapping", help="Print which joint is taken for which, as YAML for --mapping.")
    ] = False,
    manifest: Annotated[
        bool, typer.Option("--manifest", help="List the clips in manifest.json beside the first output.")
    ] = False,
    overwrite: OverwriteOption = False,
    *,
    clips: ClipOptions,
    writing: OutputOptions,
) -> None:
    """Convert motion files to other formats: export walk.bvh -o walk.npz, or export *.bvh -o FOLDER --format npz.

    "export *.npz -o all.glb" writes the animations of all into one file; so do .fbx and .usd.

    A .npy file may hold features of 272, 276 or 263 values per frame, or joint positions [T, 22, 3] with --source-fps;
    .npz, .npy, .pkl and .pt also SMPL parameters as other projects save them.
    "export walk.bvh walk.npz" also works if walk.npz does not exist. Nothing is written unless every source is read.
    """
    from motionmillion.cli.exporting import apart_from_shared, plan_files, split_files
    from motionmillion.data.game_clips import prepare_clip
    from motionmillion.data.manifest import NAME, Manifest, clip_entry
    from motionmillion.io import write_motion

    named = read_mapping(mapping)
    if show_mapping and not output and (len(files) == 1 or all(path.exists() for path in files)):
        check_mapping(named, files)
        typer.echo("\n".join(mapping_text(source, named) for source in files))
        return
    sources, outputs = split_files(files, output or [], overwrite)
    check_mapping(named, sources)
    outputs, shared = apart_from_shared(sources, outputs, overwrite)
    plan = plan_files(sources, outputs, formats or [], overwrite)
    written = [*(path for _, paths in plan for path in paths), *shared]
    writing.check(written)
    if manifest and shared:
        raise ValueError(f"manifest must be left out for one file of several clips, got {str(shared[0])!r}")
    listed = Manifest(written[0].parent / NAME) if manifest else None
    if show_mapping:
        typer.echo("\n".join(mapping_text(source, named) for source in sources))
    # all motions first, so that nothing is written if a source cannot be read
    made = []
    for source in tracked(sources, "reading", "files"):
        motion = load_motion(source, named, fps=source_fps, up=up, index=index)
        made.append(prepare_clip(motion.canonicalize() if canonical else motion, clips))
    for clip, (_, paths) in tracked(list(zip(made, plan, strict=True)), "writing", "motions"):
        for path in paths:
            typer.echo(clip.motion.save(path, **writing.of(path)))
        if listed is not None and paths:
            listed.add(clip_entry(paths, clip, clip.motion.caption))
    for path in shared:
        typer.echo(write_motion([clip.motion for clip in made], path, **writing.of(path)))


def view(
    sources: Annotated[list[Path], typer.Argument(help=f"Motion files: {READABLE}.", metavar="SOURCE...")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="HTML file; default: next to the first source.")
    ] = None,
    body: Annotated[Shown, typer.Option(help="Body that is shown first.")] = "human",
    source_fps: SourceFpsOption = None,
    up: UpOption = None,
    browser: Annotated[bool, typer.Option(help="Open it in the web browser.")] = True,
    index: IndexOption = None,
    mapping: MappingOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Show a motion in the web browser, or several side by side; a page of an earlier view is replaced.

    The page works offline. It shows a human, a mannequin or a stick figure, path and foot contacts, takes more BVH,
    GLB and NPZ files dropped onto it, and saves BVH and GLB; press ? for its keys.
    """
    import webbrowser

    from motionmillion.io.outputs import check_outputs
    from motionmillion.io.page import made_by

    named = read_mapping(mapping)
    check_mapping(named, [*sources])
    output = sources[0].with_suffix(".html") if output is None else output
    if output.suffix.lower() != ".html":
        raise ValueError(f"output must end in .html to be viewed, got {str(output)!r}")
    check_outputs([output], sources, overwrite or made_by(output) == _VIEW)

    from motionmillion.io.html import write_html

    motions = [load_motion(source, named, fps=source_fps, up=up, index=index) for source in sources]
    captions = _titles(
        [motion.caption or source.stem for motion, source in zip(motions, sources, strict=True)], sources
    )
    page = write_html(motions, output, captions if len(sources) > 1 else None, body=body, generator=_VIEW)
    typer.echo(page)
    if browser and not webbrowser.open(page.resolve().as_uri()):
        say(f"no web browser was found; open {page} in one")


def _titles(captions: Sequence[str], sources: Sequence[Path]) -> list[str]:
    """Captions of motions that are shown together; equal ones with the names of their files, or their whole paths."""
    names, titles = [source.name for source in sources], []
    for caption, source in zip(captions, sources, strict=True):
        file = source.name if names.count(source.name) == 1 else str(source)
        titles.append(caption if captions.count(caption) == 1 else f"{caption} ({file})")
    return titles


def tokenize(
    source: Annotated[Path, typer.Argument(help=f"Motion file ({READABLE}), or a folder of motions.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Code file (.npy, int64, [N]), or folder of shards.")],
    model: ModelOption = "mini",
    mapping: MappingOption = None,
    split: Annotated[list[str] | None, typer.Option(help="Only clips of this split. Repeat for several.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; default: one per CPU core.")] = None,
    batch_size: Annotated[int, typer.Option(help="Clips encoded together; does not change the codes.")] = 32,
    shard_size: Annotated[int, typer.Option(help="Clips per Parquet file.")] = 256,
    device: DeviceOption = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the code file; folders: remove the shards of earlier runs.")
    ] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Skip motions that cannot be read.")] = False,
) -> None:
    """Turn a motion into codes, or a folder of motions into Parquet files of codes and captions.

    Options from --split on apply to folders. To resume after an interruption, run the same command again.
    """
    if not source.is_dir():
        if output.suffix.lower() != ".npy":  # before torch is imported
            raise ValueError(f"code file must end in .npy, got {str(output)!r}")
        from motionmillion.cli.jobs import tokenize_file

        named = read_mapping(mapping)
        check_mapping(named, [source])
        typer.echo(tokenize_file(source, output, model, named, overwrite))
        return
    if mapping:
        raise ValueError(f"--mapping must come with one motion file, got the folder {str(source)!r}; leave it out")
    start_torch()
    from motionmillion.data.clips import SPLITS
    from motionmillion.data.shards.tokenize import tokenize_folder
    from motionmillion.pipeline.folder import find_tokenizer

    folder = tokenize_folder(
        source,
        output,
        find_tokenizer(model),
        splits=split or SPLITS,
        workers=workers,
        batch_size=batch_size,
        shard_size=shard_size,
        device=find_device(device),
        overwrite=overwrite,
        skip_bad=skip_bad,
    )
    typer.echo(folder)


def detokenize(
    source: Annotated[Path, typer.Argument(help="Code file (.npy, integers, [N]).")],
    output: Annotated[
        list[Path], typer.Option("-o", "--output", help=f"Motion file to write: {WRITABLE}. Repeat for several.")
    ],
    model: ModelOption = "mini",
    overwrite: OverwriteOption = False,
) -> None:
    """Turn codes back into a motion."""
    from motionmillion.io import check_output

    for path in output:  # before torch is imported
        check_output(path)
    from motionmillion.cli.jobs import detokenize_file

    for path in detokenize_file(source, output, model, overwrite):
        typer.echo(path)
