"""Text, reference motion, or a gate that chooses? A MotionDiT with noisy references, some of them wrong.

    python recipes/flow/gate.py --dit runs/flow/dit-mini/final --data PATH/TO/cmu_text_motion --seeds 3

ViMoGen decides per sample whether an estimated motion is good enough to be followed (arXiv 2510.26794). Here the
references are real test motion, corrupted in known ways: the rotations of all joints get no, mild or strong noise
(jitter below or above the gate's 0.04 m/frame^2), and in some cases the motion is that of another clip. All six cases
are generated for every clip and seed; in the mixture a reference with the right content counts twice, so a third is
wrong.

| arm | follows |
|---|---|
| text, motion | one branch alone |
| both | the mean of both velocities |
| jitter gate | the reference where its jitter is low |
| gate | the reference where its jitter is low and a judge finds that it matches the text |
| oracle | the reference where its jitter is low and it is known to be of the right clip |
| reference | no generation: the corrupted reference itself |

A gate's motions are those of the branch that it chose, from the same noise. A last table compares the released
ViMoGen's start at sigma 0.921 with pure noise (its strength of 0.7) with a start at 1, for both branches.

Unusual: the judge is the bundled evaluator, which R-precision, MM-Dist and FID also use, so these favour the gate with
the judge; "verb accuracy" and "distance from true motion" are independent of it.

Letters: S seeds, N clips.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import roma
import torch
from measures import INTERVALS, RESULTS, Examiner, about, cached, chosen, seeds_of, stacked, table, write_results

from motionmillion.eval.statistics.repeats import FRECHET, Repeats, joined, summarise
from motionmillion.motion import Motion
from motionmillion.pipeline import MotionPipeline, find_pipeline
from motionmillion.pipeline.dit.gate import Gate
from motionmillion.pipeline.dit.pipeline import DiTPipeline
from motionmillion.provenance import file_hashes, plain_name

NOISE = {"none": 0.0, "mild": 0.004, "strong": 0.03}
"""Standard deviation of the noise on joint rotations, radians; a fifth of it, in metres, on the pelvis position."""
WEIGHTS = {"right": 2, "wrong": 1}
"""Weight of references with that content in the mixture."""
CASES = [(noise, content) for content in WEIGHTS for noise in NOISE]
COLUMNS = ("r1", "r3", "matching", FRECHET, "verb", "away", "jitter", "dynamic", "used")
SINGLE = ("reference", "motion", "both", "jitter gate", "gate")
"""Arms of the table by case; text alone is the same in all cases."""
SIGMA = 0.921
PAIRS = [("gate", "text"), ("gate", "motion"), ("gate", "both"), ("jitter gate", "text"), ("jitter gate", "motion")]
PAIRS += [("gate", "jitter gate"), ("oracle", "gate")]
QUIRK = "from sigma 0.921"


def spoiled(motion: Motion, std: float, seed: int) -> Motion:
    """The motion with Gaussian noise on every joint in every frame, `std` in radians."""
    if not std:
        return motion
    generator = torch.Generator().manual_seed(seed)
    frames, joints = motion.rotations.shape[:2]
    turns = roma.rotvec_to_rotmat(std * torch.randn(frames, joints, 3, generator=generator))
    moves = 0.2 * std * torch.randn(frames, 3, generator=generator)
    return motion.replace(rotations=motion.rotations @ turns, translation=motion.translation + moves)


def others(motions: Sequence[Motion], categories: Sequence[str], seed: int) -> list[Motion]:
    """For each motion one of another category, of equal length; shorter ones are looped forwards and backwards.

    Raises:
        ValueError: if all clips are of one category.
    """
    generator, found = torch.Generator().manual_seed(seed), []
    for own, category in zip(motions, categories, strict=True):
        foreign = [m for m, other in zip(motions, categories, strict=True) if other != category]
        if not foreign:
            raise ValueError(f"clips must be of at least two categories, got {category!r} alone; add clips of others")
        drawn = foreign[int(torch.randint(len(foreign), (), generator=generator))]
        found.append(_as_long(drawn, own.num_frames))
    return found


def _as_long(motion: Motion, frames: int) -> Motion:
    there, back = torch.arange(motion.num_frames), torch.arange(motion.num_frames).flip(0)
    rounds = 1 + frames // (2 * motion.num_frames)
    order = torch.cat([there, back]).repeat(rounds)[:frames]
    return motion.replace(rotations=motion.rotations[order], translation=motion.translation[order])


def references(examiner: Examiner, fps: float, noise: str, content: str, seed: int) -> list[Motion]:
    """The reference of every clip in one case of noise and content."""
    motions = [clip.motion.resample(fps).canonicalize() for clip in examiner.clips]
    if content == "wrong":
        known = zip(examiner.clips, examiner.texts, strict=True)
        motions = others(motions, [clip.category or text for clip, text in known], seed)
    return [spoiled(m, NOISE[noise], own) for m, own in zip(motions, seeds_of(seed, len(motions)), strict=True)]


class Bench:
    """Generates and measures every arm of the comparison.

    Args:
        pipe: pipeline of a MotionDiT with a reference branch.
        examiner: captions and measures.
        options: sampling options.
        output: folder where values are cached.
    """

    def __init__(
        self, pipe: DiTPipeline, examiner: Examiner, options: Mapping[str, Any], output: Path, batch: int = 28
    ) -> None:
        self.pipe, self.examiner, self.options, self.output, self.batch = pipe, examiner, options, output, batch

    def made(self, motions: Sequence[Motion], mode: str, seed: int, **options: Any) -> Repeats:
        """Measures of one motion per clip, as long as its reference."""
        texts, seeds, found = self.examiner.texts, seeds_of(seed, len(motions)), []
        for start in range(0, len(motions), self.batch):
            rows = slice(start, start + self.batch)
            found += self.pipe.sample(
                texts[rows], seeds[rows], None, None, motions[rows], mode, **{**self.options, **options}
            )
        return self.examiner.measure(found)

    def kept(self, name: str, seed: int, motions: Sequence[Motion], mode: str, **options: Any) -> Repeats:
        """`made`, cached in the output folder."""
        words = "_".join(f"{key}-{value}" for key, value in {**self.options, **options}.items())
        path = self.output / f"{name}_{words}_{seed}.npz".replace(" ", "-")
        return cached(path, lambda: self.made(motions, mode, seed, **options))

    def case(self, noise: str, content: str, seeds: int, gate: Gate) -> tuple[dict[str, Repeats], dict[str, Any]]:
        """All arms in one case, and where each gate followed the reference `[S, N]`."""
        raw: dict[str, list[Repeats]] = {name: [] for name in ("text", "motion", "both", "reference")}
        smooth, shows = [], []
        for seed in range(seeds):
            own = references(self.examiner, self.pipe.fps, noise, content, seed)
            clean = references(self.examiner, self.pipe.fps, "none", "right", seed)
            raw["text"].append(self.kept("text", seed, clean, "text"))
            for mode in ("motion", "both"):
                raw[mode].append(self.kept(f"{mode}_{noise}_{content}", seed, own, mode))
            measured = lambda motions=own: self.examiner.measure(motions)  # noqa: E731
            raw["reference"].append(cached(self.output / f"reference_{noise}_{content}_{seed}.npz", measured))
            said = gate(self.examiner.texts, own)
            smooth.append([d.jitter is not None and d.jitter < gate.jitter for d in said])
            shows.append([d.use for d in said])
        arms = {name: stacked(found) for name, found in raw.items()}
        right = np.full(np.shape(smooth), content == "right")
        use = {"jitter gate": np.array(smooth), "gate": np.array(shows), "oracle": np.array(smooth) & right}
        followed = {"text": 0 * right, "motion": np.ones(right.shape), "both": np.full(right.shape, 0.5), **use}
        for name, chose in use.items():
            arms[name] = chosen(chose, arms["motion"], arms["text"])
        return {name: self._with_use(arm, followed.get(name)) for name, arm in arms.items()}, use

    def _with_use(self, arm: Repeats, used: np.ndarray | None) -> Repeats:
        placed = self.examiner.placed(arm)
        if used is None:
            return placed
        return Repeats({**placed.values, "used": used.astype(float)}, placed.points)

    def starts(self, seeds: int) -> dict[str, Repeats]:
        """Both branches on clean references, from sigma 1 and from `SIGMA` with pure noise."""
        shift = self.pipe.options(self.options).shift or self.pipe.dit.config.flow_matching.shift
        share = SIGMA / (shift - (shift - 1) * SIGMA)  # the strength that the shift maps to SIGMA
        found: dict[str, Repeats] = {}
        for mode in ("text", "motion"):
            for name, options in ((mode, {}), (f"{mode}, {QUIRK}", {"denoising_strength": round(share, 6)})):
                label = mode if mode == "text" else "motion_none_right"
                runs = [
                    self.kept(
                        label, seed, references(self.examiner, self.pipe.fps, "none", "right", seed), mode, **options
                    )
                    for seed in range(seeds)
                ]
                found[name] = self.examiner.placed(stacked(runs))
        return found


def mixture(cases: Mapping[tuple[str, str], Mapping[str, Repeats]]) -> dict[str, Repeats]:
    """All cases joined, repeated according to `WEIGHTS`."""
    order = [case for case in cases for _ in range(WEIGHTS[case[1]])]
    return {name: joined([cases[case][name] for case in order]) for name in next(iter(cases.values()))}


def report(result: Mapping[str, Any]) -> str:
    """The result as Markdown."""
    lines = ["## The gate", "", f"    {result['command']}", "", f"{result['machine']}; {result['about']}", ""]
    lines += [*table(result["arms"], COLUMNS), "", *table(result["differences"], COLUMNS, "difference"), "", INTERVALS]
    lines += [
        "The gate's judge is the evaluator behind R@k, MM-Dist and FID; the other measures are independent of it."
    ]
    lines += ["", "### By case", ""]
    few = ("r1", "verb", "away", "jitter", "used")
    rows = {f"{case}: {arm}": found[arm] for case, found in result["cases"].items() for arm in SINGLE}
    lines += [*table(rows, few), "", "### Where the flow starts", ""]
    starts = ("r1", "r3", "matching", FRECHET, "away", "jitter", "dynamic")
    lines += [*table(result["starts"]["arms"], starts), "", *table(result["starts"]["differences"], starts)]
    return "\n".join(lines) + "\n"


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--dit", required=True, help="pipeline of a MotionDiT with a reference branch")
    parser.add_argument("--data", required=True, help="folder with clips.jsonl, cmu_text_motion")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20, help="steps of the solver")
    parser.add_argument("--guidance-scale", type=float, help="guidance by the text; default: the pipeline's own")
    parser.add_argument("--judge", default="similarity", help="see motionmillion.pipeline.dit.gate")
    parser.add_argument("--output", type=Path, default=Path("runs/flow/gate"), help="folder where values are cached")
    parser.add_argument("--resamples", type=int, default=200, help="bootstrap resamples for the intervals of FID")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of flow_gate.json and flow.md")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    pipe = MotionPipeline.from_pretrained(args.dit)
    if not isinstance(pipe, DiTPipeline) or not pipe.dit.config.num_reference_layers:
        raise SystemExit(f"gate: --dit must be a MotionDiT with a reference branch, got {args.dit!r}")
    weights = file_hashes(find_pipeline(args.dit))
    stamp = "-".join(sorted(digest[:8] for digest in weights.values()))
    options: dict[str, Any] = {"steps": args.steps}
    if args.guidance_scale is not None:
        options["guidance_scale"] = args.guidance_scale
    examiner = Examiner(args.data, "test")
    bench = Bench(pipe, examiner, options, args.output / stamp)
    # 1. every case
    cases, gate = {}, Gate(judge=args.judge)
    for noise, content in CASES:
        cases[noise, content], _ = bench.case(noise, content, args.seeds, gate)
    # 2. the mixture, single cases, and where the flow starts
    repeats = sum(WEIGHTS[content] for _, content in CASES)
    found = summarise(mixture(cases), PAIRS, examiner.real, examiner.takes * repeats, args.resamples)
    single = {
        f"{noise} noise, {content}": summarise(own, [], None, examiner.takes)["arms"]
        for (noise, content), own in cases.items()
    }
    pairs = [(f"{mode}, {QUIRK}", mode) for mode in ("text", "motion")]
    starts = summarise(bench.starts(args.seeds), pairs, examiner.real, examiner.takes, args.resamples)
    # 3. files
    words = f"{len(examiner.clips)} captions of {len(set(examiner.takes))} test takes, seeds 0 to {args.seeds - 1}, "
    words += f"{args.steps} steps, guidance {pipe.options(options).guidance_scale:g}; judge {args.judge}; "
    words += f"evaluator {examiner.evaluator.weights_sha256()[:12]}."
    result = {**about("gate.py", argv), "about": words, "model": plain_name(args.dit), "weights_sha256": weights}
    result |= {"noise": NOISE, "weights": WEIGHTS, **found, "cases": single, "starts": starts}
    write_results("gate", result, report(result), args.results)
    print(report(result))


if __name__ == "__main__":
    main()
