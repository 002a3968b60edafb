"""A suite's questions to a judge, and its answers.

    judge = suite_judge(evaluation, suite, scorer)           # or None
    answers = ask(evaluation, suite, samples, judge)
    rows = with_answers(rows, answers, mbench=True)

MBench's prompts get a choice or a match, depending on their category; motions of other suites get a match.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from motionmillion.eval.judges.ask import ask_all, first_failure
from motionmillion.eval.judges.choose import make_judge
from motionmillion.eval.judges.judge import Answer, Judge, Question
from motionmillion.eval.results import SampleResult
from motionmillion.eval.run.evaluation import MBENCH, Evaluation
from motionmillion.eval.scoring import Sample, Scorer
from motionmillion.eval.suites import Suite
from motionmillion.eval.suites.mbench.prompts import MBENCH_CATEGORIES

ANSWERS = "judge.jsonl"
_JUDGED = {"Motion_Condition_Consistency": "choice", "Motion_Generalizability": "match"}


def suite_judge(evaluation: Evaluation, suite: Suite, scorer: Scorer) -> Judge | None:
    """The requested judge; for MBench by default the evaluator itself; else None."""
    spec = evaluation.judge or ("retrieval" if evaluation.suite == MBENCH else "")
    if not spec:
        return None
    options: dict[str, Any] = dict(evaluation.judge_options)
    if spec == "retrieval":
        options |= {"evaluator": scorer.evaluator, "texts": [prompt.text for prompt in suite.prompts]}
        options["identity"] = scorer.evaluator.weights_sha256()
    else:
        options["device"] = evaluation.device
    judge = make_judge(spec, **options)
    if not (Path(evaluation.output) / ANSWERS).exists():  # cached answers need no key
        judge.check()
    return judge


def ask(evaluation: Evaluation, suite: Suite, samples: Sequence[Sample], judge: Judge | None) -> list[Answer]:
    """A judge's answers; in MBench a choice or a match by category, else a match of every sample."""
    if judge is None:
        return []
    published = set(suite.categories) <= set(MBENCH_CATEGORIES)
    questions = []
    for sample in samples:
        for dimension, kind in _JUDGED.items():
            if evaluation.suite == MBENCH and published and sample.prompt.category != dimension:
                continue
            if evaluation.suite != MBENCH and kind == "choice":
                continue
            distractors = sample.prompt.distractors if kind == "choice" else ()
            questions.append(Question(sample.id, kind, sample.motion, sample.prompt.text, distractors))  # type: ignore[arg-type]
    cache = Path(evaluation.output) / ANSWERS
    return ask_all(judge, questions, cache, evaluation.seed, progress=True, ask_again=evaluation.ask_again)


def with_answers(rows: Sequence[SampleResult], answers: Sequence[Answer], mbench: bool) -> list[SampleResult]:
    """Rows with the answers as values, without unanswered and unclear questions."""
    dimensions = {kind: dimension for dimension, kind in _JUDGED.items()}
    found: dict[str, dict[str, float]] = {}
    for answer in answers:
        if answer.right is not None:
            name = dimensions[answer.kind] if mbench else "judge_match"
            found.setdefault(answer.id, {})[name] = float(answer.right)
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
