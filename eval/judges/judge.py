"""Judges: who says whether a motion shows what its text asked for. Asked as MBench asks (ViMoGen, arXiv:2510.26794).

    questions = [
        Question("250", "choice", motion, "playing piano", ("clapping", "checking watch", ...)),   # which of the ten?
        Question("350", "match", other, "veering left"),                                          # yes or no?
    ]
    judge = make_judge("gemini:gemini-2.5-flash")      # or "https://host/v1#model", a local model, "retrieval"
    answers = ask_all(judge, questions, cache="runs/mini/judge.jsonl", seed=0)
    print(tally(answers))                              # {"asked": 2, "right": 1, "wrong": 1, "unclear": 0, ...}

Unusual: a judge never learns which text is the right one. It sees the texts in an order that depends on the seed and
the question's id alone, and answers in words; what is in the words is read once and the same for every judge
(`motionmillion.eval.judges.replies`). A cache keeps words, not verdicts, so nothing is paid for twice. A reply that
cannot be read, and a question that nobody answered, are errors (`right` is None) and counted, never a "no".
"""

import abc
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

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
