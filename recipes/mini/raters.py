"""Do motions show what was asked for, in the eyes of people? Sheets for raters, and the figures of their ratings.

    python recipes/mini/raters.py sheets RUN -o runs/raters             # RUN: output of motionmillion evaluate
    python recipes/mini/raters.py score runs/raters/anna.csv runs/raters/ben.csv

A sheet shows twelve frames of each of four motions, in a random order that does not tell the model. Every rater fills
in a copy of `ratings.csv`:

| column | 0 | 1 | 2 | 3 |
|---|---|---|---|---|
| text | nothing of what was asked | a part, or something alike | the main action | all of it |
| body | broken or frozen | many faults | few faults | like a real person |

`score` prints means over prompts and raters with 95 % intervals (bootstrap over prompts), the share of ratings of 2 or
3, and how often two raters agree.
"""

import argparse
import csv
import io
import random
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from motionmillion import Motion
from motionmillion.eval.results import Results
from motionmillion.eval.statistics import bootstrap_intervals
from motionmillion.io.files import atomic_path, write_text
from motionmillion.progress import shown, tracked

COLUMNS = ("text", "body")
GRADES = ("0", "1", "2", "3")
ON_A_SHEET, CELL = 4, (150, 170)


def write_sheets(run: Path, folder: Path, seed: int) -> int:
    """Write `sheet-001.png` and so on, and an empty `ratings.csv`; returns the number of motions."""
    from PIL import Image

    from motionmillion.io.video import draw_sheet

    samples = [sample for sample in Results.load(run).samples if sample.motion]
    if not samples:
        raise ValueError(f"the run must hold motions, got none in {str(run)!r}")
    random.Random(seed).shuffle(samples)
    starts = range(0, len(samples), ON_A_SHEET)
    folder.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(tracked(starts, "drawing", "sheets"), start=1):
        drawn = []
        for place, sample in enumerate(samples[start : start + ON_A_SHEET], start=start + 1):
            motion = Motion.load(run / sample.motion)
            drawn.append(draw_sheet(motion, 6, 2, CELL, f"{place}. {sample.prompt}  ({motion.seconds:.1f} s)"))
        page = Image.new("RGB", (max(one.width for one in drawn), sum(one.height for one in drawn)), "white")
        top = 0
        for one in drawn:
            page.paste(one, (0, top))
            top += one.height
        with atomic_path(folder / f"sheet-{number:03d}.png") as temporary:
            page.save(temporary, format="PNG", optimize=True)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["number", "id", "prompt", *COLUMNS])
    writer.writerows([place, sample.id, sample.prompt, "", ""] for place, sample in enumerate(samples, start=1))
    write_text(table.getvalue(), folder / "ratings.csv")
    return len(samples)


def read_ratings(path: Path) -> dict[str, tuple[int, ...]]:
    """Ratings of text and body by the id of the prompt.

    Raises:
        ValueError: for a missing column, a rating that is not 0 to 3, or a prompt that is rated twice.
    """
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows, missing = list(reader), {"id", *COLUMNS} - set(reader.fieldnames or ())
    if missing:
        raise ValueError(
            f"{path} must have columns id, text and body, separated by commas; {min(missing)!r} is missing"
        )
    found = {}
    for line, row in enumerate(rows, start=2):
        given = [(row.get(column) or "").strip() for column in COLUMNS]
        if any(grade not in GRADES for grade in given):
            raise ValueError(f"{path}, line {line}: text and body must be 0, 1, 2 or 3, got {', '.join(given)!r}")
        if row["id"] in found:
            raise ValueError(f"{path}, line {line}: every prompt must be rated once, got {row['id']!r} again")
        found[row["id"]] = tuple(int(grade) for grade in given)
    return found


def score(ratings: Sequence[dict[str, tuple[int, ...]]]) -> str:
    """A table of what raters said.

    Raises:
        ValueError: unless all have rated the same prompts.
    """
    ids = list(ratings[0])
    if not ids or any(set(own) != set(ids) for own in ratings):
        raise ValueError(f"raters must have rated the same prompts, got {', '.join(str(len(own)) for own in ratings)}")
    grades = np.array([[own[name] for name in ids] for own in ratings])  # [raters, prompts, 2]
    lines = ["| | mean (0 to 3) | 2 or 3 (%) | raters agree (%) | differ by 2 or more (%) |", "|---|---|---|---|---|"]
    for place, column in enumerate(COLUMNS):
        own = grades[:, :, place]
        values = np.stack([own.mean(0), 100 * (own >= 2).mean(0)], axis=1)  # [prompts, 2]
        bounds = bootstrap_intervals(values, np.ones(len(ids)), ids)
        if bounds is None:
            raise ValueError("ratings must be of at least two prompts, got one")
        apart = np.array([abs(one - two) for one, two in combinations(own, 2)])
        pairs = [f"{100 * (apart == 0).mean():.0f}", f"{100 * (apart >= 2).mean():.0f}"] if len(apart) else ["", ""]
        told = [
            f"{values[:, n].mean():.{digits}f} ({bounds[n, 0]:.{digits}f} to {bounds[n, 1]:.{digits}f})"
            for n, digits in enumerate((2, 0))
        ]
        lines.append(f"| {' | '.join([column, *told, *pairs])} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    sheets = commands.add_parser("sheets", help="draw sheets for raters")
    sheets.add_argument("run", type=Path, help="output folder of motionmillion evaluate")
    sheets.add_argument("-o", "--output", type=Path, required=True)
    sheets.add_argument("--seed", type=int, default=0, help="of the order of the motions")
    scored = commands.add_parser("score", help="figures of filled-in ratings")
    scored.add_argument("ratings", type=Path, nargs="+", help="a CSV file of each rater")
    options = parser.parse_args()
    if options.command == "sheets":
        try:
            with shown():
                print(f"{options.output}: {write_sheets(options.run, options.output, options.seed)} motions")
        except (OSError, ValueError) as error:
            parser.error(str(error))
        return
    try:
        print(score([read_ratings(path) for path in options.ratings]))
    except (OSError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
