"""MBench's prompts, read from the user's copy of the official files.

    suite = mbench_suite("ViMoGen/data/meta_info")     # mbench_final.json and mbench_eval_info.json
    dimension_prompts(suite)["Foot_Sliding"]           # ["000", ..., "149"]

The files are in github.com/MotrixLab/ViMoGen, folder data/meta_info. They have no licence, so their text is not
included here. `mbench_final.json` has the 450 prompts that motions are generated from; `mbench_eval_info.json` has a
row for each prompt and dimension, with the nine wrong answers of Motion_Condition_Consistency.

Content of the files, and how it is used:
- lengths are seconds in the first and frames at 20 per second in the second; they agree in all 1,150 rows;
- four prompts (100, 177, 178, 356) differ in the second file; the text that motions are generated from is used. So
  042 and 177, 007 and 178, 100 and 158 are the same sentences;
- the wrong answers of 299, 316, 322 and 325 include the right one, and those of 256 contain one answer twice: here a
  prompt is never its own distractor and distractors are unique, so these five have eight.

Source: ViMoGen (arXiv 2510.26794), MBench.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from motionmillion.eval.prompts import Prompt, Suite, known_file

NAME = "mbench"
VERSION = "1.0"
SOURCE = "github.com/MotrixLab/ViMoGen, data/meta_info"
FPS = 20
FINAL, EVAL_INFO = "mbench_final.json", "mbench_eval_info.json"

MBENCH_CATEGORIES = (
    "Motion_Quality",
    "Pose_Quality",
    "Motion_Condition_Consistency",
    "Motion_Generalizability",
)
MBENCH_DIMENSIONS = {
    "Jitter_Degree": "Motion_Quality",
    "Ground_Penetration": "Motion_Quality",
    "Foot_Floating": "Motion_Quality",
    "Foot_Sliding": "Motion_Quality",
    "Dynamic_Degree": "Motion_Quality",
    "Body_Penetration": "Pose_Quality",
    "Pose_Quality": "Pose_Quality",
    "Motion_Condition_Consistency": "Motion_Condition_Consistency",
    "Motion_Generalizability": "Motion_Generalizability",
}
"""The nine dimensions, each with the category of the prompts that it is measured on."""

_SHA256 = {
    FINAL: "664819a9e9739365f2fefc7c1881c0def40ce16ae5fc26a1cb5856186fe2f905",
    EVAL_INFO: "2bd55ff98bbabb3024ca1eacea18e5099099e9f1ec01b092b2d877b87ed155a9",
}


def mbench_suite(folder: str | Path) -> Suite:
    """MBench's prompts with length, category and distractors; ids are its global ids, "000" to "449".

    Other files of the same format give a warning, which is recorded in the suite's `source`.

    Raises:
        ValueError: if a file is missing or damaged, or the two do not match; the message says where to get them.
    """
    folder = Path(folder)
    final, rows = _read(folder / FINAL), _read(folder / EVAL_INFO)
    try:
        distractors = _distractors(rows)
        prompts = [_prompt(entry, distractors) for entry in final]
        suite = Suite(NAME, VERSION, tuple(prompts), _source(folder))
        _check_rows(rows, suite)
    except KeyError as error:
        raise _damaged(folder, f"an entry lacks {error}") from None
    except (TypeError, ValueError) as error:
        raise _damaged(folder, str(error)) from None
    return suite


def published(categories: Iterable[str]) -> bool:
    """Whether prompts of these categories are MBench's; others are measured in every dimension."""
    return set(categories) <= set(MBENCH_CATEGORIES)


def dimension_prompts(suite: Suite) -> dict[str, list[str]]:
    """Ids of the prompts that each of the nine dimensions is measured on, in the order of the suite."""
    return {
        dimension: [prompt.id for prompt in suite.prompts if prompt.category == category]
        for dimension, category in MBENCH_DIMENSIONS.items()
    }


def _read(path: Path) -> list[Any]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise ValueError(
            f"--prompts PATH must name the folder of MBench's {FINAL} and {EVAL_INFO}, got no {path.name} in "
            f"{str(path.parent)!r}; get them from {SOURCE}"
        ) from None
    except (UnicodeDecodeError, json.JSONDecodeError):
        entries = None
    if not isinstance(entries, list) or not entries:
        raise _damaged(path.parent, f"{path.name} is no list in JSON")
    return entries


def _damaged(folder: Path, reason: str) -> ValueError:
    return ValueError(
        f"--prompts PATH must name the folder of MBench's {FINAL} and {EVAL_INFO} as they were published, got "
        f"{str(folder)!r} where {reason}; download them again from {SOURCE}"
    )


def _source(folder: Path) -> str:
    known = [known_file(folder / name, sha256) for name, sha256 in _SHA256.items()]
    return f"{FINAL}, {EVAL_INFO}" + ("" if all(known) else " (not the published files)")


def _name(number: Any) -> str:
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ValueError(f"an id must be a whole number, got {number!r}")
    return f"{number:03d}"


def _prompt(entry: dict[str, Any], distractors: dict[str, list[str]]) -> Prompt:
    name, text, category = _name(entry["global_id"]), entry["prompt"], entry["dimension"]
    if category not in MBENCH_CATEGORIES:
        raise ValueError(f"prompt {name} has the unknown dimension {category!r}")
    wrong = tuple(other for other in dict.fromkeys(distractors.get(name, ())) if other != text)
    return Prompt(name, text, category, entry["motion_duration"], wrong)


def _distractors(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The listed wrong answers by prompt id."""
    found = {}
    for row in rows:
        if row["dimension"] == "Motion_Condition_Consistency":
            name, found[name] = _name(row["id"]), row["auxiliary_info"]
            if not isinstance(found[name], list):
                raise ValueError(f"prompt {name} has no list of wrong answers")
    return found


def _check_rows(rows: list[dict[str, Any]], suite: Suite) -> None:
    """Raise `ValueError` unless the rows have every prompt in every dimension of its category, with equal lengths."""
    seconds = {prompt.id: prompt.seconds for prompt in suite.prompts}
    measured = defaultdict(set)
    for row in rows:
        name = _name(row["id"])
        measured[row["dimension"]].add(name)
        if name not in seconds or row["motion_duration"] / FPS != seconds[name]:
            raise ValueError(f"prompt {name} of {EVAL_INFO} has another length than in {FINAL} or is not in it")
    for dimension, ids in dimension_prompts(suite).items():
        if measured[dimension] != set(ids):
            raise ValueError(f"{EVAL_INFO} has other prompts for {dimension} than {FINAL}")
