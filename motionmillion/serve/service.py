"""What the routes share: engines by name, settings, and waiting for a result while the client is there.

motions = await service.motions(request, "mini", order)
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import anyio
from starlette.requests import Request

from motionmillion.motion import Motion
from motionmillion.pipeline.codes import CodesPipeline
from motionmillion.pipeline.dit import DiTPipeline
from motionmillion.serve.answers import formats
from motionmillion.serve.engine import Engine, QueueFullError, Ticket
from motionmillion.serve.metrics import Metrics
from motionmillion.serve.orders import Order, Plan
from motionmillion.serve.problems import Problem
from motionmillion.serve.settings import Settings

Result = TypeVar("Result")

_LOOK = 0.25
"""Seconds between two looks at whether a client is still there."""


class Service:
    """The engines and limits of a running service."""

    def __init__(self, engines: Mapping[str, Engine], settings: Settings, metrics: Metrics) -> None:
        self.engines, self.settings, self.metrics = dict(engines), settings, metrics
        self.formats = formats()
        self._threads = anyio.CapacityLimiter(2)  # reading and writing of files
        self.waiters = anyio.CapacityLimiter(settings.max_queue + settings.max_rows)  # threads that wait for pieces

    @property
    def default(self) -> str:
        """The model of requests that name none."""
        return next(iter(self.engines))

    def edits(self, name: str) -> bool:
        """Whether a model changes frames and joints."""
        return isinstance(self.engines[name].pipe, DiTPipeline)

    @property
    def editor(self) -> str:
        """The model of edits that name none: the first one that can, else the default, which refuses."""
        return next(filter(self.edits, self.engines), self.default)

    def name(self, name: str | None) -> str:
        """The checked name of a model; raises `ValueError` for one that is not served."""
        if name is not None and name not in self.engines:
            raise ValueError(f"model must be one of {list(self.engines)}, got {name!r}")
        return name or self.default

    def engine(self, name: str | None) -> Engine:
        """The engine of a model."""
        return self.engines[self.name(name)]

    def check_length(self, seconds: float, samples: int = 1) -> None:
        """Raise `ValueError` for more than the settings allow."""
        if seconds > self.settings.max_seconds:
            raise ValueError(f"seconds must be at most {self.settings.max_seconds:g} in all, got {seconds:g}")
        if samples > self.settings.max_samples:
            raise ValueError(f"samples must be at most {self.settings.max_samples}, got {samples}")

    def submit(self, name: str | None, order: Order | Plan, stream: bool = False) -> Ticket:
        """Begin to work on an order."""
        try:
            return self.engine(name).submit(order, stream)
        except QueueFullError:
            self.metrics.refused.labels("queue").inc()
            raise

    async def motions(self, request: Request, name: str | None, order: Order | Plan) -> list[Motion]:
        """The motions of an order; if the client leaves, the work on it ends.

        Raises:
            RuntimeError: what `Ticket.future` raises.
        """
        ticket = self.submit(name, order)
        future = asyncio.wrap_future(ticket.future)
        try:
            while not future.done():
                await asyncio.wait({future}, timeout=_LOOK)
                if not future.done() and await request.is_disconnected():
                    ticket.cancel()
            return await future
        finally:
            if not ticket.future.done():
                ticket.cancel()

    async def in_thread(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Run work that takes the processor beside the server's loop, a few at a time."""
        return await anyio.to_thread.run_sync(lambda: work(*arguments), limiter=self._threads)

    def streams(self, name: str) -> bool:
        """Whether pieces of a model's motions come before the whole is done."""
        pipe = self.engines[name].pipe
        return isinstance(pipe, CodesPipeline) and self.engines[name].continuous

    @property
    def ready(self) -> bool:
        """Whether all models take requests."""
        return all(engine.open for engine in self.engines.values())

    def check_format(self, format: str) -> None:
        """Raise `Problem` for a format that this installation cannot write."""
        if format not in self.formats:
            raise Problem(422, f"format must be one of {self.formats}, got {format!r}")

    def close(self) -> None:
        """Close the engines together, each within the time to drain."""
        closing = [threading.Thread(target=one.close, args=(self.settings.drain,)) for one in self.engines.values()]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join()
