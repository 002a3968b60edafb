"""Does a DiT edit and follow as asked? On walks of people whom it has not seen.

    python recipes/mini/edit_check.py --model mini-dit --data FOLDER --seed 0 --output runs/edits

Writes results.json and report.md. Arms, and the frames in the middle, are made anew with prompts of
instruction_prompts.yaml, and rules on joints judge whether the whole motion then does what the prompt says: with the
model's own number of candidates, with one, and with one and the prompt "a person walks forward", which shows how often
that happens anyway. Clips that already do it are left out. References are the clips with noise on every rotation, and
paths are at a walk with one bend.
"""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import roma
import torch
import yaml

import motionmillion
from motionmillion.data import load_clips
from motionmillion.eval.instructions import FAMILIES, follows, wilson
from motionmillion.io.files import write_text
from motionmillion.kinematics.floor_paths import FloorPath, path_error
from motionmillion.motion import Motion
from motionmillion.pipeline import MotionPipeline
from motionmillion.progress import tracked
from motionmillion.provenance import command_line, describe_machine

PROMPTS = Path(__file__).with_name("instruction_prompts.yaml")
ARMS = {
    "raise_left": ["left_arm"],
    "raise_right": ["right_arm"],
    "raise_both": ["left_arm", "right_arm"],
    "wave_left": ["left_arm"],
    "wave_right": ["right_arm"],
    "clap": ["left_arm", "right_arm"],
}
"""Families of instructions, and the joints that are made anew."""
MIDDLES = ("jump_in_place", "squat", "bend_forward")
"""Families for which the middle of the motion is made anew."""
OTHER = "a person walks forward"
SECONDS = (3.0, 6.0)
"""Shortest length of the clips, and the one to which they are cut."""
MARGIN = 0.75
"""Seconds that stay at either end where the middle is made anew."""
NOISE = math.radians(5)
"""Standard deviation of the noise on each rotation of a reference, about each axis."""


