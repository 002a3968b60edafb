"""Sheets for raters and the figures of their ratings, through the script of recipes/mini."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from motionmillion.data.synthetic import synthesize
from motionmillion.eval.results import EVERYTHING, ResultGroup, Results, SampleResult

SCRIPT = Path(__file__).resolve().parents[2] / "recipes/mini/raters.py"
NAMES = ("walk", "jump", "squat", "wave", "walk", "jump")


def raters(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT, *arguments]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, encoding="utf-8")


@pytest.fixture(scope="module")
def sheets(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("raters")
    samples = []
    for number, name in enumerate(NAMES):
        synthesize(name, number, 2.0).save(folder / "run" / f"{number}.npz")
        samples.append(SampleResult(f"p{number}", f'a "{name}", please', motion=f"{number}.npz"))
    Results("suite", "mini", {}, [], [ResultGroup(EVERYTHING, "all", len(NAMES), {})], samples).save(folder / "run")
    done = raters("sheets", folder / "run", "-o", folder / "out", "--seed", 3)
    assert done.returncode == 0, done.stderr
    return folder / "out"


def filled(sheets: Path, name: str, grades: dict[str, tuple]) -> Path:
    """The CSV of a rater with grades by prompt."""
    with open(sheets / "ratings.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with open(sheets / name, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        for row in rows:
            text, body = grades[row["id"]]
            writer.writerow({**row, "text": text, "body": body})
    return sheets / name


def test_every_motion_is_on_a_sheet_in_an_order_of_the_seed(sheets):
    with open(sheets / "ratings.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["id"]: row["prompt"] for row in rows} == {
        f"p{n}": f'a "{name}", please' for n, name in enumerate(NAMES)
    }
    assert [row["id"] for row in rows] != sorted(row["id"] for row in rows)
    pages = sorted(sheets.glob("sheet-*.png"))
    assert len(pages) == 2  # four motions, and two
    heights = [Image.open(page).height for page in pages]
    assert heights[0] == 2 * heights[1]


def test_ratings_become_a_table(sheets):
    one = filled(sheets, "one.csv", {f"p{n}": (n % 4, 3) for n in range(6)})  # text 0 1 2 3 0 1
    two = filled(sheets, "two.csv", {f"p{n}": (min(n, 3), 1 if n else 3) for n in range(6)})  # text 0 1 2 3 3 3
    done = raters("score", one, two)
    assert done.returncode == 0, done.stderr
    text, body = (line.split(" | ") for line in done.stdout.strip().splitlines()[2:])
    assert text[1].startswith("1.58 (") and text[2].startswith("50 (") and text[3:] == ["67", "33 |"]
    assert body[1].startswith("2.17 (") and body[3:] == ["17", "83 |"]


@pytest.mark.parametrize(("grades", "message"), [((4, 0), "must be 0, 1, 2 or 3, got '4, 0'"), (("", ""), "got ', '")])
def test_what_is_no_rating_is_named(sheets, grades, message):
    path = filled(sheets, "bad.csv", {f"p{n}": grades for n in range(6)})
    done = raters("score", path)
    assert done.returncode == 2 and message in done.stderr and "line 2" in done.stderr
    for rows, told in (
        ("id;text;body\np1;1;1\n", "separated by commas"),
        ("id,text,body\np1,1,1\np1,2,1\n", "rated once, got 'p1' again"),
        ("id,text,body\np1,1,1\n", "at least two prompts"),
    ):
        (sheets / "odd.csv").write_text(rows, encoding="utf-8")
        done = raters("score", sheets / "odd.csv")
        assert done.returncode == 2 and told in done.stderr and "Traceback" not in done.stderr
    done = raters("sheets", sheets / "nothing", "-o", sheets / "none")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    (sheets / "few.csv").write_text("id,text,body\np1,1,1\n", encoding="utf-8")
    good = filled(sheets, "good.csv", {f"p{n}": (1, 1) for n in range(6)})
    done = raters("score", good, sheets / "few.csv")
    assert done.returncode == 2 and "must have rated the same prompts, got 6, 1" in done.stderr
