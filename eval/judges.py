"""Judges decide whether a motion shows its text, with the questions of MBench (ViMoGen, arXiv:2510.26794).

    questions = [
        Question("250", "choice", motion, "playing piano", ("clapping", "checking watch", ...)),   # which of the ten?
        Question("350", "match", other, "veering left"),                                          # yes or no?
    ]
    judge = make_judge("gemini:gemini-2.5-flash")      # or "https://host/v1#model", a local model, "retrieval"
    answers = ask_all(judge, questions, cache="runs/mini/judge.jsonl", seed=0)
    print(tally(answers))                              # {"asked": 2, "right": 1, "wrong": 1, "unclear": 0, ...}

Unusual: a judge is not told which text is right. It sees the texts in an order that depends on the seed and the
question's id alone, and replies in words, which are parsed in one place for every judge
(`motionmillion.eval.judge_replies`). The cache stores replies, not verdicts, so no request is made twice. A reply that
cannot be parsed and an unanswered question are errors (`right` is None) and counted as such, never as a "no".
"""

import abc
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from motionmillion.configuration import check_whole
from motionmillion.eval.judge_cache import ReplyCache
from motionmillion.eval.judge_replies import UnclearReplyError, read_choice, read_match
from motionmillion.motion import Motion
from motionmillion.prompts import plain

Kind = Literal["choice", "match"]


class JudgeError(ValueError):
    """A question that a judge could not answer; one line that says why."""


@dataclass(frozen=True)
class Asked:
    """A question as shown to a judge.

    Args:
        kind: "choice": which of `texts` does the motion show? "match": does it show the only one of `texts`?
        motion: the motion to judge, without its caption.
        texts: in display order.
    """

    kind: Kind
    motion: Motion
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Question:
    """One question about one motion.

    Args:
        id: unique among those asked together, such as the prompt's.
        kind: "choice" among `text` and `distractors`, or "match" of `text` alone.
        motion: the motion to judge.
        text: what the motion should show.
        distractors: other texts for a choice. Duplicates, also of `text`, are removed (five of MBench's
            hundred lists have one).

    Raises:
        ValueError: for another kind, a text without words, or a choice without a distractor.
    """

    id: str
    kind: Kind
    motion: Motion
    text: str
    distractors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in ("choice", "match"):
            raise ValueError(f'question kind must be "choice" or "match", got {self.kind!r} in {self.id!r}')
        if not all(plain(text) for text in (self.text, *self.distractors)):
            raise ValueError(f"question must have texts with words, got an empty one in {self.id!r}")
        if self.kind == "choice" and len(self._texts()) < 2:
            raise ValueError(f"question must have distractors to choose among, got none in {self.id!r}")

    def asked(self, seed: int) -> Asked:
        """The question without its answer; the order of texts depends on `seed`, `id` and the texts alone."""
        if self.kind == "match":
            return Asked(self.kind, self.motion, (self.text,))
        place = {text: hashlib.sha256(f"{seed}\n{self.id}\n{text}".encode()).digest() for text in self._texts()}
        return Asked(self.kind, self.motion, tuple(sorted(place, key=place.__getitem__)))

    def _texts(self) -> list[str]:
        texts: dict[str, str] = {}
        for text in (self.text, *self.distractors):
            texts.setdefault(plain(text), text)
        return list(texts.values())


@dataclass(frozen=True)
class Answer:
    """A judge's answer.

    Args:
        id, kind: those of the question.
        right: whether the judge chose the text, or found that the motion matches it; None if unknown.
        reply: the judge's words, "" if there is no reply.
        error: why `right` is None, in one line; "" if it is not.
    """

    id: str
    kind: Kind
    right: bool | None
    reply: str = ""
    error: str = ""

    @property
    def failed(self) -> bool:
        """Whether there is no answer; asking again may help."""
        return self.right is None and not self.reply

    @property
    def unclear(self) -> bool:
        """Whether the reply could not be parsed."""
        return self.right is None and bool(self.reply)


