"""Codes or a flow head? Two heads of one language model compared, and MotionDiT, on captions of held-out clips.

    python recipes/flow/heads.py --codes runs/flow/lm_codes/final --flow runs/flow/lm_flow/final \
        --dit runs/flow/dit-mini/final --data PATH/TO/cmu_text_motion --seeds 3

The language models share the transformer, the data and the number of steps; their tokenizers differ in the quantizer
alone. Every system generates a motion for each caption of the split `test`, as long as the clip, with every seed.

- Tokenizer floor: error of the test clips after encoding and decoding, a lower bound for any model on top.
- Temperature and guidance of each system are chosen on the split `val`, from the same grid by the same rule: the
  lowest sum of the ranks by FID and by MM-Dist; the first of equals. The other options are the pipeline's own.
- Speed: seconds for 5 s of motion from one sentence, systems in turns, with the pipelines' own options.
- Anchors: the real motion of the captions, and real motion of training clips drawn at random. The latter is chance
  level in retrieval; in FID it is what a perfect model would get with this few clips of other people.

Measures and intervals: `measures.py`, `motionmillion.eval.statistics.repeats`. Values of finished generations are
cached in the output folder, so an interrupted run resumes. Results: `flow_heads.json` and a section of `flow.md`, in
docs/results.

Unusual: the evaluator was trained on the training clips of the same data, which affects all systems alike.
"""

import argparse
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measures import (
    INTERVALS,
    RESULTS,
    Examiner,
    about,
    cached,
    cell,
    generate,
    seeds_of,
    stacked,
    table,
    write_results,
)

from motionmillion.bench.flow import FlowRow, bench_pipelines
from motionmillion.eval.distribution import frechet_distance
from motionmillion.eval.statistics.repeats import FRECHET, Repeats, summarise
from motionmillion.eval.suites.tokenizer.report import tokenizer_report
from motionmillion.pipeline import MotionPipeline, find_pipeline
from motionmillion.provenance import file_hashes, plain_name

GRID = [{"temperature": t, "guidance_scale": g} for t, g in itertools.product((1.0, 0.8), (1.0, 2.0, 3.0))]
COLUMNS = ("r1", "r2", "r3", "matching", FRECHET, "verb", "jitter", "dynamic", "sliding")
FLOOR = {"mpjpe_mm": "MPJPE mm", "pa_mpjpe_mm": "PA-MPJPE mm", "excess_acceleration_mm": "excess acceleration mm"}
REAL, CHANCE = "real motion", "other real motion"


class Side:
    """One model under comparison.

    Args:
        name: its name in tables.
        model: its pipeline folder.
        output: folder where its values are cached.
    """

    def __init__(self, name: str, model: str, output: Path) -> None:
        self.name, self.model, self.output = name, model, output
        self.weights = file_hashes(find_pipeline(model))
        self.stamp = "-".join(sorted(digest[:8] for digest in self.weights.values()))
        self._pipe: MotionPipeline | None = None

    @property
    def pipe(self) -> MotionPipeline:
        if self._pipe is None:
            self._pipe = MotionPipeline.from_pretrained(self.model)
        return self._pipe

    def repeats(self, examiner: Examiner, split: str, seeds: int, options: Mapping[str, Any]) -> Repeats:
        """Measures of every seed, `[S, N]`."""
        words = "_".join(f"{name}-{value}" for name, value in options.items())
        found = []
        for seed in range(seeds):
            path = self.output / self.name.replace(" ", "-") / self.stamp / f"{split}_{words}_{seed}.npz"

            def make(seed: int = seed) -> Repeats:
                made = generate(self.pipe, examiner.texts, examiner.seconds, seed, options)
                return examiner.measure(made)

            found.append(cached(path, make))
        return examiner.placed(stacked(found))


def choose(side: Side, examiner: Examiner, seeds: int, grid: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every setting of the grid with its measures on the clips of `examiner`, best first."""
    found = []
    for options in grid:
        own = side.repeats(examiner, "val", seeds, options)
        fid = float(np.mean([frechet_distance(points, examiner.real) for points in own.points]))
        found.append({**options, FRECHET: fid, "matching": float(own.values["matching"].mean())})
    return ranked(found)


def ranked(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Settings sorted by the sum of their ranks in FID and MM-Dist; ties keep their order."""
    names = (FRECHET, "matching")
    ranks = [sum(sum(other[name] < own[name] for other in found) for name in names) for own in found]
    return [found[row] for row in sorted(range(len(found)), key=lambda row: ranks[row])]


def anchors(examiner: Examiner, seeds: int) -> dict[str, Repeats]:
    """Measures of real motion: that of the captions, and that of equally many random training clips."""
    count = len(examiner.clips)
    real = examiner.measure([clip.motion for clip in examiner.clips])
    drawn = []
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seeds_of(seed, 1)[0])
        rows = torch.randint(len(examiner.train), (count,), generator=generator).tolist()
        drawn.append(examiner.measure([examiner.train[row].motion for row in rows]))
    return {REAL: examiner.placed(real), CHANCE: examiner.placed(stacked(drawn))}


