"""What a client asks of a model, and the strands of work that the engine makes of it.

    order = Order("a person waves", seconds=4.0, samples=2)
    plan = plan_order(pipe, order)                     # checks it; raises ValueError
    plan.strands, plan.finish(outputs)                 # two strands; their outputs -> two motions

A strand is what the engine schedules: a row of tokens that shares decoding steps with others, a motion that is sampled
in one batch with those of the same options (DiT, quantized models), or a call that has the model to itself.

Unusual: a plan gives exactly the motions that the pipeline's own call gives, with `candidates=1` unless an order asks
for more.

Letters: N tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from motionmillion.configuration import check_whole
from motionmillion.lm.generation.decode_step import supported
from motionmillion.motion import Motion
from motionmillion.pipeline import MotionPipeline
from motionmillion.pipeline.base import check_parts, sample_seed
from motionmillion.pipeline.codes import CodesPipeline
from motionmillion.pipeline.ways import Way
from motionmillion.text.prompts import check_texts

OF_SERVER = ("compiled", "cache", "int8", "seconds")
"""Options of a call that a client does not choose."""


@dataclass(frozen=True)
class Order:
    """One request for motions.

    Args:
        prompt: a sentence; left out with `timeline`.
        timeline: texts and seconds of the parts of one motion.
        seconds: length; None lets the model decide.
        samples: number of motions.
        path, speed, turn, facing: where to go, see `motionmillion.pipeline.ways`.
        options: of the model's call, see `motionmillion.pipeline.options`.
    """

    prompt: str | None = None
    timeline: tuple[tuple[str, float], ...] = ()
    seconds: float | None = None
    samples: int = 1
    seed: int = 0
    path: Any = None
    speed: float | None = None
    turn: float | None = None
    facing: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_whole("samples", self.samples, 1)
        if bool(self.timeline) == (self.prompt is not None):
            got = "both" if self.timeline else "neither"
            raise ValueError(f"prompt or timeline must be given, and not both, got {got}")
        for name in OF_SERVER:
            if name in self.options:
                remedy = "it stands beside the options" if name == "seconds" else "the service decides it"
                raise ValueError(f"options must not hold {name!r}; {remedy}")
        if self.timeline:
            check_parts(self.timeline)
            given = ("seconds", "path", "speed", "turn", "facing")
            for name in (name for name in given if getattr(self, name) is not None):
                raise ValueError(f"{name} must be left out with timeline, got {getattr(self, name)!r}")
        else:
            check_texts(self.prompt)

    @property
    def caption(self) -> str:
        """The caption of its motions."""
        return (self.prompt or "; ".join(text for text, _ in self.timeline)).strip()

    @property
    def seeds(self) -> list[int]:
        """The seed of each motion; with it as `seed`, one sample is the same motion again."""
        return [sample_seed(self.seed, number) for number in range(self.samples)]


class Part(NamedTuple):
    """A part of a row: its text, bounds on its number of tokens, and its seed."""

    text: str
    most: int
    least: int
    seed: int


@dataclass(frozen=True)
class TokenStrand:
    """A motion of a language model, decoded token by token; of several parts, each continues `overlap` tokens."""

    parts: tuple[Part, ...]
    sampling: Any
    overlap: int = 1


@dataclass(frozen=True)
class SampleStrand:
    """A motion of `MotionPipeline.sample`; strands with one `key` are sampled together."""

    key: Hashable
    prompt: str
    seed: int
    arguments: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class CallStrand:
    """Work that has the model to itself, such as an in-between."""

    call: Callable[[], Any] = field(compare=False)


Strand = TokenStrand | SampleStrand | CallStrand


@dataclass(frozen=True)
class Plan:
    """Strands of an order, and how their outputs become motions.

    Args:
        finish: the outputs of the strands, tokens `[N]` or what samples and calls return, -> motions.
        caption, frames: for streams, of the one motion.
    """

    strands: tuple[Strand, ...]
    finish: Callable[[Sequence[Any]], list[Motion]]
    caption: str = ""
    frames: int = 0


def plan_order(pipe: MotionPipeline, order: Order) -> Plan:
    """The plan of an order.

    Raises:
        ValueError: for what the pipeline's own call refuses.
    """
    if isinstance(pipe, CodesPipeline) and supported(pipe.lm):
        return _plan_parts(pipe, order) if order.timeline else _plan_tokens(pipe, order)
    return _plan_samples(pipe, order)


def plan_call(call: Callable[[], Motion]) -> Plan:
    """A plan of one call that makes one motion."""
    return Plan((CallStrand(call),), list)


def _plan_tokens(pipe: CodesPipeline, order: Order) -> Plan:
    """A row for each candidate of each motion."""
    way = pipe.way(order.path, order.speed, order.turn, order.facing, order.seconds, None)
    chosen = pipe.options({**_one(order, way), "seconds": way.seconds if way else order.seconds})
    lengths, sampling, frames = pipe.lengths(chosen), pipe.decoding(chosen)["sampling"], pipe.frames(chosen)
    most, least = lengths["max_new_tokens"], lengths["min_new_tokens"]
    many = pipe.candidates(chosen, way)
    seeds = [sample_seed(seed, number) for seed in order.seeds for number in range(many)]
    strands = tuple(TokenStrand((Part(order.caption, most, least, seed),), sampling) for seed in seeds)

    def finish(rows: Sequence[Tensor]) -> list[Motion]:
        motions = [pipe.decode(row, frames).replace(caption=order.caption) for row in rows]
        groups = [slice(start, start + many) for start in range(0, len(rows), many)]
        return [pipe.best(order.caption, rows[group], motions[group], way) for group in groups]

    return Plan(strands, finish, order.caption, frames)


def _one(order: Order, way: Way | None) -> Mapping[str, Any]:
    """The options of an order, with one candidate unless it or a way asks for more."""
    return order.options if way else {"candidates": 1, **order.options}


def _plan_parts(pipe: CodesPipeline, order: Order) -> Plan:
    chosen = pipe.options(order.options, timed=True)
    counts, sampling = pipe.part_codes(order.timeline), pipe.decoding(chosen)["sampling"]
    strands = []
    for seed in order.seeds:
        parts = tuple(
            Part(text.strip(), count, count, sample_seed(seed, number))
            for number, ((text, _), count) in enumerate(zip(order.timeline, counts, strict=True))
        )
        strands.append(TokenStrand(parts, sampling, pipe.overlap(chosen)))
    frames = round(sum(seconds for _, seconds in order.timeline) * pipe.fps)

    def finish(rows: Sequence[Tensor]) -> list[Motion]:
        return [pipe.decode(row, frames).replace(caption=order.caption) for row in rows]

    return Plan(tuple(strands), finish, order.caption, frames)


def _plan_samples(pipe: MotionPipeline, order: Order) -> Plan:
    if order.timeline:
        pipe.options(order.options, timed=True)
        options = dict(order.options)
        strands = tuple(
            CallStrand(lambda seed=seed: pipe.timeline(order.timeline, seed=seed, **options)[0])
            for seed in order.seeds
        )
        return Plan(strands, list)
    way = Way.of(order.path, order.speed, order.turn, order.facing, order.seconds)
    own = _one(order, way)
    pipe.options({**own, "seconds": way.seconds if way else order.seconds})
    arguments: dict[str, Any] = {**own, "seconds": order.seconds}
    places = {"path": order.path, "speed": order.speed, "turn": order.turn, "facing": order.facing}
    arguments |= {name: value for name, value in places.items() if value is not None}
    if isinstance(pipe, CodesPipeline):
        pipe.way(order.path, order.speed, order.turn, order.facing, order.seconds, None)
    key = repr(sorted(arguments.items()))
    strands = tuple(SampleStrand(key, order.caption, seed, arguments) for seed in order.seeds)
    return Plan(strands, list)


def stacked(tokens: Sequence[Tensor]) -> Tensor:
    """Tokens of a strand as one row `[N]`, latents `[N, Q]`."""
    return torch.stack(list(tokens))
