"""The route that sends a motion while it is being made: /v1/motions/stream, as server-sent events.

    event: start       {"model": "mini", "caption": "a person waves", "seed": 0}
    event: piece       {"frames": 16, "motion": {...}}         as many as it takes
    event: done        {"frames": 120, "seconds": 4.0, "motion": {...}}     the whole
    event: error       {"type": "timeout", "message": "..."}   instead of done

Unusual: it is a POST, so browsers read it with fetch, not with EventSource. A client that leaves frees its row of the
batch. With `repair` pieces come about a second later, because repair looks ahead.
"""

import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from motionmillion.kinematics.repair import repaired_stream
from motionmillion.motion import Motion
from motionmillion.serve.answers import motion_answer, scene_answer
from motionmillion.serve.engine import Ticket
from motionmillion.serve.problems import Problem, problem_of, safe_text
from motionmillion.serve.routes import PROBLEMS
from motionmillion.serve.schemas import StreamRequest
from motionmillion.serve.service import Service

log = logging.getLogger("motionmillion.serve")

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def stream_routes(service: Service) -> APIRouter:
    """The route of a service."""
    router = APIRouter(tags=["motions"], responses=PROBLEMS)

    @router.post(
        "/v1/motions/stream",
        summary="Make a motion, and send its frames while it is made",
        response_class=StreamingResponse,
        responses={200: {"description": "Events start, piece, done, error", "content": {"text/event-stream": {}}}},
    )
    async def stream(asked: StreamRequest, request: Request) -> StreamingResponse:
        name = service.name(asked.model)
        service.check_length(asked.asked_seconds)
        order = asked.order()
        ticket = service.submit(name, order, stream=True)
        start = {"model": name, "caption": order.caption, "seed": asked.seed}
        return StreamingResponse(
            _events(service, ticket, asked, start), media_type="text/event-stream", headers=HEADERS
        )

    return router


async def _events(service: Service, ticket: Ticket, asked: StreamRequest, start: dict[str, Any]) -> AsyncIterator[str]:
    began, pieces = time.monotonic(), []
    made = repaired_stream(ticket.pieces()) if asked.repair else ticket.pieces()
    parts = [(part.prompt, part.seconds) for part in asked.timeline or ()]
    try:
        yield _event("start", start)
        while (piece := await _next(service, made)) is not None:
            if not pieces:
                service.metrics.first_piece.observe(time.monotonic() - began)
            pieces.append(piece)
            yield _event("piece", {"frames": piece.num_frames, "motion": _numbers(piece, asked)})
        whole = Motion.join(pieces)
        told = {"frames": whole.num_frames, "seconds": whole.seconds, "motion": _numbers(whole, asked, parts)}
        yield _event("done", told)
    except Exception as error:
        problem = problem_of(error)
        if problem is None:
            log.exception("stream failed")
            problem = Problem(500, "the service failed at this; the operator finds the reason in the log")
        yield _event("error", {"type": problem.type, "message": safe_text(problem.message)})
    finally:
        ticket.cancel()  # without effect on one that has ended


async def _next(service: Service, made: Iterator[Motion]) -> Motion | None:
    """The next piece; a client that leaves does not wait for it."""
    return await anyio.to_thread.run_sync(lambda: next(made, None), abandon_on_cancel=True, limiter=service.waiters)


def _numbers(motion: Motion, asked: StreamRequest, parts: list[tuple[str, float]] | None = None) -> dict[str, Any]:
    if asked.format == "scene":
        return scene_answer([motion], asked.body, parts or ())
    return motion_answer(motion, asked.seed)


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
