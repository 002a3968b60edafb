"""How smooth loops are, and how near motions come to a path: the tables of `docs/files.md` and `docs/python.md`.

    python recipes/files/games_table.py PATH/TO/FOLDER          # a folder of real motions, such as cmu_text_motion

Loops: walks and runs of the bundled model, and real clips of the categories walk and run of the folder's val and test
splits. Accelerations are the largest of any joint, across the seam and elsewhere in the cycle; "slip" is the mean
speed along the floor of the parts of feet that touch it, in the frames that the loop is made of and in three cycles.

Paths: the bundled model, four seconds, four seeds. "Free" is the first seed without a path. "Nearest" is the best of
eight candidates, moved and turned to where the path begins, "on the path" the same after its correction.
Prints Markdown.
"""

import argparse
import math
from collections.abc import Sequence

import numpy as np
import torch

import motionmillion as mm
from motionmillion.data.clips import ClipReader, list_clips
from motionmillion.kinematics.contacts import FEET, find_contacts
from motionmillion.kinematics.faults import find_faults
from motionmillion.kinematics.floor_paths import FloorPath, path_error
from motionmillion.kinematics.loops import find_loop
from motionmillion.kinematics.path_following import nearest, onto_path
from motionmillion.motion import rotation_y

LOOPED = ("a person walks forward", "a person runs forward")
PATHS = {
    "4 m straight": [(0, 0), (0, 4)],
    "corner": [(0, 0), (0, 2.5), (2.5, 2.5)],
    "slalom": [(0, 0), (1, 1.5), (0, 3), (1, 4.5)],
}
SEEDS, SECONDS, CANDIDATES, CLIPS = 4, 4.0, 8, 24


def slip(motion: mm.Motion) -> float:
    """Mean speed along the floor of parts of feet that touch it, metres per second; NaN if none does."""
    contacts = find_contacts(motion.positions(), motion.fps)
    feet = motion.positions().numpy()[:, FEET][..., [0, 2]]
    speed = np.linalg.norm(np.diff(feet, axis=0), axis=-1) * motion.fps
    both = contacts[1:] & contacts[:-1]
    return float(speed[both].mean()) if both.any() else math.nan


def sliding(motion: mm.Motion) -> float:
    """Fraction of frames with a sliding foot, see `motionmillion.kinematics.faults`."""
    return find_faults(motion).sliding


def loops(name: str, motions: Sequence[mm.Motion]) -> str:
    found = []
    for motion in motions:
        try:
            found.append((motion, find_loop(motion)))
        except ValueError:
            continue
    smooth = sum(loop.seam_acceleration <= loop.inside_acceleration for _, loop in found)
    seam, inside = (np.median([getattr(loop, f"{k}_acceleration") for _, loop in found]) for k in ("seam", "inside"))
    before = np.nanmean([slip(motion.slice(loop.start, loop.stop)) for motion, loop in found])
    after = np.nanmean([slip(loop.repeated(3)) for _, loop in found])
    cells = f"{len(found)} of {len(motions)} | {smooth} of {len(found)} | {seam:.0f} | {inside:.0f}"
    return f"| {name} | {cells} | {before:.2f} -> {after:.2f} |"


def begun(motion: mm.Motion, path: FloorPath) -> mm.Motion:
    """The motion where the path begins, in its direction; generated motions begin at the origin, facing +z."""
    places, angles = path.at(np.zeros(1))
    turn = rotation_y(torch.tensor(float(angles[0])))
    rotations = motion.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    shift = torch.tensor([places[0, 0], 0.0, places[0, 1]]).float()
    return motion.replace(rotations=rotations, translation=motion.translation @ turn.mT + shift)


def paths(pipe: mm.MotionPipeline, name: str, points: list[tuple[float, float]]) -> str:
    path, rows = FloorPath.of(points), []
    for seed in range(SEEDS):
        made = pipe(LOOPED[0], seconds=SECONDS, num_samples=CANDIDATES, seed=seed, candidates=1)
        best = made[nearest(made, path)]
        moved = onto_path(best, path)
        errors = [path_error(each, path) for each in (begun(made[0], path), begun(best, path), moved)]
        feet = [measure(each) for measure in (slip, sliding) for each in (best, moved)]
        rows.append([*(e.mean for e in errors), errors[2].largest, *feet])
    free, near, on, largest, *feet = np.mean(rows, axis=0)
    cells = f"{free:.2f} | {near:.2f} | {on:.3f} | {largest:.2f} | {feet[0]:.2f} -> {feet[1]:.2f}"
    return f"| {name} | {cells} | {feet[2]:.3f} -> {feet[3]:.3f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", help="folder of real motions with the splits val and test")
    folder = parser.parse_args().folder
    pipe = mm.MotionPipeline.from_pretrained("mini")
    print("| motions | with a loop | seam at most as rough | seam (m/s^2) | elsewhere (m/s^2) | slip (m/s) |")
    print("|---|---|---|---|---|---|")
    for text in LOOPED:
        print(loops(f'model, "{text}"', pipe(text, seconds=5.0, num_samples=8, candidates=1)))
    reader = ClipReader(folder)
    records = [record for record in list_clips(folder, ["val", "test"]) if record.category in ("walk", "run")]
    print(loops("real walks and runs", [reader(record).motion for record in records[:: len(records) // CLIPS]]))
    print("\n| path | free (m) | nearest (m) | on the path (m) | at most (m) | slip (m/s) | sliding frames |")
    print("|---|---|---|---|---|---|---|")
    for name, points in PATHS.items():
        print(paths(pipe, name, points))


if __name__ == "__main__":
    main()
