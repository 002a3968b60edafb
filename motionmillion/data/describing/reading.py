"""Reads a prompt as a task: which of the facts that can be measured does it ask for?

    book = PhraseBook.of(encoder)
    readings = book.read("put your left hand up, then do a jump")
    readings[0].task.said                   # ("[put] the left hand up", "[jump]")
    book.rate(prompt, facts)                 # how far a motion with these facts does it

A prompt is compared with every phrase of measured descriptions (`motionmillion.data.describing.catalogue`) by the
cosine of their embeddings, where sides, numbers and ways must agree. A sentence of several parts, "..., then ...",
"after ..., ...", "... while ...", is read part by part. Beyond such words no grammar is involved: what no phrase is
near to is read as the nearest one, with little confidence.

Letters: P texts of phrases, C feature size.
"""

import functools
import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
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
from motionmillion.data.describing.words import command, finite, numbers, participle
from motionmillion.data.mirror_words import sides
from motionmillion.io.files import atomic_path
from motionmillion.text.encoder import TextEncoder

NEAREST = 6
"""Phrases that a prompt, or a part of one, is read as."""
COMBINED = 9
"""Tasks that are made of the nearest phrases of several parts, at most."""
MOST_PARTS = 4
"""Parts of a prompt that are read; what comes after them is not."""
TEMPERATURE = 0.03
"""Of the weights of phrases, by their cosines."""
OTHERWISE = 0.3
"""Taken off the cosine of phrases with other sides, numbers or ways than the prompt."""
SURE = (0.35, 0.65)
"""Cosines of the nearest phrase below which a reading is no better than a guess, and above which it is certain."""
PART_SURE = 0.45
"""Least cosine of a part of a sentence that is read as an event."""
AS_ONE = 0.05
"""How much nearer than its pieces a part with "and" must be to be read as one."""

BUNDLED = Path(__file__).parents[2] / "bundled" / "phrases" / "phrases.safetensors"
"""Embeddings of `phrase_tasks`, written by `recipes/mini/embed_phrases.py`."""
_AT_ONCE = 64
_FIRST = re.compile(
    r"^\W*(?P<word>after|once|when|as soon as|before|while|as)\s+(?P<part>.+?),\s*(?P<rest>\w.*)$", re.I | re.S
)
"""A sentence that begins with a subordinate clause."""
_LAST = re.compile(r",?\s+(?:at the same time|simultaneously|all at once)\W*$", re.I)
_JOINTS = re.compile(
    r"(?P<then>[,.;]?\s*\b(?:and\s+)?"
    r"(?:then|afterwards?|after (?:that|this|which)|finally|next(?! to\b)|followed by)\b,?\s+"
    r"|,?\s+(?:before|until)\s+|[.;]\s+(?=\w))"
    r"|(?P<after>,?\s+after\s+(?!the other\b|another\b))"
    r"|(?P<together>,?\s+(?:and\s+)?(?:while|whilst|at the same time(?: as)?)\s+|,\s+(?=(?:with\s+)?\w+ing\b)"
    r"|\s+with\s+(?=[\w ]*\b(?:hands?|arms?)\b[\w ]*\b(?:up|raised|high|overhead|out|above|sideways)\b))",
    re.IGNORECASE,
)
"""What stands between two parts of a sentence and says how the second follows the first."""
_LISTED = re.compile(
    r",?\s+and\s+(?!(?:knees|feet|forth|down|round|out|over|on|back|left|right)\b)|,\s+", re.IGNORECASE
)
"""What may stand between two parts, but also within one: "walk and wave", "squat down and stand up again"."""
_WAYS = {
    "slow": re.compile(r"\b(?:slow|leisurely|unhurried|gentl|careful|creep|stroll|amb)", re.I),
    "fast": re.compile(r"\b(?:fast|quick|brisk|hurr|rapid|swift|hast|rush)", re.I),
    "backward": re.compile(r"\bback|\brevers|\bretreat", re.I),
}
"""Ways of moving that a phrase may only name if the prompt does, because embeddings hardly tell them from others."""
_WORD = re.compile(r"\w")


@dataclass(frozen=True)
class Reading:
    """A task that a prompt may ask for, and its weight; the weights of all readings of a prompt add up to at most 1,
    and to less if it is unlike any phrase."""

    weight: float
    task: Task


Near = list[tuple[float, Task]]
"""Tasks with the cosines of their texts, the nearest first."""


