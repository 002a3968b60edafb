"""A student of few steps beside its teacher: what is lost, and what is gained in time.

    python recipes/flow/few_step.py --teacher runs/flow/dit-mini/final --student runs/flow/few_step/final \
        --data PATH/TO/cmu_text_motion --seeds 3

| arm | what |
|---|---|
| teacher | with its pipeline's own options |
| teacher, few | in as many steps of Euler as the student |
| student | with its own |

All make a motion for each caption of the split `test` from the same noise. "From the goal": mean distance of joints,
mm, from the motion that the teacher arrives at in eight times as many steps of Euler. Seconds for 5 s of motion from
one sentence are medians over turns.

Figures of finished generations are kept in the output folder, so that an interrupted run goes on. Results:
`few_step.json` and a section of RESULTS.md here. Measures and intervals: `measures.py`.
"""

import argparse
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measures import INTERVALS, Examiner, about, cached, generate, stacked, table, write_section

from motionmillion.bench.flow import bench_pipelines
from motionmillion.eval.protocol import file_hashes, plain_name
from motionmillion.eval.repeats import FRECHET, Repeats, summarise
from motionmillion.io.files import write_text
from motionmillion.motion import Motion
from motionmillion.pipeline import MotionPipeline, find_pipeline
from motionmillion.pipeline_dit import DiTPipeline

HERE = Path(__file__).parent
TEACHER, FEW, STUDENT = "teacher", "teacher, few", "student"
PAIRS = ((STUDENT, FEW), (STUDENT, TEACHER))
COLUMNS = ("r1", "r3", "matching", FRECHET, "verb", "goal", "jitter", "sliding")


class Bench:
    """Generates and measures.

    Args:
        goal: options under which the teacher goes all the way.
        output: where figures are kept.
    """

    def __init__(
        self, examiner: Examiner, teacher: DiTPipeline, goal: Mapping[str, Any], seeds: int, output: Path
    ) -> None:
        self.examiner, self.teacher, self.goal, self.seeds, self.output = examiner, teacher, goal, seeds, output
        self._goals: dict[int, list[Motion]] = {}

    def arm(self, name: str, pipe: DiTPipeline, options: Mapping[str, Any]) -> Repeats:
        """Figures of every seed."""
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
    """Seconds for 5 s of motion of each arm, in turns."""
    counts = sorted(set(steps.values()))
    rows = bench_pipelines([teacher, student], counts, repeats=repeats)
    timed = dict(zip(itertools.product((teacher, student), counts), rows, strict=True))
    models = {TEACHER: teacher, FEW: teacher, STUDENT: student}
    return {name: timed[models[name], count].seconds for name, count in steps.items()}


def report(result: Mapping[str, Any]) -> str:
    """The result as Markdown."""
    lines = [
        "## A student of few steps",
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
    parser.add_argument("--student", required=True, help="pipeline that was distilled from it")
    parser.add_argument("--data", required=True, help="folder with clips.jsonl, cmu_text_motion")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5, help="turns of the speed test")
    parser.add_argument(
        "--output", type=Path, default=Path("runs/flow/few_step_figures"), help="where figures are kept"
    )
    parser.add_argument("--resamples", type=int, default=200, help="of the intervals of FID")
    parser.add_argument("--results", type=Path, default=HERE, help="folder of few_step.json and RESULTS.md")
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
    steps = {TEACHER: teacher.option("steps", {}), FEW: made_for["steps"], STUDENT: made_for["steps"]}
    words = f"{len(examiner.clips)} captions of {len(set(examiner.takes))} test takes, seeds 0 to {args.seeds - 1}; "
    words += f"the goal is that of {goal['steps']} steps; evaluator {examiner.evaluator.weights_sha256()[:12]}."
    result = {**about("few_step.py", argv), "about": words, "steps": steps}
    result["weights_sha256"] = {plain_name(name): own for name, own in weights.items()}
    result["seconds"] = seconds_of(args.teacher, args.student, steps, args.repeats)
    result |= summarise(arms, PAIRS, examiner.real, examiner.takes, args.resamples)
    write_text(json.dumps(result, indent=1) + "\n", args.results / "few_step.json")
    write_section("few_step", report(result), args.results / "RESULTS.md")
    print(report(result))


if __name__ == "__main__":
    main()
