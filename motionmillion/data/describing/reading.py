"""Reads a prompt as a task: which of the facts that can be measured does it ask for?

    book = PhraseBook.of(encoder)
    readings = book.read("put your left hand up, then do a jump")
    readings[0].task.said                   # ("[put] the left hand up", "[jump]")
    book.rate(prompt, facts)                 # how far a motion with these facts does it

A prompt is compared with every phrase of measured descriptions (`motionmillion.data.describing.catalogue`) by the
cosine of their embeddings, where sides must agree. A sentence of two parts, "..., then ...", "... while ...", is read
part by part. No grammar is involved: words that no phrase is near to are read as the nearest one, with little
confidence.

Letters: P texts of phrases, C feature size.
"""

import functools
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import normalize

from motionmillion.data.describing.catalogue import catalogue, held_postures
from motionmillion.data.describing.facts import MotionFacts
from motionmillion.data.describing.tasks import Order, Task
from motionmillion.data.describing.wording import posture_sentences
from motionmillion.data.describing.words import command, finite, participle
from motionmillion.data.mirror_words import sides
from motionmillion.io.files import atomic_path
from motionmillion.text.encoder import TextEncoder

NEAREST = 6
"""Phrases that a prompt, or a part of one, is read as."""
PAIRED = 3
"""The same for each part of a sentence of two parts."""
TEMPERATURE = 0.03
"""Of the weights of phrases, by their cosines."""
OTHER_SIDE = 0.3
"""Taken off the cosine of phrases with other sides than the prompt."""
SURE = (0.35, 0.65)
"""Cosines of the nearest phrase below which a reading is no better than a guess, and above which it is certain."""
PART_SURE = 0.45
"""Least cosine of the parts of a sentence, to be read part by part."""

BUNDLED = Path(__file__).parents[2] / "bundled" / "phrases" / "phrases.safetensors"
"""Embeddings of `phrase_tasks`, written by `recipes/mini/embed_phrases.py`."""
_AT_ONCE = 64
_JOINTS = re.compile(
    r",? and then |,? and afterwards |,? then |,? afterwards |,? before |,? until |,? while |,? and |, "
    r"| with (?=[\w ]*\b(?:hands?|arms?)\b[\w ]*\b(?:up|raised|high|overhead|out|above|sideways)\b)",
    re.IGNORECASE,
)
"""What stands between the two parts of a sentence."""
_THEN = re.compile("then|afterwards|before|until", re.IGNORECASE)
_TOGETHER = re.compile("while|with|^, $", re.IGNORECASE)
_WORD = re.compile(r"\w")


@dataclass(frozen=True)
class Reading:
    """A task that a prompt may ask for, and its weight; the weights of all readings of a prompt add up to at most 1,
    and to less if it is unlike any phrase."""

    weight: float
    task: Task


class PhraseBook:
    """Every phrase with its embedding.

    Args:
        tasks: one for each text.
        points: unit vectors of the texts `[P, C]`.
    """

    def __init__(self, tasks: Sequence[Task], points: Tensor, encoder: TextEncoder) -> None:
        self.tasks, self.points, self.encoder = tasks, points.float(), encoder
        self._sides = [_phrase_sides(task.text) for task in tasks]

    @classmethod
    def of(cls, encoder: TextEncoder) -> "PhraseBook | None":
        """The book of an encoder whose embeddings are in the package, which are those of the bundled models' encoder.

        None for others: a large encoder would take minutes for all phrases.
        """
        points = _points(encoder.name)
        return None if points is None else cls(phrase_tasks(), points, encoder)

    def rate(self, prompt: str, facts: Sequence[MotionFacts]) -> Tensor:
        """How far motions with these facts do what a prompt asks for, one number each, about 0 to 1."""
        readings = self.read(prompt)
        return torch.tensor([sum(each.weight * each.task.rating(own) for each in readings) for own in facts])

    def read(self, prompt: str) -> list[Reading]:
        """What a prompt may ask for, likely readings first."""
        parts, order = split(prompt)
        points = embedded([prompt, *(parts if len(parts) == 2 else [])], self.encoder)
        if len(parts) == 2:
            one, two = (self._near(part, point)[:PAIRED] for part, point in zip(parts, points[1:], strict=True))
            pairs = [
                (first * second, _joined(prompt, a, b, order))
                for first, a in _weights([each for each in one if each[1].events])
                for second, b in _weights([each for each in two if each[1].events])
            ]
            sure = min(one[0][0], two[0][0])
            if pairs and sure > PART_SURE:
                return _readings(pairs, _certainty(sure))
        near = self._near(prompt, points[0])
        return _readings(_weights(near), _certainty(near[0][0]))

    def _near(self, text: str, point: Tensor) -> list[tuple[float, Task]]:
        """The nearest phrases with their cosines, the nearest first."""
        asked = sides(text)
        other = torch.tensor([own != asked for own in self._sides])
        near, places = (self.points @ point - OTHER_SIDE * other).topk(NEAREST)
        return [(cosine, self.tasks[place]) for cosine, place in zip(near.tolist(), places.tolist(), strict=True)]


