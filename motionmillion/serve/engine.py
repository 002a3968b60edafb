"""The engine: batches what many clients ask of one model, without any HTTP.

    engine = Engine(pipe, EngineLimits(rows=32, waiting=64))
    ticket = engine.submit(Order("a person waves", seconds=4.0))
    ticket.future.result()                              # [Motion]
    for piece in engine.submit(order, stream=True).pieces(): ...
    ticket.cancel(); engine.close(drain=10.0)

One thread owns the model. Language models are batched continuously (`motionmillion.lm.generation.continuous`): a new
motion joins at the next token, one that has ended leaves, and each is the one that the pipeline's own call gives.
Motions of other models are sampled in batches of those that ask for the same options.

Unusual: tokens become motions in other threads, so that the batch goes on meanwhile. If a step fails, the motions in
it are begun again once, except those whose pieces a client has.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from motionmillion.lm.generation.continuous import ContinuousBatch, Row
from motionmillion.lm.generation.decode_step import supported
from motionmillion.motion import Motion
from motionmillion.pipeline import MotionPipeline
from motionmillion.pipeline.codes import CodesPipeline
from motionmillion.serve.limits import EngineLimits
from motionmillion.serve.orders import (
    CallStrand,
    Order,
    Part,
    Plan,
    SampleStrand,
    Strand,
    TokenStrand,
    plan_order,
    stacked,
)

_CHUNK_TOKENS = 4
"""New tokens between two pieces of a stream."""


class QueueFullError(RuntimeError):
    """As many motions wait as may."""


class ClosingError(RuntimeError):
    """The engine takes nothing new, or gives back what it cannot finish."""


class CancelledError(RuntimeError):
    """The client has cancelled."""


@dataclass
class EngineCounts:
    """What an engine has done since its start, and does now."""

    waiting: int = 0
    running: int = 0
    steps: int = 0
    rows: int = 0  # summed over steps
    motions: int = 0
    failures: int = 0


class Ticket:
    """A request that an engine works on; `future` gives its motions, or the error."""

    def __init__(self, engine: Engine, plan: Plan, deadline: float, stream: bool) -> None:
        self.engine, self.plan, self.deadline = engine, plan, deadline
        self.future: Future[list[Motion]] = Future()
        self.outputs: list[Any] = [None] * len(plan.strands)
        self.left = len(plan.strands)
        self.tokens: queue.SimpleQueue[Tensor | Motion | None] | None = queue.SimpleQueue() if stream else None
        self.begun = False  # a client may have seen tokens of it

    def cancel(self) -> None:
        """Stop working on it; its rows leave before the next step."""
        self.fail(CancelledError("request was cancelled by the client"))
        self.engine.wake()

    def fail(self, error: BaseException) -> None:
        """End it with an error, unless it has ended."""
        with contextlib.suppress(InvalidStateError):  # it has ended in this moment
            self.future.set_exception(error)
        if self.tokens is not None:
            self.tokens.put(None)

    @property
    def dropped(self) -> bool:
        """Whether nothing more is to be done for it."""
        return self.future.done()

    def pieces(self) -> Iterator[Motion]:
        """The pieces of a streamed motion, as soon as they are there; leaving the loop cancels.

        Raises:
            RuntimeError: a subclass, or `TimeoutError`, if it was cancelled, or an error ended it.
        """
        pipe = self.engine.pipe
        try:
            if isinstance(self.plan.strands[0], TokenStrand) and isinstance(pipe, CodesPipeline):
                yield from pipe.pieces(self._steps(), self.plan.caption, self.plan.frames, _CHUNK_TOKENS)
            else:
                yield from self.future.result()
            if self.future.done() and self.future.exception() is not None:
                self.future.result()
        finally:
            self.cancel()

    def _steps(self) -> Iterator[Tensor]:
        """The tokens `[1]` (or latents `[1, Q]`) of the motion while they come."""
        assert self.tokens is not None
        while (token := self.tokens.get()) is not None:
            yield token[None]  # type: ignore[index]


@dataclass(eq=False)
class _Task:
    """A strand of a ticket in the engine."""

    ticket: Ticket
    place: int  # among the ticket's strands
    part: int = 0
    made: list[Tensor] = field(default_factory=list)
    again: bool = False  # it was begun again after a failure

    @property
    def strand(self) -> Strand:
        return self.ticket.plan.strands[self.place]


class Engine:
    """Works on the requests of many clients for one pipeline."""

    def __init__(self, pipe: MotionPipeline, limits: EngineLimits | None = None) -> None:
        self.pipe, self.limits, self.counts = pipe, limits or EngineLimits(), EngineCounts()
        self._batch = self._new_batch()
        self._changed = threading.Condition()
        self._waiting: deque[_Task] = deque()
        self._rows: dict[Row, _Task] = {}
        self._closing = self._stopped = self._busy = False
        self._finishing = ThreadPoolExecutor(2, "motionmillion-finish")
        self._thread = threading.Thread(target=self._run, name="motionmillion-engine", daemon=True)
        self._thread.start()

    def submit(self, order: Order | Plan, stream: bool = False) -> Ticket:
        """Begin to work on an order; returns at once.

        Args:
            stream: the one motion is read with `Ticket.pieces`.

        Raises:
            ValueError: for orders that the model refuses.
            QueueFullError, ClosingError: if there is no room, or the engine is closing.
        """
        plan = order if isinstance(order, Plan) else plan_order(self.pipe, order)
        if stream and len(plan.strands) != 1:
            raise ValueError(f"samples must be 1 for a stream, without path or speed, got {len(plan.strands)} motions")
        if len(plan.strands) > self.limits.waiting:
            raise ValueError(
                f"samples and candidates must be at most {self.limits.waiting} motions together, got "
                f"{len(plan.strands)}; ask for fewer at a time"
            )
        ticket = Ticket(self, plan, time.monotonic() + self.limits.seconds, stream)
        with self._changed:
            if self._closing:
                raise ClosingError("the service is shutting down; try another instance")
            if len(self._waiting) + len(plan.strands) > self.limits.waiting:
                raise QueueFullError(f"{len(self._waiting)} motions are waiting; try again later")
            self._waiting.extend(_Task(ticket, place) for place in range(len(plan.strands)))
            self._changed.notify_all()
        return ticket

    def wake(self) -> None:
        """Let the engine see that a ticket has changed."""
        with self._changed:
            self._changed.notify_all()

    @property
    def continuous(self) -> bool:
        """Whether motions join and leave a running batch."""
        return self._batch is not None

    @property
    def open(self) -> bool:
        """Whether it takes orders."""
        return not self._closing and self._thread.is_alive()

    def close(self, drain: float = 0.0) -> None:
        """Take nothing new, finish what is there for `drain` seconds, and give the rest back with `ClosingError`."""
        until = time.monotonic() + drain
        with self._changed:
            self._closing = True
            while (self._waiting or self._rows or self._busy) and time.monotonic() < until:
                self._changed.wait(min(0.1, max(until - time.monotonic(), 0.001)))
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(timeout=30.0)
        self._finishing.shutdown(wait=True)

    # the engine's thread

    def _new_batch(self) -> ContinuousBatch | None:
        if isinstance(self.pipe, CodesPipeline) and supported(self.pipe.lm):
            return ContinuousBatch(self.pipe.lm)
        return None

    def _run(self) -> None:
        with torch.no_grad():
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._waiting or self._rows or self._stopped, timeout=1.0)
                    if self._stopped:
                        break
                    self._busy = True
                try:
                    self._drop()
                    self._begin()
                    if self._rows:
                        self._step()
                except Exception as error:  # the thread must live on, whatever happens
                    self._restart(error)
                self._count()
        error = ClosingError("the service has shut down before this was finished; try another instance")
        for task in [*self._waiting, *self._rows.values()]:
            task.ticket.fail(error)
        self._waiting.clear()
        self._rows.clear()
        self._count()

    def _count(self) -> None:
        with self._changed:
            self._busy = False
            self.counts.waiting, self.counts.running = len(self._waiting), len(self._rows)
            self._changed.notify_all()

    def _drop(self) -> None:
        """Let go of what was cancelled or takes too long."""
        now = time.monotonic()
        with self._changed:
            tasks = [*self._waiting, *self._rows.values()]
        for ticket in {task.ticket for task in tasks if task.ticket.deadline < now}:
            ticket.fail(TimeoutError(f"request must be done in {self.limits.seconds:g} seconds; ask for less"))
        with self._changed:
            self._waiting = deque(task for task in self._waiting if not task.ticket.dropped)
        for row, task in list(self._rows.items()):
            if task.ticket.dropped and self._batch is not None:
                self._batch.leave(row)
                del self._rows[row]

    def _begin(self) -> None:
        """Begin with what waits, first come first served, as far as there is room."""
        joining: list[_Task] = []
        while (task := self._next(len(joining))) is not None:
            if isinstance(task.strand, TokenStrand):
                joining.append(task)
            elif isinstance(task.strand, SampleStrand):
                self._sample(task)
            else:
                self._call(task, task.strand)
        if joining:
            self._join(joining)

    def _next(self, joining: int) -> _Task | None:
        with self._changed:
            if not self._waiting:
                return None
            if isinstance(self._waiting[0].strand, TokenStrand) and len(self._rows) + joining >= self.limits.rows:
                return None
            return self._waiting.popleft()

    def _join(self, tasks: list[_Task]) -> None:
        """Let tasks join the batch with their next part; one that cannot does not stop the others."""
        try:
            self._admit(tasks)
        except Exception as error:
            if len(tasks) == 1:
                tasks[0].ticket.fail(error)
                return
            for task in tasks:
                self._join([task])

    def _admit(self, tasks: list[_Task]) -> None:
        assert self._batch is not None
        parts = [_part(task) for task in tasks]
        texts = list(dict.fromkeys(part.text for part in parts))
        features, mask = self.pipe.read(texts)
        rows = []
        for task, part in zip(tasks, parts, strict=True):
            strand, place = task.strand, texts.index(part.text)
            assert isinstance(strand, TokenStrand)
            words = int(mask[place].nonzero()[-1]) + 1  # without the padding for longer texts
            prefix = stacked(task.made[-strand.overlap :]) if task.part else None
            text = features[place, :words], mask[place, :words]
            rows.append(Row(*text, strand.sampling, part.seed, part.most, part.least, prefix))
        self._batch.join(rows)
        with self._changed:
            self._rows.update(zip(rows, tasks, strict=True))

    def _step(self) -> None:
        assert self._batch is not None
        self.counts.steps, self.counts.rows = self.counts.steps + 1, self.counts.rows + len(self._rows)
        try:
            made = self._batch.step()
        except Exception as error:
            self._restart(error)
            return
        following = []
        for row, token, ended in made:
            task = self._rows[row]
            if token is not None:
                task.made.append(token)
                if task.ticket.tokens is not None:
                    task.ticket.begun = True
                    task.ticket.tokens.put(token)
            if not ended:
                continue
            task.part += 1
            assert isinstance(task.strand, TokenStrand)
            if task.part < len(task.strand.parts):
                following.append(task)
            else:
                self._done(task, stacked(task.made))
            with self._changed:
                del self._rows[row]
        if following:
            self._join(following)

    def _restart(self, error: Exception) -> None:
        """A new batch after a failed step; motions are begun again once, unless a client has seen some of them."""
        self.counts.failures += 1
        self._batch = self._new_batch()
        with self._changed:
            tasks, self._rows = list(self._rows.values()), {}
        for task in reversed(tasks):
            if task.again or task.ticket.begun:
                task.ticket.fail(error)
                continue
            task.again, task.part, task.made = True, 0, []
            with self._changed:
                self._waiting.appendleft(task)

    def _sample(self, first: _Task) -> None:
        """Sample the motion of a task, and those that wait for the same options, in one batch."""
        tasks = [first]
        with self._changed:
            for task in list(self._waiting):
                if len(tasks) < self.limits.rows and task.strand == _alike(first, task):
                    self._waiting.remove(task)
                    tasks.append(task)
        strand = first.strand
        assert isinstance(strand, SampleStrand)
        texts = [task.strand.prompt for task in tasks]  # type: ignore[union-attr]
        seeds = [task.strand.seed for task in tasks]  # type: ignore[union-attr]
        self.counts.steps, self.counts.rows = self.counts.steps + 1, self.counts.rows + len(tasks)
        try:
            motions = self.pipe.sample(texts, seeds, **strand.arguments)
        except Exception as error:
            for task in tasks:
                task.ticket.fail(error)
            return
        for task, motion in zip(tasks, motions, strict=True):
            self._done(task, motion)

    def _call(self, task: _Task, strand: CallStrand) -> None:
        try:
            self._done(task, strand.call())
        except Exception as error:
            task.ticket.fail(error)

    def _done(self, task: _Task, output: Any) -> None:
        ticket = task.ticket
        ticket.outputs[task.place] = output
        ticket.left -= 1
        if ticket.tokens is not None and isinstance(task.strand, TokenStrand):
            self._settle(ticket, [], 1)  # the client makes the motion of the tokens
            ticket.tokens.put(None)
        elif not ticket.left:
            self._finishing.submit(self._finish, ticket)

    def _finish(self, ticket: Ticket) -> None:
        if ticket.dropped:
            return
        try:
            with torch.no_grad():
                motions = ticket.plan.finish(ticket.outputs)
        except Exception as error:
            ticket.fail(error)
            return
        self._settle(ticket, motions, len(motions))

    def _settle(self, ticket: Ticket, motions: list[Motion], count: int) -> None:
        with self._changed:
            self.counts.motions += count
        try:
            ticket.future.set_result(motions)
        except InvalidStateError:  # it was cancelled in this moment
            with self._changed:
                self.counts.motions -= count


def _part(task: _Task) -> Part:
    """The part of its motion that a task is at."""
    assert isinstance(task.strand, TokenStrand)
    return task.strand.parts[task.part]


def _alike(first: _Task, task: _Task) -> Strand | None:
    """The strand of `task` if it can be sampled together with `first`."""
    both = (first.strand, task.strand)
    alike = all(isinstance(one, SampleStrand) for one in both) and both[0].key == both[1].key  # type: ignore[union-attr]
    return task.strand if alike else None