class Judge(abc.ABC):
    """Answers questions in words that end with "Answer: ...".

    `name` identifies it; `batch_size` is the number of questions it gets at once; `keeps` tells whether its replies
    are worth caching.
    """

    name: str
    batch_size: int = 1
    keeps: bool = True

    @abc.abstractmethod
    def describe(self) -> dict[str, Any]:
        """Everything that its replies depend on, as JSON values; part of every protocol and of the cache's keys."""

    @abc.abstractmethod
    def replies(self, asked: Sequence[Asked]) -> Iterable[str | JudgeError]:
        """A reply or an error for each question, in order and as soon as available; no reply is empty."""

    def check(self) -> None:
        """Raise `ValueError` if asking is bound to fail, for example without a key; makes no request."""
        return None


def ask_all(
    judge: Judge,
    questions: Sequence[Question],
    cache: str | Path | None = None,
    seed: int = 0,
    progress: bool = False,
    stop_after: int = 3,
    ask_again: bool = False,
) -> list[Answer]:
    """Ask every question that is not in the cache.

    Args:
        cache: JSONL file to which every reply is appended at once; an interrupted run resumes from it.
        seed: seed of the order of the texts.
        progress: whether to show a progress bar.
        stop_after: number of consecutive failures after which the rest is skipped.
        ask_again: repeat questions with an unclear reply, for example after a fix of the server.

    Returns:
        One answer per question, in order. Unanswered ones are `failed`; another call asks only these.

    Raises:
        ValueError: for a duplicate id and kind, or a file that is not a cache.
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
    failures = _ask(judge, open_questions, known, stop_after, progress)
    return [
        _answer(question, entry, failures[key] if key in failures else known.replies[key])
        for key, question, entry in zip(keys, questions, asked, strict=True)
    ]


def _ask(
    judge: Judge, questions: Mapping[str, tuple[str, Asked]], known: ReplyCache, stop_after: int, progress: bool
) -> dict[str, JudgeError]:
    """Put replies into `known`; returns the errors of questions without one."""
    from rich.console import Console
    from rich.progress import Progress

    errors: dict[str, JudgeError] = {}
    in_a_row = 0
    keys = list(questions)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not (progress and console.is_terminal and keys)) as bar:
        task = bar.add_task(f"asking {judge.name}", total=len(keys))
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
                bar.advance(task)
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
    """Number of questions by outcome, as JSON values for a protocol."""
    counts = {"asked": 0, "right": 0, "wrong": 0, "unclear": 0, "failed": 0}
    for answer in answers:
        counts["asked"] += 1
        missing = "failed" if answer.failed else "unclear"
        counts[missing if answer.right is None else "right" if answer.right else "wrong"] += 1
    return counts


def first_failure(answers: Iterable[Answer]) -> str:
    """Why the first unanswered question has no answer, in one line; "" if all have one."""
    return next((" ".join(answer.error.split()) for answer in answers if answer.failed), "")


def make_judge(spec: str, **options: Any) -> Judge:
    """Make a judge from its name.

    Args:
        spec: "retrieval" (options `evaluator` and `texts`), "similarity" (option `threshold`), "https://host/v1#model"
            for a server with OpenAI's chat completions API, "gemini:MODEL", or the folder or hub id of a
            vision-language model to run locally.
        options: options of its class; `device` applies to local models and is ignored otherwise.

    Raises:
        ValueError: for an address or a service without a model, and an unknown name.
    """
    if spec == "retrieval":
        from motionmillion.eval.judge_retrieval import RetrievalJudge

        return RetrievalJudge(**{name: value for name, value in options.items() if name != "device"})
    if spec == "similarity":
        from motionmillion.eval.judge_similarity import SimilarityJudge

        return SimilarityJudge.bundled(**{name: value for name, value in options.items() if name != "device"})
    if spec.startswith(("http://", "https://", "gemini:")):
        from motionmillion.eval.judge_endpoint import EndpointJudge, GeminiJudge

        options.pop("device", None)  # decided by the server
        address, sign, model = spec.partition(":" if spec.startswith("gemini:") else "#")
        if not model:
            raise ValueError(f'judge must name a model, got {spec!r}; write "{address}{sign or "#"}MODEL"')
        return GeminiJudge(model, **options) if address == "gemini" else EndpointJudge(address, model, **options)
    from motionmillion.eval.judge_transformers import TransformersJudge

    if "/" not in spec and not Path(spec).is_dir():  # not a hub id, so no request to the hub
        raise ValueError(
            'judge must be "retrieval", "similarity", "https://host/v1#MODEL", "gemini:MODEL", a folder, or the id of '
            f'a model on the hub, "owner/name", got {spec!r}'
        )
    return TransformersJudge(spec, **options)
