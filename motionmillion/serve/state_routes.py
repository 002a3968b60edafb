"""Routes that tell how the service is: /healthz, /readyz, /metrics, /v1/models."""

from typing import Any

from fastapi import APIRouter, Response

from motionmillion.serve.orders import OF_SERVER
from motionmillion.serve.problems import Problem, ProblemAnswer
from motionmillion.serve.schemas import ModelAnswer, ModelsAnswer, StateAnswer
from motionmillion.serve.service import Service


def state_routes(service: Service) -> APIRouter:
    """The routes of a service."""
    router = APIRouter()

    @router.head("/healthz", include_in_schema=False)
    @router.get("/healthz", tags=["state"], summary="Whether the process lives")
    def healthz() -> StateAnswer:
        return StateAnswer(status="ok")

    @router.head("/readyz", include_in_schema=False)
    @router.get(
        "/readyz",
        tags=["state"],
        summary="Whether requests are taken",
        responses={503: {"model": ProblemAnswer, "description": "Not ready"}},
    )
    def readyz() -> StateAnswer:
        if not service.ready:
            raise Problem(503, "the service is shutting down; try another instance", type="closing")
        return StateAnswer(status="ready")

    @router.get(
        "/metrics",
        tags=["state"],
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}},
    )
    def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @router.get("/v1/models", tags=["motions"], summary="Models, their options and formats", responses=GUARDED)
    def models() -> ModelsAnswer:
        return ModelsAnswer(models=[_described(service, name) for name in service.engines], formats=service.formats)

    return router


GUARDED: dict[int | str, dict[str, Any]] = {
    401: {"model": ProblemAnswer, "description": "API key missing or wrong"},
    422: {"model": ProblemAnswer, "description": "A value is out of range"},
    429: {"model": ProblemAnswer, "description": "Too many requests a minute"},
}
"""Answers that every address under /v1/ may give."""


def _described(service: Service, name: str) -> ModelAnswer:
    pipe = service.engines[name].pipe
    defaults = {key: value for key, value in pipe.defaults.items() if key not in OF_SERVER}
    return ModelAnswer(
        name=name,
        kind=pipe.noun.removeprefix("a "),
        fps=pipe.fps,
        streams=service.streams(name),
        edits=service.edits(name),
        defaults=defaults,
    )
