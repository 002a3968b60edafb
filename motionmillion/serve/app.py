"""The HTTP service: a FastAPI application around engines.

    app = create_app({"mini": MotionPipeline.from_pretrained("mini")}, Settings())
    uvicorn.run(app)                                   # motionmillion serve does this

| address | what |
|---|---|
| GET / | the web page |
| POST /v1/motions | motions of a prompt or timeline, as numbers or files |
| POST /v1/motions/stream | a motion in pieces while it is being made |
| POST /v1/continue, /v1/inbetween, /v1/edit, /v1/retarget, /v1/convert | work on uploaded motions |
| GET /v1/models | models, their options and defaults |
| GET /healthz, /readyz | whether the process lives, and takes requests |
| GET /metrics | for Prometheus |
| GET /openapi.json | description of all this |

Unusual: the application owns the engines; they are made with it, and closed when the server stops.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import anyio
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

import motionmillion
from motionmillion.pipeline import MotionPipeline
from motionmillion.serve.engine import Engine
from motionmillion.serve.guard import Guard
from motionmillion.serve.metrics import Metrics
from motionmillion.serve.page_routes import page_routes
from motionmillion.serve.problems import Problem, invalid_fields
from motionmillion.serve.routes import motion_routes
from motionmillion.serve.service import Service
from motionmillion.serve.settings import Settings
from motionmillion.serve.state_routes import state_routes
from motionmillion.serve.stream_routes import stream_routes
from motionmillion.serve.upload_routes import upload_routes


def create_app(pipelines: Mapping[str, MotionPipeline], settings: Settings | None = None) -> FastAPI:
    """The service of some models, the first of which is the default.

    Raises:
        ValueError: without a model.
    """
    settings = settings or Settings()
    if not pipelines:
        raise ValueError("pipelines must hold at least one model, got none")
    engines = {name: Engine(pipe, settings.engine) for name, pipe in pipelines.items()}
    service = Service(engines, settings, Metrics(engines))

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(service.close)

    app = FastAPI(
        title="motionmillion",
        summary="Text to 3D human motion",
        version=motionmillion.__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    app.add_middleware(Guard, settings=settings, metrics=service.metrics)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_fields)
    app.include_router(page_routes())
    app.include_router(state_routes(service))
    for routes in (motion_routes, stream_routes, upload_routes):
        app.include_router(routes(service))
    return app


async def _answer_http(request: Request, error: Any) -> Response:
    number = request.scope.get("state", {}).get("request", "")
    if isinstance(error, Problem):
        return error.answer(number)
    told = {
        400: "body must be JSON or a form in UTF-8, as the address asks for, got one that cannot be read",
        404: f"address must be one of the service's, got {request.url.path!r}; see /openapi.json",
        405: f"method must be {(error.headers or {}).get('Allow', 'another')} here, got {request.method}",
    }
    message = told.get(error.status_code, str(error.detail))
    return Problem(error.status_code, message, error.headers).answer(number)


async def _answer_fields(request: Request, error: Any) -> Response:
    return invalid_fields(error.errors()).answer(request.scope.get("state", {}).get("request", ""))
