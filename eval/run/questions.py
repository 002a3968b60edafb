"""A judge for a suite, and its answers as measures.

    judge = suite_judge("retrieval", {}, suite, scorer)
    answers = ask_all(judge, kind.questions(suite, samples), cache, seed)
    rows = with_answers(rows, answers, kind.answers)

The questions themselves are those of the suite (`motionmillion.eval.suites.base.SuiteKind`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from motionmillion.eval.judges.ask import first_failure
from motionmillion.eval.judges.choose import make_judge
from motionmillion.eval.judges.judge import Answer, Judge, Kind
from motionmillion.eval.prompts import Suite
from motionmillion.eval.results import SampleResult
from motionmillion.eval.scoring import Scorer

ANSWERS = "judge.jsonl"


def suite_judge(
    spec: str, options: Mapping[str, Any], suite: Suite, scorer: Scorer, device: str = "cpu", cached: bool = False
) -> Judge | None:
    """A judge by its name, see `make_judge`; None for "".

    Args:
        suite: its texts are what the judge "retrieval" searches.
        cached: there are answers already, so the judge need not be there: cached answers need no key.
    """
    if not spec:
        return None
    own = dict(options)
    if spec == "retrieval":
        own |= {"evaluator": scorer.evaluator, "texts": [prompt.text for prompt in suite.prompts]}
        own["identity"] = scorer.evaluator.weights_sha256()
    else:
        own["device"] = device
    judge = make_judge(spec, **own)
    if not cached:
        judge.check()
    return judge


def with_answers(
    rows: Sequence[SampleResult], answers: Sequence[Answer], names: Mapping[Kind, str]
) -> list[SampleResult]:
    """Rows with the answers as values, without unanswered and unclear questions.

    Args:
        names: measure by kind of question.
    """
    found: dict[str, dict[str, float]] = {}
    for answer in answers:
        if answer.right is not None:
            found.setdefault(answer.id, {})[names[answer.kind]] = float(answer.right)
    return [replace(row, values={**row.values, **found.get(row.id, {})}) for row in rows]


def judge_notes(judge: Judge | None, answers: Sequence[Answer]) -> list[str]:
    """Notes: the judge, and the number of unanswered or unclear questions."""
    if judge is None:
        return []
    offline = ", offline: distance of text and motion in the evaluator's space" if judge.name == "retrieval" else ""
    notes = [f"The judge is {judge.name}{offline}; results of different judges are not comparable."]
    failed, unclear = sum(a.failed for a in answers), sum(a.unclear for a in answers)
    if failed:
        left = f"{failed} of {len(answers)} questions unanswered ({first_failure(answers)})"
        notes.append(f"The judge left {left}; run again to ask them.")
    if unclear:
        count = f"{unclear} of {len(answers)} replies"
        notes.append(f"{count} of the judge were unclear and are not counted; --ask-again repeats these questions.")
    return notes
