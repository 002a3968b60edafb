"""MotionMillion-Eval: seven categories of prompts for models that have not been trained on them.

    suite = motionmillion_eval()                       # our own, balanced: the same count for each category and level
    suite = official_suite("infer_batch_prompt.txt")   # the 126 prompts of MotionMillion, from the user's copy

MotionMillion's prompts are `assets/infer_batch_prompt.txt` of github.com/VankouF/MotionMillion-Codes. They have
no categories; those of `official_suite` are ours, by line number in `motionmillion_eval_official.json`.

Unusual: prompts of a version of our own suite never change; a changed prompt needs a new version.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from motionmillion.eval.prompts import Prompt, Suite, known_file
from motionmillion.eval.suites.base import SuiteKind, SuiteSource
from motionmillion.io.files import existing_file

if TYPE_CHECKING:
    from motionmillion.data.clips import MotionClip

NAME = "motionmillion-eval"
OFFICIAL_NAME = "motionmillion-eval-official"
OFFICIAL_SOURCE = "github.com/VankouF/MotionMillion-Codes, assets/infer_batch_prompt.txt"

CATEGORIES = {
    "daily life": "what people do at home, at work and with each other: meals, chores, body care, trades",
    "sports": "athletic disciplines, games, exercise and gymnastics, including waiting and celebrating",
    "dance and art": "dance, music, theatre, circus, painting and sculpture",
    "combat": "striking, defending, throwing, stalking and handling weapons, with or without an opponent",
    "transport": "getting oneself or a load from place to place: walking, climbing, riding, driving, carrying",
    "non-human behaviour": "a body that moves like an animal, a machine, a plant, an object or a fantasy creature",
    "others": "feelings, reactions, gestures, poses and simple body movements outside the above",
}
"""The categories in table order, and their content. The main movement decides, not the scene; if several fit, the
first of non-human behaviour, combat, sports, dance and art, transport, daily life is used."""

LEVELS = {
    "command": "up to five words that order one movement",
    "sentence": "one movement of one subject, with manner, direction or side",
    "composition": "two to four movements, one after another",
    "abstract": "a mood, an image or a situation whose movements have to be imagined",
}

_PROMPTS = Path(__file__).with_name("motionmillion_eval.json")
_ASSIGNMENT = Path(__file__).with_name("motionmillion_eval_official.json")


def motionmillion_eval() -> Suite:
    """Our own suite: six prompts for each of four levels in each of the seven categories, 168 in all."""
    suite = Suite.load(_PROMPTS)
    return Suite(suite.name, suite.version, suite.prompts)


def official_categories() -> list[str]:
    """The category of each of MotionMillion's prompts, by line; our assignment, as none was published."""
    lines = json.loads(_ASSIGNMENT.read_text(encoding="utf-8"))["lines"]
    category = {line: name for name, numbers in lines.items() for line in numbers}
    return [category[line] for line in sorted(category)]


def official_suite(path: str | Path) -> Suite:
    """MotionMillion's prompts from the user's copy, one per line; ids are line numbers, "001" to "126".

    Two lines repeat earlier ones (044 and 096, 046 and 095), so retrieval among all prompts cannot distinguish
    these. A file of the same length with other content gives a warning, which is recorded in the suite's `source`.

    Raises:
        ValueError: for a file that is missing, is not text, or has another number of lines.
    """
    path = existing_file(path)
    assignment = json.loads(_ASSIGNMENT.read_text(encoding="utf-8"))
    categories = official_categories()
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"prompts must be a UTF-8 text file, got {str(path)!r}") from None
    if len(lines) != len(categories):
        raise ValueError(
            f"prompts must be MotionMillion's {len(categories)} lines ({OFFICIAL_SOURCE}), got {len(lines)} in "
            f"{str(path)!r}; write prompts of your own as a JSON suite"
        )
    source = path.name if known_file(path, assignment["sha256"]) else f"{path.name} (not the published file)"
    prompts = [
        Prompt(f"{number:03d}", line.strip(), category)
        for number, (line, category) in enumerate(zip(lines, categories, strict=True), 1)
    ]
    return Suite(OFFICIAL_NAME, assignment["version"], tuple(prompts), source)


class MotionMillionEval(SuiteKind):
    """Our own suite, or prompts given by the user; measured by category and level."""

    name = NAME
    help = "168 prompts in seven categories; --prompts for MotionMillion's own 126, or a JSON suite"

    def read(self, source: SuiteSource, clips: "Sequence[MotionClip]" = ()) -> Suite:
        """The built-in prompts, those of a JSON suite, or MotionMillion's."""
        if source.prompts is None:
            return motionmillion_eval()
        own = Path(source.prompts).suffix.lower() == ".json"
        return Suite.load(source.prompts) if own else official_suite(source.prompts)


class MotionMillionEvalOfficial(SuiteKind):
    """MotionMillion's own prompts, from the user's copy."""

    name = OFFICIAL_NAME
    help = f"MotionMillion's own 126 prompts; --prompts for the file of {OFFICIAL_SOURCE}"

    def read(self, source: SuiteSource, clips: "Sequence[MotionClip]" = ()) -> Suite:
        """MotionMillion's prompts."""
        return official_suite(self.given(source))
