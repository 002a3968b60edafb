"""How well characters of other proportions follow a motion: the table "Your own character" of `docs/files.md`.

    python recipes/files/retarget_table.py                     # a synthetic walk
    python recipes/files/retarget_table.py walk.npz kick.npz   # motions of your own

Every character (`characters.py`) is written as a `.glb` file with a mesh, a motion is put on it, and the joints are
measured in the written file, with feet placed by IK and without. All figures are relative to the length of the leg, so
that a child and a giant compare. Prints Markdown:

- contact: mean difference of height between the ball of a foot that stands and the scaled motion's;
- sliding: mean horizontal speed of a foot that stands, the scaled motion's own beside it;
- hands and feet: mean distance of wrists and of balls of the feet from the scaled motion's, about the hips.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from characters import Body, characters

import motionmillion as mm
from motionmillion.data import synthesize
from motionmillion.io.characters import read_character, retarget_file
from motionmillion.io.gltf_nodes import GltfFile, animation_keys, ordered, posed_matrices
from motionmillion.kinematics.target_options import RetargetOptions
from motionmillion.kinematics.targets import ToTarget

SIDES = ("left", "right")
STANDS_BELOW, STANDS_SLOWER = 0.05, 0.15
"""Metres, and metres per second, of the balls of the feet on SMPL22."""


class Errors(NamedTuple):
    """Shares of the length of the leg; `sliding` and `own` per second."""

    contact: float
    sliding: float
    own: float
    hands: float
    feet: float


def written_joints(path: Path) -> dict[str, np.ndarray]:
    """Positions `[T, 3]` of every joint, by name, in the last animation of a file."""
    file = GltfFile(path)
    order, parents = ordered(file, file.json["nodes"], set(file.json["skins"][0]["joints"]))
    keys = animation_keys(file, file.json["animations"][-1])
    posed = posed_matrices(file, keys, order, parents)[1]
    return {str(file.json["nodes"][node]["name"]): posed[:, place, :3, 3] for place, node in enumerate(order)}


def measure(body: Body, motion: mm.Motion, folder: Path, options: RetargetOptions) -> Errors:
    """The errors of a motion on a character, from its file."""
    source, output = folder / "character.glb", folder / "moved.glb"
    source.write_bytes(body.glb())
    character = read_character(source)
    retarget_file(motion, character, output, options=options)
    sole = ToTarget(character.target, character.joints, options).sole
    found = written_joints(output)
    joints = {name: found[label] for name, label in character.mapping.items()}
    smpl = motion.positions().double().numpy()
    wanted = {name: smpl[:, joint] for joint, name in enumerate(mm.SMPL22.names)}
    offsets = np.linalg.norm(np.array(mm.SMPL22.offsets), axis=1)
    size = body.leg / sum(offsets[mm.SMPL22.index(f"left_{part}")] for part in ("knee", "ankle"))
    hips = [sum(where[f"{side}_hip"] for side in SIDES) / 2 for where in (joints, wanted)]
    contact, sliding, own, ends = [], [], [], {"wrist": [], "foot": []}
    for side in SIDES:
        ball, other = joints[f"{side}_foot"], wanted[f"{side}_foot"]
        speed = np.linalg.norm(np.gradient(other, axis=0), axis=1) * motion.fps
        stands = (other[:, 1] < STANDS_BELOW) & (speed < STANDS_SLOWER)
        contact.append(np.abs(ball[:, 1] - sole - other[:, 1] * size)[stands])
        for places, factor, into in ((ball, 1.0, sliding), (other, size, own)):
            level = np.gradient(places[:, [0, 2]], axis=0)
            into.append(np.linalg.norm(level, axis=1)[stands] * motion.fps * factor)
        for part, into in ends.items():
            first, second = joints[f"{side}_{part}"] - hips[0], wanted[f"{side}_{part}"] - hips[1]
            into.append(np.linalg.norm(first - second * size, axis=1))
    figures = [np.concatenate(values).mean() / body.leg for values in (contact, sliding, own, *ends.values())]
    return Errors(*map(float, figures))


def row(name: str, errors: list[Errors]) -> str:
    """A line of the table: without IK -> with it, in percent."""
    cells = [
        " -> ".join(f"{100 * getattr(error, field):.1f}" for error in errors)
        for field in ("contact", "sliding", "hands", "feet")
    ]
    cells[1] += f" ({100 * errors[0].own:.1f})"
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("motions", nargs="*", type=Path, help="motion files; default: a synthetic walk")
    paths = parser.parse_args().motions
    motions = [mm.Motion.load(path).canonicalize() for path in paths] or [synthesize("walk", seed=0, seconds=4)]
    ways = (RetargetOptions(feet=False), RetargetOptions(feet=True, hands=True))
    print("| character | contact (% of leg) | sliding (% of leg a second; the motion's own) | hands (%) | feet (%) |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, body in characters().items():
            every = [[measure(body, motion, Path(folder), way) for motion in motions] for way in ways]
            print(row(name, [Errors(*np.mean(errors, axis=0)) for errors in every]), flush=True)


if __name__ == "__main__":
    main()
