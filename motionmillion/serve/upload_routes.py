"""Routes that take motion files: /v1/continue, /v1/inbetween, /v1/edit, /v1/retarget, /v1/convert.

They are forms (multipart/form-data). The first three work on the model by themselves, between the steps of the others;
the last two need no model.
"""

import json
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Request, Response, UploadFile

from motionmillion.configuration import unknown_key_error
from motionmillion.io.characters import read_character, retarget_file
from motionmillion.kinematics.target_options import RetargetOptions
from motionmillion.motion import Motion
from motionmillion.pipeline.checks import MAX_SECONDS
from motionmillion.pipeline.options import KINDS
from motionmillion.serve.answers import MEDIA, FileAnswer
from motionmillion.serve.orders import OF_SERVER, plan_call
from motionmillion.serve.problems import Problem, safe_text
from motionmillion.serve.routes import FILES, PROBLEMS, answered, as_download
from motionmillion.serve.schemas import Body, Format, MotionRequest, MotionsAnswer
from motionmillion.serve.service import Service
from motionmillion.serve.uploads import Uploads

Prompt = Annotated[str, Form(min_length=1, max_length=1000, examples=["a person turns around"])]
Seconds = Annotated[float, Form(gt=0, le=MAX_SECONDS, allow_inf_nan=False, description="Of the new motion.")]
Upload = Annotated[UploadFile, File(description=".bvh, .glb or .npz")]
Motions: dict[int | str, dict[str, Any]] = {200: {"description": "The motion, as `format` asks", "content": FILES}}

MOST_CAPTION = 1000
"""Characters of a caption."""

KNOWN = set().union(*(kind.names() for kind in KINDS)) - set(OF_SERVER)
"""Options that a form may hold; the model refuses those of other kinds."""


@dataclass(frozen=True)
class Common:
    """Fields of all these forms."""

    seed: int
    model: str | None
    format: Format
    body: Body
    repair: bool
    options: dict[str, Any]

    def asked(self, prompt: str) -> MotionRequest:
        """How the answer is to look."""
        names = ("seed", "format", "body", "repair")
        return MotionRequest.model_validate({"prompt": prompt, **{name: getattr(self, name) for name in names}})


def common(
    seed: Annotated[int, Form(ge=0, lt=2**63)] = 0,
    model: Annotated[str | None, Form(max_length=200, description="A name of /v1/models.")] = None,
    format: Annotated[Format, Form()] = "json",
    body: Annotated[Body, Form()] = "human",
    repair: Annotated[bool, Form()] = False,
    options: Annotated[
        str, Form(max_length=2000, description="Options of the model as a JSON object.", examples=["{}"])
    ] = "{}",
) -> Common:
    """Read the fields of all these forms."""
    try:
        given = json.loads(options)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise Problem(422, f'options must be a JSON object such as {{"temperature": 0.8}}, got {options[:60]!r}')
    if set(given) - KNOWN:
        raise unknown_key_error("options", set(given) - KNOWN, KNOWN)
    return Common(seed, model, format, body, repair, given)


Fields = Annotated[Common, Depends(common)]


