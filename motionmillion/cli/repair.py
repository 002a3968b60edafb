"""The command `motionmillion repair`: sliding feet, floor and jitter of motion files. Heavy imports wait inside.

motionmillion repair walk.bvh -o walk_repaired.bvh
motionmillion repair *.bvh -o FOLDER --format bvh --no-floor
"""

from pathlib import Path
from typing import Annotated

import typer

from motionmillion.cli.mapping import MappingOption, check_mapping, load_motion, read_mapping
from motionmillion.cli.options import (
    READABLE,
    WRITABLE,
    IndexOption,
    OverwriteOption,
    SourceFpsOption,
    UpOption,
)
from motionmillion.progress import tracked


def repair(
    files: Annotated[list[Path], typer.Argument(help=f"Motion files: {READABLE}.", metavar="SOURCE...")],
    output: Annotated[
        list[Path] | None,
        typer.Option("-o", "--output", help=f"File to write ({WRITABLE}), or a folder. Repeat for several."),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="Format of the files in an output folder, such as bvh. Repeat for several."),
    ] = None,
    feet: Annotated[bool, typer.Option(help="Hold feet still while they touch the floor.")] = True,
    floor: Annotated[bool, typer.Option(help="Put the floor at height 0, and lift what is below it.")] = True,
    jitter: Annotated[bool, typer.Option(help="Steady the movement, keeping accents.")] = True,
    swing: Annotated[bool, typer.Option(help="Lift feet that swing just above the floor.")] = True,
    floor_height: Annotated[
        float | None, typer.Option(help="Height of the floor in the sources, metres, if not to be found.")
    ] = None,
    source_fps: SourceFpsOption = None,
    up: UpOption = None,
    index: IndexOption = None,
    mapping: MappingOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Repair motions: sliding feet, floor, jitter. Prints what was wrong before and after.

    "sliding" is the fraction of frames in which toes lower than 5 cm move faster than 0.5 m/s, "penetration" the mean
    depth of toes below the floor, "jerk" the mean third derivative of all joints' positions. Nothing is written unless
    every source is read.
    """
    from motionmillion.cli.exporting import plan_files

    if not output:
        raise ValueError(f"output must be named with -o, got none; write repair {files[0]} -o OUTPUT")
    named = read_mapping(mapping)
    check_mapping(named, files)
    plan = plan_files(files, output, formats or [], overwrite)
    from motionmillion.kinematics.repair import RepairOptions, repair_faults, repaired

    options = RepairOptions(feet, floor, jitter, swing, floor_height)
    pairs = []
    for source in tracked(files, "repairing", "files"):
        motion = load_motion(source, named, fps=source_fps, up=up, index=index)
        pairs.append((motion, repaired(motion, options)))
    for (before, after), (_, paths) in tracked(list(zip(pairs, plan, strict=True)), "writing", "motions"):
        told = repair_faults(before, after, options)
        for path in paths:
            typer.echo(f"{after.save(path)}: {told}")
