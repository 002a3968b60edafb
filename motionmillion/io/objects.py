"""Motions in `.pkl` and `.pt` files, read as plain data without running anything (`motionmillion.io.pickles`).

motion = read_object("wham_output.pkl", index=1)
motion = read_object("hmr4d_results.pt", fps=25)

What is found in them, see `motionmillion.io.content`.
"""

from pathlib import Path

from motionmillion.io.content import motion_of_value
from motionmillion.io.pickles import load_checkpoint, load_pickle
from motionmillion.io.smpl_tables import Reading
from motionmillion.motion import Motion


def read_object(
    path: str | Path,
    up: str | None = None,
    fps: float | None = None,
    index: int | None = None,
    sixd: str | None = None,
) -> Motion:
    """Read the motion in a pickle or a file of `torch.save`.

    Args:
        up: the file's vertical axis; None takes that of its format, checked on the clip (`motionmillion.io.axes`).
        fps: frames per second, for files that have none.
        index: which motion or person of several; None takes the first, with a warning.
        sixd: order of 6D rotations, see `motionmillion.io.rotations`.

    Raises:
        ValueError: if the file is missing, damaged, holds anything but plain data, or is not a motion.
    """
    load = load_checkpoint if Path(path).suffix.lower() == ".pt" else load_pickle
    return motion_of_value(load(path), path, Reading(up, fps, index, sixd))
