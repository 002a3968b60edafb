"""A few-step student compared with its teacher: quality lost and time gained.

    python recipes/flow/few_step.py --teacher runs/flow/dit-mini/final --student runs/flow/few_step/final \
        --data PATH/TO/cmu_text_motion --seeds 3

| arm | what |
|---|---|
| teacher | its pipeline's own options |
| teacher, few | as many Euler steps as the student |
| student | its pipeline's own options |

All generate a motion for each caption of the split `test` from the same noise. "Distance from target": mean distance
of the joints, mm, from the teacher's motion with eight times as many Euler steps. Seconds for 5 s of motion from one
sentence are medians over repetitions.

Values of finished generations are cached in the output folder, so an interrupted run resumes. Results:
`flow_few_step.json` and a section of `flow.md`, in docs/results. Measures and intervals: `measures.py`.
"""

import argparse
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measures import INTERVALS, RESULTS, Examiner, about, cached, generate, stacked, table, write_results

from motionmillion.bench.flow import bench_pipelines
from motionmillion.eval.statistics.repeats import FRECHET, Repeats, summarise
from motionmillion.motion import Motion
from motionmillion.pipeline import MotionPipeline, find_pipeline
from motionmillion.pipeline.dit.pipeline import DiTPipeline
from motionmillion.provenance import file_hashes, plain_name

TEACHER, FEW, STUDENT = "teacher", "teacher, few", "student"
PAIRS = ((STUDENT, FEW), (STUDENT, TEACHER))
COLUMNS = ("r1", "r3", "matching", FRECHET, "verb", "goal", "jitter", "sliding")


class Bench:
    """Generates and measures every arm.

    Args:
        goal: options of the teacher for the target motion.
        output: folder where values are cached.
    """

    def __init__(
        self, examiner: Examiner, teacher: DiTPipeline, goal: Mapping[str, Any], seeds: int, output: Path
    ) -> None:
        self.examiner, self.teacher, self.goal, self.seeds, self.output = examiner, teacher, goal, seeds, output
        self._goals: dict[int, list[Motion]] = {}

    def arm(self, name: str, pipe: DiTPipeline, options: Mapping[str, Any]) -> Repeats:
        """Measures of every seed, `[S, N]`."""
        found = []
        for seed in range(self.seeds):
            path = self.output / f"{name.replace(', ', '-')}_{seed}.npz"
            found.append(cached(path, lambda seed=seed: self._measure(pipe, options, seed)))
        return self.examiner.placed(stacked(found))

    def _measure(self, pipe: DiTPipeline, options: Mapping[str, Any], seed: int) -> Repeats:
        if seed not in self._goals:
            self._goals[seed] = self._make(self.teacher, self.goal, seed)
        made = self._make(pipe, options, seed)
        pairs = zip(made, self._goals[seed], strict=True)
        apart = [float((a.positions() - b.positions()).norm(dim=2).mean()) for a, b in pairs]
        own = self.examiner.measure(made)
        return Repeats({**own.values, "goal": 1000 * np.array([apart])}, own.points)

    def _make(self, pipe: DiTPipeline, options: Mapping[str, Any], seed: int) -> list[Motion]:
        return generate(pipe, self.examiner.texts, self.examiner.seconds, seed, options)


def seconds_of(teacher: str, student: str, steps: Mapping[str, int], repeats: int) -> dict[str, float]:
    """Seconds for 5 s of motion of each arm, measured in turns."""
    counts = sorted(set(steps.values()))
    rows = bench_pipelines([teacher, student], counts, repeats=repeats)
    timed = dict(zip(itertools.product((teacher, student), counts), rows, strict=True))
    models = {TEACHER: teacher, FEW: teacher, STUDENT: student}
    return {name: timed[models[name], count].seconds for name, count in steps.items()}


def report(result: Mapping[str, Any]) -> str:
    """The result as Markdown."""
    lines = [
        "## Few-step student",
        "",
        f"    {result['command']}",
        "",
        f"{result['machine']}; {result['about']}",
    ]
    lines += ["", *table(result["arms"], COLUMNS), "", *table(result["differences"], COLUMNS, "difference"), ""]
    lines += [INTERVALS, "", "|  | steps | seconds for 5 s | speed |", "|---|---|---|---|"]
    whole = result["seconds"][TEACHER]
    for name, seconds in result["seconds"].items():
        lines.append(f"| {name} | {result['steps'][name]} | {seconds:.3f} | {whole / seconds:.1f}x |")
    return "\n".join(lines) + "\n"


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--teacher", required=True, help="pipeline of a MotionDiT")
    parser.add_argument("--student", required=True, help="pipeline distilled from it")
    parser.add_argument("--data", required=True, help="folder with clips.jsonl, cmu_text_motion")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5, help="repetitions of the speed test")
    parser.add_argument(
        "--output", type=Path, default=Path("runs/flow/few_step_figures"), help="folder where values are cached"
    )
    parser.add_argument("--resamples", type=int, default=200, help="bootstrap resamples for the intervals of FID")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of flow_few_step.json and flow.md")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    teacher, student = (MotionPipeline.from_pretrained(name) for name in (args.teacher, args.student))
    if not isinstance(teacher, DiTPipeline) or not isinstance(student, DiTPipeline) or not student.dit.config.few_step:
        raise SystemExit(f"few_step: --student must be distilled from a MotionDiT, got {args.student!r}")
    made_for = student.dit.config.few_step
    weights = {name: file_hashes(find_pipeline(name)) for name in (args.teacher, args.student)}
    stamp = "-".join(sorted(digest[:8] for own in weights.values() for digest in own.values()))
    examiner = Examiner(args.data, "test")
    few = {"solver": "euler", "steps": made_for["steps"], "shift": made_for["shift"]}
    few["guidance_scale"] = made_for["guidance_scale"]
    goal = {**few, "steps": 8 * made_for["steps"]}
    bench = Bench(examiner, teacher, goal, args.seeds, args.output / stamp)
    systems = {TEACHER: (teacher, {}), FEW: (teacher, few), STUDENT: (student, {})}
    arms = {name: bench.arm(name, *system) for name, system in systems.items()}
    steps = {TEACHER: teacher.default_options.steps, FEW: made_for["steps"], STUDENT: made_for["steps"]}
    words = f"{len(examiner.clips)} captions of {len(set(examiner.takes))} test takes, seeds 0 to {args.seeds - 1}; "
    words += f"target: teacher in {goal['steps']} steps; evaluator {examiner.evaluator.weights_sha256()[:12]}."
    result = {**about("few_step.py", argv), "about": words, "steps": steps}
    result["weights_sha256"] = {plain_name(name): own for name, own in weights.items()}
    result["seconds"] = seconds_of(args.teacher, args.student, steps, args.repeats)
    result |= summarise(arms, PAIRS, examiner.real, examiner.takes, args.resamples)
    write_results("few_step", result, report(result), args.results)
    print(report(result))


if __name__ == "__main__":
    main()