def walks(folder: Path, fps: float, most: int) -> list[Motion]:
    """Walks of the splits val and test at the frame rate of a model, cut to `SECONDS`, spread over all of them."""
    found = [
        clip.motion.resample(fps)
        for clip in load_clips(folder, splits=("val", "test"))
        if FAMILIES["walk_forward"].shown_by(clip) and clip.motion.seconds >= SECONDS[0]
    ]
    every = max(len(found) // most, 1)
    return [motion.slice(0, round(SECONDS[1] * fps)) for motion in found[::every][:most]]


def edits(pipe: MotionPipeline, motions: Sequence[Motion], seed: int) -> dict[str, dict[str, Any]]:
    """How many edited motions follow each family: with the candidates of the model, with one, and with `OTHER`."""
    prompts, rows = yaml.safe_load(PROMPTS.read_text(encoding="utf-8")), {}
    margin = round(MARGIN * pipe.fps)
    for family in (*ARMS, *MIDDLES):
        open_ = [motion for motion in motions if not follows(family, motion)]
        passed = dict.fromkeys(("best", "one", "anyway"), 0)
        for number, motion in enumerate(tracked(open_, family, "clips")):
            what: dict[str, Any] = {"joints": ARMS.get(family), "seed": seed + number}
            if family in MIDDLES:
                what["frames"] = (margin, motion.num_frames - margin)
            own = prompts[family][number % len(prompts[family])]
            passed["best"] += follows(family, pipe.edit(motion, own, **what))
            passed["one"] += follows(family, pipe.edit(motion, own, candidates=1, **what))
            passed["anyway"] += follows(family, pipe.edit(motion, OTHER, candidates=1, **what))
        rows[family] = {**passed, "count": len(open_), "interval": wilson(passed["best"], len(open_))}
    return rows


def references(pipe: MotionPipeline, motions: Sequence[Motion], seed: int) -> dict[str, float]:
    """Mean distances of joints from the clean clips, relative to the pelvis, mm."""
    generator = torch.Generator().manual_seed(seed)
    sums = {"noisy reference": 0.0, "following it": 0.0, "text alone": 0.0}
    for number, motion in enumerate(tracked(motions, "references", "clips")):
        noise = roma.rotvec_to_rotmat(NOISE * torch.randn(motion.rotations.shape[:3], generator=generator))
        noisy = motion.replace(rotations=motion.rotations @ noise)
        told: dict[str, Any] = {"seconds": motion.seconds, "seed": seed + number}
        followed = pipe(OTHER, reference=noisy, reference_mode="motion", **told)[0]
        for name, made in zip(sums, (noisy, followed, pipe(OTHER, **told)[0]), strict=True):
            sums[name] += 1000 * _apart(made, motion)
    return {name: value / len(motions) for name, value in sums.items()}


def _apart(motion: Motion, other: Motion) -> float:
    """Mean distance of joints relative to the pelvis and its heading, metres."""
    frames = min(motion.num_frames, other.num_frames)
    own, wanted = (each.slice(0, frames).canonicalize() for each in (motion, other))
    places = [each.positions() - each.translation[:, None] for each in (own, wanted)]
    return float((places[0] - places[1]).norm(dim=-1).mean())


def paths(pipe: MotionPipeline, count: int, seed: int) -> list[float]:
    """Mean distance from each path, metres."""
    errors = []
    for number in tracked(range(count), "paths", "paths"):
        turn = math.radians(90) * (2 * number / max(count - 1, 1) - 1)  # from -90 to 90 degrees
        points = [(0.0, 0.0), (0.0, 1.5), (1.5 * math.sin(turn), 1.5 + 1.5 * math.cos(turn))]
        made = pipe("a person walks", path=points, seconds=3, seed=seed + number)[0]
        errors.append(path_error(made, FloorPath.of(points)).mean)
    return errors


def report(result: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        f"Command: `{result['command']}`",
        "",
        f"{result['machine']}, motionmillion {result['version']}, seed {result['seed']}.",
        "",
        f'| edit | made anew | best of {result["candidates"]} | 95 % | one candidate | "{OTHER}" |',
        "|---|---|---|---|---|---|",
    ]
    for family, row in result["edits"].items():
        low, high = (100 * bound for bound in row["interval"])
        best, one, anyway = (row[name] / row["count"] for name in ("best", "one", "anyway"))
        where = " and ".join(ARMS[family]) if family in ARMS else "the middle"
        shown = f"{best:.0%} ({row['best']}/{row['count']}) | {low:.0f} to {high:.0f} | {one:.0%} | {anyway:.0%}"
        lines.append(f"| {family} | {where} | {shown} |")
    apart = result["references"]
    errors = result["paths"]
    lines += [
        "",
        f"References: the noise puts joints {apart['noisy reference']:.0f} mm off; following them they are "
        f"{apart['following it']:.0f} mm from the clean clip, with the text alone {apart['text alone']:.0f} mm. "
        f"Paths: {100 * sum(errors) / len(errors):.1f} cm off in the mean, {100 * max(errors):.1f} cm at most.",
    ]
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="mini-dit", help="bundled name, pipeline folder or hub id of a DiT")
    parser.add_argument("--data", type=Path, required=True, help="folder with clips.jsonl")
    parser.add_argument("--clips", type=int, default=20, help="walks to edit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("runs/edits"))
    args = parser.parse_args(argv)
    pipe = MotionPipeline.from_pretrained(args.model)
    motions = walks(args.data, pipe.fps, args.clips)
    if not motions:
        raise SystemExit(f"edit_check: data must have walks in the splits val and test, got none in {args.data}")
    result: dict[str, Any] = {
        "command": command_line("recipes/mini/edit_check.py", argv),
        "machine": describe_machine("cpu"),
        "version": motionmillion.__version__,
        "seed": args.seed,
        "candidates": pipe.defaults["candidates"] or 1,
        "edits": edits(pipe, motions, args.seed),
        "references": references(pipe, motions, args.seed),
        "paths": paths(pipe, 10, args.seed),
    }
    args.output.mkdir(parents=True, exist_ok=True)
    write_text(json.dumps(result, indent=1) + "\n", args.output / "results.json")
    write_text(report(result), args.output / "report.md")
    print(report(result))


if __name__ == "__main__":
    main()
