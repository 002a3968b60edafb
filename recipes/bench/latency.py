"""User-facing latency: import, --help, a first clip from a cold start, a clip from a warm process, a stream.

    python recipes/bench/latency.py --repeats 5 --output runs/bench/latency

Cold times are whole processes of the installed `motionmillion` command, from start to written files. The stream is a
timeline of one minute; its lead is the smallest margin, in seconds, of the received frames over a player that starts
with the first chunk. Prints and writes `report.md` and `results.json` with minimum and median; other load on the
machine shows in the spread.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from motionmillion import provenance
from motionmillion.io.files import write_text
from motionmillion.motion import Motion

PROMPT = "a person waves"
MINUTE = [("a person walks forward", 20.0), ("a person jumps", 20.0), ("a person waves", 20.0)]


def timed(action: Callable[[], object], repeats: int) -> list[float]:
    """Seconds taken by each of `repeats` calls."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return seconds


def watch(pieces: Iterator[Motion]) -> tuple[float, float, float]:
    """Seconds to the first chunk and to the last, and the smallest lead over a player that starts with the first."""
    start, first, come, lead = time.perf_counter(), 0.0, 0.0, math.inf
    for piece in pieces:
        now = time.perf_counter() - start
        first = first or now
        lead = min(lead, come - (now - first)) if come else lead
        come += piece.seconds
    return first, time.perf_counter() - start, lead


def main() -> None:
    parser = argparse.ArgumentParser(description="Time import, help, clips and streams.")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", default="runs/bench/latency", help="folder for report.md and results.json")
    options = parser.parse_args()
    command = [sys.executable, "-m", "motionmillion.cli"]

    def process(*arguments: str) -> Callable[[], object]:
        return lambda: subprocess.run([*arguments], check=True, capture_output=True)

    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        outputs = ["-o", f"{folder}/wave.html", "-o", f"{folder}/wave.bvh"]
        generate = [*command, "generate", PROMPT, *outputs, "--seconds", "4", "--overwrite", "--model", options.model]
        times["import motionmillion"] = timed(process(sys.executable, "-c", "import motionmillion"), options.repeats)
        times["motionmillion --help"] = timed(process(*command, "--help"), options.repeats)
        times["4 s clip to html and bvh, cold"] = timed(process(*generate), options.repeats)

        from motionmillion import MotionPipeline

        pipe = MotionPipeline.from_pretrained(options.model)

        def warm(**options: Any) -> None:
            motion = pipe([PROMPT], seconds=4, **options)[0]
            motion.save(f"{folder}/wave.html")
            motion.save(f"{folder}/wave.bvh")

        warm()
        times["4 s clip to html and bvh, warm"] = timed(warm, options.repeats)
        times["the same with one candidate, warm"] = timed(lambda: warm(candidates=1), options.repeats)
        times["first piece of a stream, warm"] = timed(
            lambda: next(iter(pipe.stream(PROMPT, seconds=8))), options.repeats
        )
        streams = [watch(pipe.stream(MINUTE)) for _ in range(options.repeats)]
        times["first piece of a streamed minute, warm"] = [first for first, _, _ in streams]
        times["all of a streamed minute, warm"] = [whole for _, whole, _ in streams]
        times["lead of that stream over its player"] = [lead for _, _, lead in streams]
    installed = provenance.versions()
    machine = f"{provenance.machine('cpu')}, torch {installed['torch']}, Python {installed['python']}"
    lines = [f"{machine}; {options.repeats} repeats", "", "| what | fastest (s) | median (s) |", "|---|---|---|"]
    lines += [f"| {name} | {min(values):.2f} | {statistics.median(values):.2f} |" for name, values in times.items()]
    print("\n".join(lines))
    write_text("\n".join(lines) + "\n", Path(options.output) / "report.md")
    write_text(
        json.dumps({"machine": machine, "seconds": times}, indent=2) + "\n", Path(options.output) / "results.json"
    )


if __name__ == "__main__":
    main()