def floor(side: Side, examiner: Examiner) -> dict[str, dict[str, float | None]]:
    """Reconstruction error of the system's tokenizer; empty without one."""
    tokenizer = getattr(side.pipe, "tokenizer", None)
    if tokenizer is None:
        return {}
    group = tokenizer_report(tokenizer, {"test": examiner.clips}).overall
    bounds = {name: group.interval[name] or (None, None) for name in FLOOR}
    return {n: {"mean": group.mean[n], "low": bounds[n][0], "high": bounds[n][1]} for n in FLOOR}


def report(result: Mapping[str, Any]) -> str:
    """The result as Markdown."""
    sides = result["sides"]
    lines = [
        "## Codes or a flow head",
        "",
        f"    {result['command']}",
        "",
        f"{result['machine']}; {result['about']}",
        "",
    ]
    lines += [*table(result["arms"], COLUMNS), "", *table(result["differences"], COLUMNS, "difference"), ""]
    lines += [
        INTERVALS,
        "",
        "FID is biased by the number of motions, except for real motion compared with itself.",
        "",
    ]
    lines += [
        f"| system | parameters | settings chosen on val | {' | '.join(FLOOR.values())} | seconds for 5 s | speed |"
    ]
    lines.append("|---" * (len(FLOOR) + 5) + "|")
    for name, side in sides.items():
        setting = ", ".join(f"{key} {value:g}" for key, value in side["options"].items())
        floors = " | ".join(cell(side["floor"].get(measure), 1) for measure in FLOOR)
        pace = f"{side['seconds']:.2f} | {side['speed']:.2f}x"
        lines.append(f"| {name} | {side['parameters'] / 1e6:.1f} M | {setting} | {floors} | {pace} |")
    return "\n".join(lines) + "\n"


def timed(sides: Sequence[Side], repeats: int) -> dict[str, FlowRow]:
    """Seconds for 5 s of motion by name, measured in turns."""
    rows = bench_pipelines([side.model for side in sides], [], repeats=repeats)
    return {side.name: row for side, row in zip(sides, rows, strict=True)}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--codes", required=True, help="pipeline with a codebook")
    parser.add_argument("--flow", required=True, help="pipeline with a flow head")
    parser.add_argument("--dit", help="pipeline of a MotionDiT")
    parser.add_argument("--data", required=True, help="folder with clips.jsonl, cmu_text_motion")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--grid", type=int, default=len(GRID), help="number of settings to try")
    parser.add_argument("--repeats", type=int, default=5, help="repetitions of the speed test")
    parser.add_argument("--output", type=Path, default=Path("runs/flow/heads"), help="folder where values are cached")
    parser.add_argument("--resamples", type=int, default=200, help="bootstrap resamples for the intervals of FID")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of flow_heads.json and flow.md")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    given = {"codes": args.codes, "flow head": args.flow, **({"DiT": args.dit} if args.dit else {})}
    sides = [Side(name, model, args.output) for name, model in given.items()]
    # 1. settings
    test = Examiner(args.data, "test")
    val = Examiner(args.data, "val", like=test)
    tried = {side.name: choose(side, val, args.seeds, GRID[: args.grid]) for side in sides}
    options = {name: {key: own[0][key] for key in GRID[0]} for name, own in tried.items()}
    # 2. measures
    arms = anchors(test, args.seeds)
    arms |= {side.name: side.repeats(test, "test", args.seeds, options[side.name]) for side in sides}
    pairs = [(side.name, sides[0].name) for side in sides[1:]]
    found = summarise(arms, pairs, test.real, test.takes, args.resamples)
    # 3. floors and speed
    speed = timed(sides, args.repeats)
    facts = {
        side.name: {
            "model": plain_name(side.model),
            "weights_sha256": side.weights,
            "options": options[side.name],
            "tried": tried[side.name],
            "floor": floor(side, test),
            "parameters": speed[side.name].parameters,
            "seconds": speed[side.name].seconds,
            "speed": speed[side.name].speed,
        }
        for side in sides
    }
    words = f"{len(test.clips)} captions of {len(set(test.takes))} test takes, seeds 0 to {args.seeds - 1}; "
    words += f"evaluator {test.evaluator.weights_sha256()[:12]}."
    result = {**about("heads.py", argv), "about": words, "sides": facts, **found}
    write_results("heads", result, report(result), args.results)
    print(report(result))


if __name__ == "__main__":
    main()
