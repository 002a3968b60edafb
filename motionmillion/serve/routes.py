"""Routes that make motions: /v1/motions."""

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from motionmillion.kinematics.repair import repaired
from motionmillion.motion import Motion
from motionmillion.serve.answers import MEDIA, FileAnswer, file_answer, motion_answer, scene_answer
from motionmillion.serve.problems import ProblemAnswer
from motionmillion.serve.schemas import MotionRequest, MotionsAnswer
from motionmillion.serve.service import Service
from motionmillion.serve.state_routes import GUARDED

PROBLEMS: dict[int | str, dict[str, Any]] = {
    **GUARDED,
    400: {"model": ProblemAnswer, "description": "The body cannot be read"},
    413: {"model": ProblemAnswer, "description": "The body is too large"},
    503: {"model": ProblemAnswer, "description": "The queue is full, or the service is stopping"},
    504: {"model": ProblemAnswer, "description": "The request took too long"},
}
"""Answers that every address that makes motions may give."""

FILES: dict[str, Any] = {media.split(";")[0]: {} for media in MEDIA.values()}
EXAMPLES = {
    "prompt": {"summary": "A sentence", "value": {"prompt": "a person waves", "seconds": 4, "seed": 0}},
    "timeline": {
        "summary": "A motion of several parts, as a page",
        "value": {
            "timeline": [
                {"prompt": "a person walks forward", "seconds": 4},
                {"prompt": "a person jumps", "seconds": 2},
            ],
            "format": "html",
        },
    },
    "takes": {
        "summary": "Three takes for Blender, repaired",
        "value": {"prompt": "a person dances", "seconds": 5, "samples": 3, "format": "glb", "repair": True},
    },
    "path": {
        "summary": "Along points on the floor",
        "value": {"prompt": "a person walks", "path": [[0, 0], [0, 2], [2, 3]], "format": "bvh"},
    },
}


def motion_routes(service: Service) -> APIRouter:
    """The routes of a service."""
    router = APIRouter(tags=["motions"], responses=PROBLEMS)

    @router.post(
        "/v1/motions",
        summary="Make motions of a prompt or timeline",
        response_model=MotionsAnswer,
        responses={200: {"description": "The motions, as `format` asks", "content": FILES}},
        openapi_extra={"requestBody": {"content": {"application/json": {"examples": EXAMPLES}}}},
    )
    async def motions(asked: MotionRequest, request: Request) -> Response:
        name = service.name(asked.model)
        service.check_length(asked.asked_seconds, asked.samples)
        service.check_format(asked.format)
        order = asked.order()
        made = await service.motions(request, name, order)
        return await service.in_thread(answered, made, asked, name, order.seeds)

    return router


def answered(made: list[Motion], asked: MotionRequest, model: str | None, seeds: list[int | None]) -> Response:
    """The answer with motions, in the format that was asked for."""
    made = [repaired(motion) for motion in made] if asked.repair else made
    parts = [(part.prompt, part.seconds) for part in asked.timeline or ()]
    if asked.format == "json":
        numbers = [motion_answer(motion, seed) for motion, seed in zip(made, seeds, strict=True)]
        return JSONResponse({"model": model, "seed": asked.seed, "motions": numbers})
    if asked.format == "scene":
        scene = scene_answer(made, asked.body, parts)
        return JSONResponse({"model": model, "seeds": seeds, "scene": scene})
    return as_download(file_answer(made, asked.format, asked.body, parts))


def as_download(file: FileAnswer) -> Response:
    """A file that browsers save."""
    headers = {"Content-Disposition": f'attachment; filename="{file.name}"'}
    return Response(file.content, media_type=file.media, headers=headers)
