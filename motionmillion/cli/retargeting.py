"""`motionmillion retarget walk.npz --to hero.glb -o out.glb`: a motion on a character of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from motionmillion.cli.mapping import check_mapping, load_motion, mapping_lines, read_mapping
from motionmillion.cli.options import READABLE, IndexOption, OverwriteOption, SourceFpsOption, UpOption
from motionmillion.kinematics.target_options import help_of
from motionmillion.progress import tracked

_PAIRS = "SMPL22 joint=joint of the file, or a YAML file of such pairs. Repeat for several."


def retarget(
    sources: Annotated[list[Path], typer.Argument(help=f"Motion files: {READABLE}.", metavar="SOURCE...")],
    to: Annotated[Path, typer.Option("--to", help="The character: .glb, .gltf, .bvh or .fbx.")],
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "-o", "--output", help="File to write: .glb (of a .glb character with its meshes) or .bvh. Repeatable."
        ),
    ] = None,
    mapping: Annotated[list[str] | None, typer.Option("--mapping", help=f"The character's joints: {_PAIRS}")] = None,
    show_mapping: Annotated[
        bool, typer.Option("--show-mapping", help="Print which joint is taken for which, as YAML for --mapping.")
    ] = False,
    save_mapping: Annotated[
        Path | None, typer.Option("--save-mapping", help="Write it to this YAML file, to be edited for --mapping.")
    ] = None,
    source_mapping: Annotated[
        list[str] | None, typer.Option("--source-mapping", help=f"The joints of a BVH source: {_PAIRS}")
    ] = None,
    feet: Annotated[bool, typer.Option(help=help_of("feet"))] = True,
    hands: Annotated[bool, typer.Option(help=help_of("hands"))] = False,
    scale: Annotated[float | None, typer.Option(help=help_of("scale"))] = None,
    sole: Annotated[float | None, typer.Option(help=help_of("sole"))] = None,
    character: Annotated[int | None, typer.Option(help="Which character of a file of several, from 0.")] = None,
    fps: Annotated[float | None, typer.Option(help="Resample to this frame rate, such as 24 or 60.")] = None,
    source_fps: SourceFpsOption = None,
    up: UpOption = None,
    index: IndexOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Put a motion on a character: retarget walk.npz --to hero.glb -o out.glb.

    A .glb character keeps its meshes, materials and other animations and gets one more for every source.
    """
    from motionmillion.io.files import existing_file
    from motionmillion.io.outputs import check_outputs

    given, own = read_mapping(mapping), read_mapping(source_mapping)
    check_mapping(own, sources)
    outputs = list(output or [])
    if not outputs and not show_mapping and save_mapping is None:
        raise ValueError("output must be named, got none; add -o out.glb, or --show-mapping")
    check_outputs([*outputs, *([save_mapping] if save_mapping else [])], [*sources, to], overwrite)
    for source in sources:
        existing_file(source)
    from motionmillion.io.characters import GLTF, check_target_output, read_character, retarget_file
    from motionmillion.io.files import write_text
    from motionmillion.io.options import option_names
    from motionmillion.kinematics.target_options import RetargetOptions

    for path in outputs:
        check_target_output(to, path, len(sources), to.suffix.lower() in GLTF)
    options = RetargetOptions(feet=feet, hands=hands, scale=scale, sole=sole)
    with option_names(index="--character"):
        body = read_character(to, given, index=character)
    shown = mapping_lines(to.name, body.target.names, body.joints)
    if show_mapping:
        typer.echo(shown)
    if save_mapping is not None:
        typer.echo(write_text(shown + "\n", save_mapping))
    if outputs:
        reading = dict(fps=source_fps, up=up, index=index)
        motions = [load_motion(source, own, **reading) for source in tracked(sources, "reading", "files")]
        motions = motions if fps is None else [motion.resample(fps) for motion in motions]
        for path in retarget_file(motions, body, *outputs, options=options):
            typer.echo(path)
