"""Judges: who says whether a motion shows what its text asked for. Asked as MBench asks (ViMoGen, arXiv:2510.26794).

    questions = [
        Question("250", "choice", motion, "playing piano", ("clapping", "checking watch", ...)),   # which of the ten?
        Question("350", "match", other, "veering left"),                                          # yes or no?
    ]
    judge = make_judge("gemini:gemini-2.5-flash")      # or "https://host/v1#model", a local model, "retrieval"
    answers = ask_all(judge, questions, cache="runs/mini/judge.jsonl", seed=0)
    print(tally(answers))                              # {"asked": 2, "right": 1, "wrong": 1, "unclear": 0, ...}

Unusual: a judge never learns which text is the right one. It sees the texts in an order that depends on the seed and
the question's id alone, and answers in words; what is in the words is read here, once and the same for every judge
(`motionmillion.eval.judges.replies`). A cache keeps words, not verdicts, so nothing is paid for twice. A reply that
cannot be read, and a question that nobody answered, are errors (`right` is None) and counted, never a "no".
"""

import abc
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from motionmillion.configuration import check_whole
from motionmillion.eval.judges.cache import ReplyCache
from motionmillion.eval.judges.replies import UnclearReplyError, read_choice, read_match
from motionmillion.motion import Motion
from motionmillion.text.prompts import plain

Kind = Literal["choice", "match"]


class JudgeError(ValueError):
    """A question that a judge could not answer; one line that says why."""


@dataclass(frozen=True)
class Asked:
    """A question as a judge gets it.

    Args:
        kind: "choice": which of `texts` does the motion show? "match": does it show the only one of `texts`?
        motion: what is judged; its caption is not shown to anybody.
        texts: in the order in which they are to be shown.
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
        motion: what is judged.
        text: what the motion should show.
        distractors: other texts for a choice. One that says the same as another or as `text` is left out (five of
            MBench's hundred lists hold such a one).

    Raises:
        ValueError: for another kind, a text without a word, or a choice without a distractor.
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
        """The question without its answer; the order of the texts depends on `seed`, `id` and the texts alone."""
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
    """What a judge said.

    Args:
        id, kind: of the question.
        right: whether the judge chose the text, or found that the motion matches it; None where that is not known.
        reply: the judge's words, "" if there are none.
        error: why `right` is None, in one line; "" if it is not.
    """

    id: str
    kind: Kind
    right: bool | None
    reply: str = ""
    error: str = ""

    @property
    def failed(self) -> bool:
        """Whether nobody answered; asking again may help."""
        return self.right is None and not self.reply

    @property
    def unclear(self) -> bool:
        """Whether there is a reply from which no answer could be read."""
        return self.right is None and bool(self.reply)


class Judge(abc.ABC):
    """Answers questions in words that end with "Answer: ...".

    `name` says who it is; `batch_size` how many questions it is given at once; `keeps` whether its replies are worth
    a cache.
    """

    name: str
    batch_size: int = 1
    keeps: bool = True

    @abc.abstractmethod
    def describe(self) -> dict[str, Any]:
        """Everything that its replies depend on, as JSON values: part of every protocol, and of the cache's keys."""

    @abc.abstractmethod
    def replies(self, asked: Sequence[Asked]) -> Iterable[str | JudgeError]:
        """A reply or an error for each question, in order and as soon as it is there; no reply is empty."""

    def check(self) -> None:
        """Raise `ValueError` if asking is bound to fail, such as for want of a key; costs nothing."""
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
    """Ask every question; what the cache knows is not asked again.

    Args:
        cache: JSONL file that every reply is added to as soon as it is there; a run that was killed goes on from it.
        seed: of the order in which texts are shown.
        progress: whether to show a bar.
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
    failures = _ask(judge, open_questions, known, stop_after, progress)
    return [
        _answer(question, entry, failures[key] if key in failures else known.replies[key])
        for key, question, entry in zip(keys, questions, asked, strict=True)
    ]


def _ask(
    judge: Judge, questions: Mapping[str, tuple[str, Asked]], known: ReplyCache, stop_after: int, progress: bool
) -> dict[str, JudgeError]:
    """Put replies into `known`; the errors of the questions without one."""
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


def make_judge(spec: str, **options: Any) -> Judge:
    """The judge that a name stands for.

    Args:
        spec: "retrieval" (options `evaluator` and `texts`), "similarity" (option `threshold`), "https://host/v1#model"
            for a server that speaks OpenAI's chat completions, "gemini:MODEL", or the folder or hub id of a
            vision-language model to run here.
        options: of its class; `device` is for models that run here and is left out elsewhere.

    Raises:
        ValueError: for an address or a service without a model, and a name that nobody has.
    """
    if spec == "retrieval":
        from motionmillion.eval.judges.retrieval import RetrievalJudge

        return RetrievalJudge(**{name: value for name, value in options.items() if name != "device"})
    if spec == "similarity":
        from motionmillion.eval.judges.similarity import SimilarityJudge

        return SimilarityJudge.bundled(**{name: value for name, value in options.items() if name != "device"})
    if spec.startswith(("http://", "https://", "gemini:")):
        from motionmillion.eval.judges.chat import EndpointJudge, GeminiJudge

        options.pop("device", None)  # the server's own
        address, sign, model = spec.partition(":" if spec.startswith("gemini:") else "#")
        if not model:
            raise ValueError(f'judge must name a model, got {spec!r}; write "{address}{sign or "#"}MODEL"')
        return GeminiJudge(model, **options) if address == "gemini" else EndpointJudge(address, model, **options)
    from motionmillion.eval.judges.local import TransformersJudge

    if "/" not in spec and not Path(spec).is_dir():  # no id of the hub, so nobody need be asked there
        raise ValueError(
            'judge must be "retrieval", "similarity", "https://host/v1#MODEL", "gemini:MODEL", a folder, or the id of '
            f'a model on the hub, "owner/name", got {spec!r}'
        )
    return TransformersJudge(spec, **options)