class PhraseBook:
    """Every phrase with its embedding.

    Args:
        tasks: one for each text.
        points: unit vectors of the texts `[P, C]`.
    """

    def __init__(self, tasks: Sequence[Task], points: Tensor, encoder: TextEncoder) -> None:
        self.tasks, self.points, self.encoder = tasks, points.float(), encoder
        self._named = [_named(task.text) for task in tasks]

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
        parts, orders = split(prompt)
        pieces = [listed(part) for part in parts]
        texts = list(dict.fromkeys([prompt, *parts, *(piece for own in pieces for piece in own)]))
        near = dict(zip(texts, map(self._near, texts, embedded(texts, self.encoder)), strict=True))
        steps: list[tuple[Order, Near]] = []
        following: list[Order] = ["listed", *orders]
        for part, own, order in zip(parts, pieces, following, strict=True):
            mean = sum(near[piece][0][0] for piece in own) / len(own)
            apart = len(own) > 1 and mean > near[part][0][0] - AS_ONE
            steps.append((order, near[own[0]] if apart else near[part]))
            for piece in own[1:] if apart else []:
                steps.append(("listed", near[piece]))
        sure = [step for step in steps if step[1][0][0] > PART_SURE and step[1][0][1].events][:MOST_PARTS]
        if len(sure) < 2:
            return _readings(_weights(near[prompt]), _certainty(near[prompt][0][0]))
        return _joined(prompt, sure, len(sure) / len(steps))

    def _near(self, text: str, point: Tensor) -> Near:
        """The nearest phrases with their cosines, the nearest first."""
        asked, counted, ways = _named(text)
        other = [
            own != asked or bool(numbered and counted != numbered) or not said <= ways
            for own, numbered, said in self._named
        ]
        near, places = (self.points @ point - OTHERWISE * torch.tensor(other)).topk(NEAREST)
        return [(cosine, self.tasks[place]) for cosine, place in zip(near.tolist(), places.tolist(), strict=True)]


@functools.lru_cache(maxsize=4096)
def _named(text: str) -> tuple[list[str], list[float], frozenset[str]]:
    """Sides, numbers and ways of moving that a text names."""
    return sides(text), numbers(text), frozenset(way for way, words in _WAYS.items() if words.search(text))


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


def split(prompt: str) -> tuple[list[str], list[Order]]:
    """The parts of a sentence in the order in which they happen, and how each but the first follows the one before.

    `split("walk forward, then sit down")` and `split("sit down after walking forward")` have the order "then".
    """
    last = _LAST.search(prompt)
    pieces = listed(prompt[: last.start()]) if last else []
    if pieces:
        return pieces, ["together" for _ in pieces[1:]]
    first = _FIRST.match(prompt)
    if first:
        (one, before), (two, after) = split(first["part"]), split(first["rest"])
        if first["word"].lower() == "before":
            return [*two, *one], [*after, "then", *before]
        way: Order = "together" if first["word"].lower() in ("while", "as") else "then"
        return [*one, *two], [*before, way, *after]
    parts: list[str] = []
    orders: list[Order] = []
    way = "then"
    begin, swap = 0, False
    for joint in [*_JOINTS.finditer(prompt), None]:
        part = prompt[begin : joint.start() if joint else None]
        if _WORD.search(part):
            if parts:
                orders.append(way)
            parts.append(part)
            if swap:
                parts[-2:] = [part, parts[-2]]
        if joint:
            begin, swap = joint.end(), bool(joint["after"] and parts)
            way = "together" if joint["together"] else "then"
    return parts, orders


def listed(part: str) -> list[str]:
    """The pieces between commas and "and" that have words."""
    return [piece for piece in _LISTED.split(part) if _WORD.search(piece)]


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


def _joined(prompt: str, steps: Sequence[tuple[Order, Near]], share: float) -> list[Reading]:
    """Tasks of several steps, each read as one of its nearest phrases.

    Args:
        share: of the prompt's parts that are among the steps.
    """
    kept = int(COMBINED ** (1 / len(steps)))
    choices = [_weights([each for each in near if each[1].events][:kept]) for _, near in steps]
    orders: tuple[Order, ...] = tuple(order for order, _ in steps[1:])
    weighted = []
    for chosen in product(*choices):
        events, said = tuple(task.events[0] for _, task in chosen), tuple(task.said[0] for _, task in chosen)
        weighted.append((math.prod(weight for weight, _ in chosen), Task(prompt, events, said, orders)))
    return _readings(weighted, share * min(_certainty(near[0][0]) for _, near in steps))


def _weights(near: Near) -> Near:
    weights = (torch.tensor([cosine for cosine, _ in near]) / TEMPERATURE).softmax(0).tolist()
    return [(weight, task) for weight, (_, task) in zip(weights, near, strict=True)]


def _certainty(cosine: float) -> float:
    low, high = SURE
    return min(max((cosine - low) / (high - low), 0.0), 1.0)


def _readings(weighted: Sequence[tuple[float, Task]], certainty: float) -> list[Reading]:
    return sorted((Reading(certainty * weight, task) for weight, task in weighted), key=lambda each: -each.weight)