def upload_routes(service: Service) -> APIRouter:
    """The routes of a service."""
    router = APIRouter(tags=["motions"], responses=PROBLEMS)

    async def read(**files: UploadFile) -> dict[str, Motion]:
        """The motions in uploaded files, by field."""
        with Uploads(service.settings) as uploads:
            found = {}
            for field, file in files.items():
                content = await file.read()
                found[field] = await service.in_thread(uploads.motion, field, content, file.filename)
            return found

    async def made(request: Request, fields: Common, prompt: str, call: Any) -> Response:
        """The answer with the motion that `call` makes."""
        asked, name = fields.asked(prompt), service.name(fields.model)
        service.check_format(asked.format)
        motions = await service.motions(request, name, plan_call(call))
        return await service.in_thread(answered, motions, asked, name, [fields.seed])

    @router.post("/v1/continue", summary="Continue a motion", response_model=MotionsAnswer, responses=Motions)
    async def continued(
        request: Request,
        fields: Fields,
        motion: Upload,
        prompt: Prompt,
        seconds: Seconds = 4.0,
        keep: Annotated[int | None, Form(ge=1, description="Frames of the motion to keep; all without it.")] = None,
    ) -> Response:
        pipe = service.engine(fields.model).pipe
        prefix = _beginning((await read(motion=motion))["motion"], keep)
        how: dict[str, Any] = dict(seconds=seconds, seed=fields.seed, prefix=prefix, **fields.options)
        return await made(request, fields, prompt, lambda: pipe(prompt, **how)[0])

    @router.post("/v1/inbetween", summary="Join two motions", response_model=MotionsAnswer, responses=Motions)
    async def inbetween(
        request: Request,
        fields: Fields,
        start: Upload,
        end: Upload,
        prompt: Prompt,
        seconds: Seconds = 2.0,
    ) -> Response:
        pipe = service.engine(fields.model).pipe
        given = await read(start=start, end=end)
        how: dict[str, Any] = dict(**given, seconds=seconds, seed=fields.seed, **fields.options)
        return await made(request, fields, prompt, lambda: pipe.inbetween(prompt, **how))

    @router.post("/v1/edit", summary="Change frames or joints (DiT)", response_model=MotionsAnswer, responses=Motions)
    async def edit(
        request: Request,
        fields: Fields,
        motion: Upload,
        prompt: Prompt,
        first: Annotated[int | None, Form(ge=0, description="First frame to change.")] = None,
        stop: Annotated[int | None, Form(ge=1, description="The frame after the last one.")] = None,
        joints: Annotated[list[str] | None, Form(max_length=22, description="Joints or groups to change.")] = None,
        keep_place: Annotated[bool, Form(description="Leave the frames after the change where they are.")] = True,
    ) -> Response:
        fields = replace(fields, model=fields.model or service.editor)
        pipe = service.engine(fields.model).pipe
        if (first is None) != (stop is None):
            raise Problem(422, "first and stop must come together, got one of them alone")
        given = await read(motion=motion)
        frames = None if first is None or stop is None else (first, stop)
        how: dict[str, Any] = dict(frames=frames, joints=joints or None, keep_place=keep_place, seed=fields.seed)
        how |= fields.options
        return await made(request, fields, prompt, lambda: pipe.edit(given["motion"], prompt, **how))

    @router.post(
        "/v1/retarget",
        summary="Put a motion on a character",
        response_class=Response,
        responses={200: {"description": "The character with the motion", "content": {"model/gltf-binary": {}}}},
    )
    async def retarget(
        motion: Upload,
        character: Annotated[UploadFile, File(description="A .glb file with a skin, or .bvh")],
        format: Annotated[
            str | None, Form(pattern="^(glb|bvh)$", description="glb or bvh; that of the character.")
        ] = None,
        feet: Annotated[bool, Form(description="Place the feet by inverse kinematics.")] = True,
        hands: Annotated[bool, Form(description="Place the hands too.")] = False,
    ) -> Response:
        source, target = (await motion.read(), motion.filename), (await character.read(), character.filename)
        options = RetargetOptions(feet=feet, hands=hands)
        return await service.in_thread(_retargeted, service, source, target, format, options)

    @router.post("/v1/convert", summary="A motion in another format", response_model=MotionsAnswer, responses=Motions)
    async def convert(
        motion: Upload,
        format: Annotated[Format, Form()] = "json",
        body: Annotated[Body, Form()] = "human",
        repair: Annotated[bool, Form()] = False,
        caption: Annotated[str, Form(max_length=MOST_CAPTION, description="What the motion shows.")] = "",
    ) -> Response:
        service.check_format(format)
        given = (await read(motion=motion))["motion"]
        captioned = given.replace(caption=safe_text(caption.strip() or given.caption[:MOST_CAPTION]))
        asked = MotionRequest.model_construct(seed=None, format=format, body=body, repair=repair)
        return await service.in_thread(answered, [captioned], asked, None, [None])

    return router


def _beginning(motion: Motion, keep: int | None) -> Motion:
    """The first frames of a motion; raises `Problem` for more than it has."""
    if keep is not None and keep > motion.num_frames:
        raise Problem(422, f"keep must be at most {motion.num_frames}, the frames of the motion, got {keep}")
    return motion.slice(0, keep or motion.num_frames)


def _retargeted(
    service: Service,
    source: tuple[bytes, str | None],
    target: tuple[bytes, str | None],
    format: str | None,
    options: RetargetOptions,
) -> Response:
    """The file of a character with a motion."""
    with Uploads(service.settings) as uploads:
        motion = uploads.motion("motion", *source)
        path = uploads.keep("character", *target, suffixes=(".glb", ".bvh"))
        suffix = f".{format}" if format else path.suffix
        written = path.with_name(f"retargeted{suffix}")
        try:
            # a client that reads one animation of the file reads this one, not one that the character came with
            retarget_file(motion, read_character(path), written, options=options, first=True)
        except Exception as error:
            raise uploads.unreadable("character", error) from error
        return as_download(FileAnswer(written.read_bytes(), MEDIA[suffix[1:]], written.name))
