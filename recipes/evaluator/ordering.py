"""Do the suites rank motions as expected? Real motion, degraded versions of it, and a model.

    python recipes/evaluator/ordering.py --data cmu_text_motion -o runs/ordering

| system | what |
|---|---|
| real | clips of the split test |
| tokenizer | the same clips, encoded and decoded by the model's tokenizer |
| model | generated from the clips' captions, as long as the clips |
| jitter | real, with every joint of every frame turned by about 2 degrees and the pelvis moved by about 3 mm |
| sliding | real, drifting sideways at 0.5 m/s |
| shuffled | real, with the caption of another clip |
| statue | one frame of the clip, held |

All are scored by the suites `text-to-motion`, `motionmillion-eval` and `mbench`, the last two with the clips' captions
as prompts. `EXPECTED` lists which system must be better than which; the exit code is 1 if one is not. Writes
`ordering.json` and `ordering.md`, which docs/results holds for the bundled models, and the reports of all runs. Run
the same command again to resume.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import roma
import torch

from motionmillion.data import MotionClip, load_clips
from motionmillion.eval.results import Estimate, Results
from motionmillion.eval.run.evaluate import evaluate_suite
from motionmillion.eval.run.evaluation import Evaluation
from motionmillion.eval.run.generation import GenerationOptions
from motionmillion.eval.suites.clips import clip_id, clips_suite
from motionmillion.io.files import atomic_folder, write_text
from motionmillion.motion import Motion

SYSTEMS = ("real", "tokenizer", "model", "jitter", "sliding", "shuffled", "statue")
SUITES = ("text-to-motion", "motionmillion-eval", "mbench")
DRIFT = 0.5  # m/s

EXPECTED = (
    # suite, measure, better, worse
    *(("text-to-motion", f"r_precision_top{k}", "real", other) for k in (1, 3) for other in ("shuffled", "statue")),
    *(("text-to-motion", "matching_distance", "real", other) for other in ("shuffled", "statue")),
    *(("text-to-motion", "matching_distance", other, "shuffled") for other in ("tokenizer", "model", "sliding")),
    *(("text-to-motion", "frechet_distance", "real", other) for other in ("tokenizer", "model", "jitter", "statue")),
    *(("text-to-motion", "frechet_distance", "tokenizer", other) for other in ("model", "statue")),
    *(("motionmillion-eval", "text_alignment_percent", "real", other) for other in ("shuffled", "statue")),
    *(("motionmillion-eval", "text_alignment_percent", other, "shuffled") for other in ("tokenizer", "model")),
    *(("motionmillion-eval", "smoothness_percent", other, "jitter") for other in ("real", "tokenizer", "model")),
    *(("motionmillion-eval", "smoothness_percent", "real", other) for other in ("statue",)),
    *(("motionmillion-eval", "plausibility_percent", "real", other) for other in ("sliding", "jitter", "model")),
    ("motionmillion-eval", "plausibility_percent", "real", "statue"),
    *(("motionmillion-eval", "foot_sliding", other, "sliding") for other in ("real", "tokenizer", "model")),
    *(("mbench", "Jitter_Degree", other, "jitter") for other in ("real", "tokenizer", "model", "sliding", "statue")),
    *(("mbench", "Foot_Sliding", other, "sliding") for other in ("real", "tokenizer", "model", "shuffled", "statue")),
    *(("mbench", "Dynamic_Degree", other, "statue") for other in ("real", "tokenizer", "model", "shuffled")),
    *(("mbench", "pose_prior_distance", "real", other) for other in ("jitter",)),
    *(("mbench", "Motion_Condition_Consistency", other, "shuffled") for other in ("real", "tokenizer", "model")),
    *(("mbench", "Motion_Generalizability", "real", other) for other in ("shuffled",)),
)
"""Pairs of which the first must be strictly better."""

LOWER = {
    *("matching_distance", "frechet_distance", "foot_sliding", "Jitter_Degree", "Foot_Sliding"),
    *("pose_prior_distance", "capsule_penetration", "Ground_Penetration", "Foot_Floating"),
}
SHOWN = {
    "text-to-motion": ("r_precision_top1", "r_precision_top3", "matching_distance", "frechet_distance", "diversity"),
    "motionmillion-eval": ("text_alignment_percent", "smoothness_percent", "plausibility_percent"),
    "mbench": (
        *("Motion_Condition_Consistency", "Motion_Generalizability", "Jitter_Degree", "Dynamic_Degree"),
        *("Ground_Penetration", "Foot_Sliding", "Foot_Floating", "capsule_penetration", "pose_prior_distance"),
    ),
}


def jitter(motion: Motion, seed: int) -> Motion:
    """The motion with every joint of every frame turned by about 2 degrees and the pelvis moved by about 3 mm."""
    generator = torch.Generator().manual_seed(seed)
    turn = torch.randn(*motion.rotations.shape[:2], 3, generator=generator) * torch.deg2rad(torch.tensor(1.2))
    step = torch.randn(motion.translation.shape, generator=generator) * 0.002
    rotations = motion.rotations @ roma.rotvec_to_rotmat(turn)
    return motion.replace(rotations=rotations, translation=motion.translation + step)


def sliding(motion: Motion, seed: int) -> Motion:
    """The motion, drifting sideways at `DRIFT`."""
    time = torch.arange(motion.num_frames)[:, None] / motion.fps
    sideways = torch.tensor([1.0, 0.0, 0.0] if seed % 2 else [-1.0, 0.0, 0.0])
    return motion.replace(translation=motion.translation + time * DRIFT * sideways)


def statue(motion: Motion, seed: int) -> Motion:
    """The middle frame, held for the length of the motion."""
    frames = torch.full((motion.num_frames,), motion.num_frames // 2)
    return motion.replace(rotations=motion.rotations[frames], translation=motion.translation[frames])


def variants(motions: Sequence[Motion], model: str) -> Mapping[str, list[Motion]]:
    """The motions of every system that is not generated."""
    from motionmillion.eval.reconstruction import reconstruct
    from motionmillion.pipeline.folder import load_tokenizer

    tokenizer = load_tokenizer(model)
    representation = tokenizer.representation
    plain = [motion.canonicalize() for motion in motions]
    decoded = [reconstruct(tokenizer, [representation.encode(motion)])[0][0] for motion in plain]
    order = torch.randperm(len(plain), generator=torch.Generator().manual_seed(0)).tolist()
    return {
        "real": plain,
        "tokenizer": [representation.decode(features) for features in decoded],
        "jitter": [jitter(motion, seed) for seed, motion in enumerate(plain)],
        "sliding": [sliding(motion, seed) for seed, motion in enumerate(plain)],
        "shuffled": [plain[index] for index in order],
        "statue": [statue(motion, seed) for seed, motion in enumerate(plain)],
    }


def write_motions(clips: Sequence[MotionClip], model: str, folder: Path) -> None:
    """Write `folder`/SYSTEM/ID.npz for every system that is not generated, unless the folder exists."""
    if folder.is_dir():
        return
    with atomic_folder(folder) as temporary:
        for system, motions in variants([clip.motion for clip in clips], model).items():
            for clip, motion in zip(clips, motions, strict=True):
                motion.save(temporary / system / f"{clip_id(clip.name)}.npz")


def run(
    folder: Path,
    output: Path,
    model: str = "mini",
    evaluator: str = "mini",
    systems: Sequence[str] = SYSTEMS,
    suites: Sequence[str] = SUITES,
) -> dict[str, dict[str, Results]]:
    """Results by suite and system on the split "test" of a folder; everything is written below `output`."""
    clips = [clip for clip in load_clips(folder, ["test"]) if clip.captions]
    write_motions(clips, model, output / "motions")
    suite = replace(clips_suite(clips, "test"), name="held-out captions")
    path = suite.save(output / "suite.json")
    found: dict[str, dict[str, Results]] = {}
    for name in suites:
        for system in systems:
            given = dict(model=model) if system == "model" else dict(motions=output / "motions" / system)
            source = dict(data=folder) if name == "text-to-motion" else dict(prompts=path)
            evaluation = Evaluation(
                suite=name,
                output=output / name / system,
                evaluator=evaluator,
                generation=GenerationOptions(seed=0),
                name=f"{model}" if system == "model" else system,
                **given,
                **source,
            )
            found.setdefault(name, {})[system] = evaluate_suite(evaluation).results
    return found


def figures(found: Mapping[str, Mapping[str, Results]]) -> dict[str, dict[str, dict[str, Estimate]]]:
    """Overall estimates by suite, system and measure."""
    return {s: {n: dict(r.overall.values) for n, r in systems.items()} for s, systems in found.items()}


def check(values: Mapping[str, Mapping[str, Mapping[str, Estimate]]]) -> list[str]:
    """What is not as `EXPECTED`, in words; empty if all is."""
    wrong = []
    for suite, measure, better, worse in EXPECTED:
        one, other = (values[suite][system][measure].mean for system in (better, worse))
        if not (one < other if measure in LOWER else one > other):
            wrong.append(f"{suite}, {measure}: {better} {one:.4g} should be better than {worse} {other:.4g}")
    return wrong


def table(values: Mapping[str, Mapping[str, Mapping[str, Estimate]]]) -> str:
    """Markdown: one table per suite, one row per system."""
    parts = []
    for suite, measures in SHOWN.items():
        lines = [["system", *measures]]
        for system in SYSTEMS:
            own = values[suite][system]
            lines.append([system, *(_cell(own[measure]) if measure in own else "" for measure in measures)])
        rows = ["| " + " | ".join(cells) + " |" for cells in lines]
        parts.append("\n".join([f"**{suite}**", "", rows[0], "|---" * len(lines[0]) + "|", *rows[1:]]))
    return "\n\n".join(parts)


def _cell(estimate: Estimate) -> str:
    bounds = "" if estimate.low is None else f" ({estimate.low:.3g} to {estimate.high:.3g})"
    return f"{round(estimate.mean, 9):.3g}{bounds}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="motion set with the split test")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--evaluator", default="mini")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    values = figures(run(args.data, args.output, args.model, args.evaluator))
    plain = {
        s: {n: {m: vars(e) for m, e in own.items()} for n, own in systems.items()} for s, systems in values.items()
    }
    write_text(json.dumps(plain, indent=1) + "\n", args.output / "ordering.json")
    print(table(values))
    print(write_text(table(values) + "\n", args.output / "ordering.md"))
    wrong = check(values)
    print("\n".join(wrong) or f"all {len(EXPECTED)} comparisons are as expected")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