@functools.cache
def _phrase_sides(text: str) -> list[str]:
    return sides(text)


@functools.cache
def phrase_tasks() -> tuple[Task, ...]:
    """A task for each text that a prompt is compared with: phrases as commands, sentences and in -ing, and held
    postures."""
    found: dict[str, Task] = {}
    for phrase, event in catalogue().items():
        for text in (command(phrase), f"a person {finite(phrase)}", participle(phrase)):
            found.setdefault(text, Task(text, (event,), (phrase,)))
    for facts in held_postures():
        for text in posture_sentences(facts):
            found.setdefault(text, Task(text, (), (), held=facts))
    return tuple(found.values())


def split(prompt: str) -> tuple[list[str], Order | None]:
    """The parts of a sentence, and how the first two follow each other.

    `split("walk forward, then sit down")` is `(["walk forward", "sit down"], "then")`.
    """
    parts = [part for part in _JOINTS.split(prompt) if _WORD.search(part)]
    joint = _JOINTS.search(prompt)
    if joint is None or len(parts) < 2:
        return parts, None
    between = joint.group(0)
    return parts, "then" if _THEN.search(between) else "together" if _TOGETHER.search(between) else None


def embedded(texts: Sequence[str], encoder: TextEncoder) -> Tensor:
    """Unit vectors of texts `[N, C]`: the means of their words."""
    points = []
    for start in range(0, len(texts), _AT_ONCE):
        features, mask = encoder(list(texts[start : start + _AT_ONCE]))
        weights = mask.to(features)[..., None]
        mean = features[:, 0] if encoder.sentence else (features * weights).sum(1) / weights.sum(1)
        points.append(normalize(mean.float(), dim=-1))
    return torch.cat(points).cpu()


def save_points(path: str | Path, points: Tensor, encoder: TextEncoder) -> None:
    """Write embeddings of `phrase_tasks` for `PhraseBook.of`."""
    with atomic_path(path) as temporary:
        save_file({"points": points.half()}, temporary, {"key": _key(encoder.name)})


@functools.cache
def _points(encoder: str) -> Tensor | None:
    """The embeddings in the package; None if they are another encoder's or of other phrases."""
    with safe_open(BUNDLED, "pt") as file:
        return file.get_tensor("points") if file.metadata()["key"] == _key(encoder) else None


def _key(encoder: str) -> str:
    return hashlib.sha256("\n".join([encoder, *(task.text for task in phrase_tasks())]).encode()).hexdigest()


def _joined(prompt: str, one: Task, two: Task, order: Order | None) -> Task:
    return Task(prompt, (*one.events, *two.events), (*one.said, *two.said), order)


def _weights(near: Sequence[tuple[float, Task]]) -> list[tuple[float, Task]]:
    if not near:
        return []
    weights = (torch.tensor([cosine for cosine, _ in near]) / TEMPERATURE).softmax(0).tolist()
    return [(weight, task) for weight, (_, task) in zip(weights, near, strict=True)]


def _certainty(cosine: float) -> float:
    low, high = SURE
    return min(max((cosine - low) / (high - low), 0.0), 1.0)


def _readings(weighted: Sequence[tuple[float, Task]], certainty: float) -> list[Reading]:
    return sorted((Reading(certainty * weight, task) for weight, task in weighted), key=lambda each: -each.weight)
