"""Questions put to a judge: order of the texts, replies kept in a cache, answers counted.

answers = ask_all(judge, questions, cache="runs/mini/judge.jsonl", seed=0)
print(tally(answers))                              # {"asked": 2, "right": 1, "wrong": 1, "unclear": 0, ...}
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from motionmillion.configuration import check_whole
from motionmillion.eval.judges.cache import ReplyCache
from motionmillion.eval.judges.judge import Answer, Asked, Judge, JudgeError, Question
from motionmillion.eval.judges.replies import UnclearReplyError, read_choice, read_match
from motionmillion.progress import progress_bar


def ask_all(
    judge: Judge,
    questions: Sequence[Question],
    cache: str | Path | None = None,
    seed: int = 0,
    stop_after: int = 3,
    ask_again: bool = False,
) -> list[Answer]:
    """Ask every question; what the cache knows is not asked again.

    Args:
        cache: JSONL file that every reply is added to as soon as it is there; a run that was killed goes on from it.
        seed: of the order in which texts are shown.
        stop_after: questions in a row that may fail before the rest are no longer asked.
        ask_again: ask again what was answered unclearly, such as by a server that has been mended since.

    Returns:
        One answer a question, in order. Those that nobody answered are `failed`; asking again asks only these.

    Raises:
        ValueError: for an id and kind that come twice, or a cache that is none.
    """
    check_whole("stop_after", stop_after, 1)
    if len({(question.id, question.kind) for question in questions}) < len(questions):
        raise ValueError("question ids must be unique for each kind, got one twice; give samples of one prompt names")
    known = ReplyCache(cache if judge.keeps else None, judge.describe())
    asked = [question.asked(seed) for question in questions]
    keys = [known.key(entry.kind, entry.texts, entry.motion) for entry in asked]
    open_questions = {
        key: (question.id, entry)
        for key, question, entry in zip(keys, questions, asked, strict=True)
        if key not in known.replies or (ask_again and _answer(question, entry, known.replies[key]).unclear)
    }
    failures = _ask(judge, open_questions, known, stop_after)
    return [
        _answer(question, entry, failures[key] if key in failures else known.replies[key])
        for key, question, entry in zip(keys, questions, asked, strict=True)
    ]


def _ask(
    judge: Judge, questions: Mapping[str, tuple[str, Asked]], known: ReplyCache, stop_after: int
) -> dict[str, JudgeError]:
    """Put replies into `known`; the errors of the questions without one."""
    errors: dict[str, JudgeError] = {}
    in_a_row = 0
    keys = list(questions)
    with progress_bar(len(keys), f"asking {judge.name}", "questions") as bar:
        for start in range(0, len(keys), judge.batch_size):
            part = keys[start : start + judge.batch_size]
            if in_a_row >= stop_after:
                errors |= dict.fromkeys(part, JudgeError(f"not asked after {in_a_row} failures in a row"))
                continue
            for key, reply in zip(part, judge.replies([questions[key][1] for key in part]), strict=True):
                if isinstance(reply, JudgeError):
                    errors[key] = reply
                    in_a_row += 1
                else:
                    known.add(key, reply, id=questions[key][0], kind=questions[key][1].kind)
                    in_a_row = 0
                bar.update()
    return errors


def _answer(question: Question, asked: Asked, reply: str | JudgeError) -> Answer:
    if isinstance(reply, JudgeError):
        return Answer(question.id, question.kind, None, error=str(reply))
    try:
        if question.kind == "choice":
            right = asked.texts[read_choice(reply, asked.texts)] == question.text
        else:
            right = read_match(reply)
    except UnclearReplyError as error:
        return Answer(question.id, question.kind, None, reply, str(error))
    return Answer(question.id, question.kind, right, reply)


def tally(answers: Iterable[Answer]) -> dict[str, int]:
    """How many questions were asked, and what became of them; JSON values for a protocol."""
    counts = {"asked": 0, "right": 0, "wrong": 0, "unclear": 0, "failed": 0}
    for answer in answers:
        counts["asked"] += 1
        missing = "failed" if answer.failed else "unclear"
        counts[missing if answer.right is None else "right" if answer.right else "wrong"] += 1
    return counts


def first_failure(answers: Iterable[Answer]) -> str:
    """Why the first question that nobody answered has no answer, in one line; "" if there is none."""
    return next((" ".join(answer.error.split()) for answer in answers if answer.failed), "")
