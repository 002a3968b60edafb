"""How near every rig's reading is to that of a plain T-pose rig in the same motion: the tables of `docs/files.md`.

    python recipes/files/reading_table.py                      # rigs made here
    python recipes/files/reading_table.py PATH/TO/FOLDERS      # and folders with x.* and base.bvh of one motion

The same walk is written on each rig and read back. Rotations are local and compared joint by joint over all frames;
positions are a share of the leg's length. Prints Markdown.
Unusual: a folder without `base.bvh` shows only that, and with which warning, its file is read.
"""

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import roma

sys.path.insert(0, str(Path(__file__).parent))

from rigs import rigs, walk

import motionmillion as mm

_LEG = 0.78


def compared(motion: mm.Motion, base: mm.Motion) -> tuple[float, float, float]:
    """Largest differences: of rotations, degrees, without and within neck and collars; of positions, % of the leg."""
    degrees = np.rad2deg(roma.rotmat_geodesic_distance(motion.rotations.double(), base.rotations.double()).numpy())
    loose = [mm.SMPL22.index(name) for name in ("neck", "left_collar", "right_collar")]
    rest = [joint for joint in range(22) if joint not in loose]
    apart = (motion.positions() - base.positions()).norm(dim=-1).max()
    return float(degrees[:, rest].max()), float(degrees[:, loose].max()), float(apart) / _LEG * 100


def row(name: str, motion: mm.Motion, base: mm.Motion) -> str:
    joints, loose, positions = compared(motion, base)
    return f"| {name} | {joints:.1f} | {loose:.1f} | {positions:.1f} |"


def read(path: Path, **options) -> tuple[mm.Motion | None, str]:
    """The motion, and what was said; None if it is refused."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            motion = mm.Motion.load(path, **options)
        except ValueError as error:
            return None, f"refused: {error}"
    return motion, "; ".join(str(warning.message) for warning in said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="folders with x.* and, most of them, base.bvh")
    folder = parser.parse_args().folder
    head = "| rest pose | joints (degrees) | neck and collars (degrees) | positions (% of leg) |\n|---|---|---|---|"
    print(head)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "x.bvh"
        base = None
        for name, rig in rigs().items():
            path.write_text(rig.bvh(*walk()), encoding="utf-8")
            motion = mm.Motion.load(path)
            base = base or motion
            print(row(name, motion, base))
    if folder is None:
        return
    rest = []
    print()
    print(head.replace("rest pose", "file"))
    for case in sorted(path for path in folder.iterdir() if path.is_dir()):
        name = case.name.replace("_", " ")
        for path in sorted(case.glob("x.*")):
            motion, said = read(path)
            said = said.replace(repr(str(path)), path.name).replace(str(path), path.name)
            if motion is not None and (case / "base.bvh").is_file():
                print(row(name, motion, mm.Motion.load(case / "base.bvh")))
            else:
                seen = "" if motion is None else f"{motion.num_frames} frames at {motion.fps:g}"
                rest.append(f"| {name} | {seen} | {said} |")
    print("\n| file | read as | said |\n|---|---|---|")
    print("\n".join(rest))


if __name__ == "__main__":
    main()
