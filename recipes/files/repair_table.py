"""What repairing does to the bundled model's motions and to noisy real ones: the table of `docs/files.md`.

    python recipes/files/repair_table.py PATH/TO/FOLDER         # a folder of real motions, such as cmu_text_motion

Four seeds of six prompts from the bundled model, and 20 clips of the folder's val and test splits with noise: each
joint shakes by 0.35 degrees in every frame and wanders by 1.3 degrees within a third of a second, the path by 1.5 and
10 mm. Accents are the peak speeds of wrists above 2.5 m/s and of ankles above 4 m/s in 16 clips of the category
`fight` (without noise) and in the model's kicks; the mean and the range of after / before are shown. Prints Markdown.

Unusual: the distance (MPJPE) is that from the motion before the repair, including the shift of its floor to height 0.
"""

import argparse
import time
from collections.abc import Sequence

import numpy as np
import roma
import torch

import motionmillion as mm
from motionmillion.data.clips import ClipReader, list_clips
from motionmillion.kinematics.faults import find_faults
from motionmillion.kinematics.repair import RepairOptions, repaired

PROMPTS = {
    "walk": "a person walks forward",
    "run": "a person runs forward",
    "kick": "a person kicks",
    "turn": "a person turns around",
    "wave": "a person waves",
    "stand": "a person stands still",
}
SEEDS, SECONDS, CLIPS, FIGHTS = 4, 4.0, 20, 16
_FAST = {"left_wrist": 2.5, "right_wrist": 2.5, "left_ankle": 4.0, "right_ankle": 4.0}


def noisy(motion: mm.Motion, seed: int) -> mm.Motion:
    """The motion with the noise of the module's docstring; `seed` sets it."""
    generator = torch.Generator().manual_seed(seed)
    fade = torch.hann_window(21, periodic=False, dtype=torch.float64)[1:-1]
    fade = fade / fade.norm()

    def draw(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
        """White noise and noise that wanders, both of variance 1."""
        white, more = (
            torch.randn(motion.num_frames + extra, *shape, generator=generator, dtype=torch.float64)
            for extra in (0, len(fade) - 1)
        )
        return white, torch.einsum("t...w,w->t...", more.unfold(0, len(fade), 1), fade)

    (shake, wander), (step, drift) = draw(22, 3), draw(3)
    turn = roma.rotvec_to_rotmat(np.deg2rad(0.35) * shake + np.deg2rad(1.3) * wander)
    path = 0.0015 * step + 0.01 * drift * torch.tensor([1.0, 0.3, 1.0])
    return motion.replace(rotations=motion.rotations.double() @ turn, translation=motion.translation + path)


def generated() -> dict[str, list[mm.Motion]]:
    pipe = mm.MotionPipeline.from_pretrained("mini")
    return {
        name: [pipe(text, seconds=SECONDS, seed=seed, candidates=1)[0] for seed in range(SEEDS)]
        for name, text in PROMPTS.items()
    }


def real(folder: str) -> tuple[list[mm.Motion], list[mm.Motion]]:
    """Clips of val and test, and of fights in any split, evenly spaced."""
    reader = ClipReader(folder)
    held_out = list_clips(folder, ["val", "test"])
    fights = [record for record in list_clips(folder) if record.category == "fight"]
    chosen = [every[:: max(len(every) // count, 1)][:count] for every, count in ((held_out, CLIPS), (fights, FIGHTS))]
    return tuple([reader(record).motion for record in records] for records in chosen)  # type: ignore[return-value]


def row(name: str, motions: Sequence[mm.Motion], options: RepairOptions) -> str:
    start = time.process_time()
    fixed = [repaired(motion, options) for motion in motions]
    seconds = 10.0 * (time.process_time() - start) / sum(motion.seconds for motion in motions)
    before, after = ([find_faults(motion) for motion in each] for each in (motions, fixed))
    moved = [float((a.positions() - b.positions()).norm(dim=-1).mean()) for a, b in zip(fixed, motions, strict=True)]

    def change(name: str, scale: float, digits: int) -> str:
        was, now = (scale * np.mean([getattr(faults, name) for faults in each]) for each in (before, after))
        return f"{was:.{digits}f} -> {now:.{digits}f}"

    cells = (change("sliding", 1, 3), change("penetration", 1000, 1), change("jerk", 1, 0))
    return f"| {name} | {' | '.join(cells)} | {1000 * np.mean(moved):.1f} | {seconds:.2f} |"


def accents(name: str, motions: Sequence[mm.Motion]) -> str:
    ratios: dict[str, list[float]] = {"wrist": [], "ankle": []}
    for motion in motions:
        speeds = [
            (m.positions().diff(dim=0).norm(dim=-1).amax(0) * m.fps).tolist() for m in (motion, repaired(motion))
        ]
        for joint, fast in _FAST.items():
            before, after = (speed[mm.SMPL22.index(joint)] for speed in speeds)
            if before > fast:
                ratios[joint.split("_")[1]].append(after / before)
    cells = [f"{np.mean(r):.3f} ({min(r):.2f} to {max(r):.2f}), {len(r)} peaks" if r else "" for r in ratios.values()]
    return f"| {name} | {' | '.join(cells)} |"


def table(made: dict[str, list[mm.Motion]], clips: list[mm.Motion], fights: list[mm.Motion]) -> None:
    rough = [noisy(motion, seed) for seed, motion in enumerate(clips)]
    whole = [motion for motions in made.values() for motion in motions]
    print("| motions | sliding frames | penetration (mm) | jerk (m/s^3) | moved (mm) | CPU s for 10 s |")
    print("|---|---|---|---|---|---|")
    every = RepairOptions()
    for name, motions in (*made.items(), ("all six", whole), ("noisy real", rough), ("real, without noise", clips)):
        print(row(name, motions, every))
    for left_out in ("feet", "floor", "jitter", "swing"):
        print(row(f"all six, no {left_out}", whole, RepairOptions(**{left_out: False})))
    print("\n| accents | wrists | ankles |\n|---|---|---|")
    print(accents("real fights", fights))
    print(accents("generated kicks", made["kick"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", help="folder of real motions with the splits val and test")
    table(generated(), *real(parser.parse_args().folder))


if __name__ == "__main__":
    main()
