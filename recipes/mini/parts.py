"""The tokenizer's reconstruction error on each part of the test clips: those of the first edition, and the others.

    python recipes/mini/parts.py --model mini --data PATH/TO/cmu_text_motion

`takes.csv` of the data says which part a take belongs to. Intervals are 95 % bootstrap intervals over takes.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

from motionmillion.data import MotionClip, load_clips
from motionmillion.eval.suites.tokenizer.report import tokenizer_report
from motionmillion.pipeline.folder import load_tokenizer
from motionmillion.progress import shown

MEASURES = {"mpjpe_mm": "MPJPE, position route (mm)", "mpjpe_rotations_mm": "MPJPE, rotation route (mm)"}


def by_part(data: Path, split: str) -> dict[str, list[MotionClip]]:
    """Clips of a split by the part of their take."""
    with (data / "takes.csv").open(encoding="utf-8", newline="") as file:
        part = {row["take"]: row["part"] for row in csv.DictReader(file)}
    parts: dict[str, list[MotionClip]] = defaultdict(list)
    for clip in load_clips(data, [split]):
        parts[part[clip.take.removeprefix("cmu_")]].append(clip)
    return dict(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="mini", help="tokenizer, pipeline or bundled name")
    parser.add_argument("--data", type=Path, required=True, help="a copy of cmu_text_motion")
    parser.add_argument("--split", default="test")
    options = parser.parse_args()
    with shown():
        report = tokenizer_report(load_tokenizer(options.model), by_part(options.data, options.split))
    print(f"| part | clips | takes | {' | '.join(MEASURES.values())} |")
    print("|---" * (3 + len(MEASURES)) + "|")
    for name, group in {**report.datasets, "all": report.overall}.items():
        cells = [name, group.clips, group.takes]
        for measure in MEASURES:
            low, high = group.interval[measure] or (float("nan"), float("nan"))
            cells.append(f"{group.mean[measure]:.1f} ({low:.1f} to {high:.1f})")
        print(f"| {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()
