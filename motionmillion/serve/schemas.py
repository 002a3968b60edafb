"""What clients send and get, as pydantic models; the OpenAPI page is made of them.

Letters: T frames, J joints.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from motionmillion.io.write_options import Shown as Body
from motionmillion.pipeline.checks import MAX_SECONDS
from motionmillion.serve.orders import Order

Format = Literal["json", "npz", "bvh", "glb", "html", "scene"]
"""`scene` is what the player of the web page takes."""


Number = Annotated[float, Field(allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1, max_length=1000)]
Option = bool | int | Number | Annotated[str, Field(max_length=100)] | Annotated[list[Number], Field(max_length=4)]

MOST_SAMPLES = 64
MOST_PARTS = 64
MOST_POINTS = 200


class Strict(BaseModel):
    """Unknown fields are errors, and texts are not taken for numbers."""

    model_config = ConfigDict(extra="forbid", strict=True)


class TimelinePart(Strict):
    """A part of a timeline."""

    prompt: Text = Field(examples=["a person walks forward"])
    seconds: Number = Field(gt=0, le=MAX_SECONDS, examples=[4.0])


class Asked(Strict):
    """What both kinds of request have in common."""

    prompt: Text | None = Field(None, description="What the person does.", examples=["a person waves"])
    timeline: list[TimelinePart] | None = Field(
        None, min_length=1, max_length=MOST_PARTS, description="Parts of one motion.", examples=[None]
    )
    seconds: Number | None = Field(
        None, gt=0, le=MAX_SECONDS, description="Length; without it the model decides.", examples=[4.0]
    )
    seed: int = Field(0, ge=0, lt=2**63, description="The same seed gives the same motion.")
    repair: bool = Field(False, description="Hold feet that touch the floor, and steady the movement.")
    model: str | None = Field(None, max_length=200, description="A name of /v1/models; the first one without it.")
    body: Body = Field("human", description="The body of pages and GLB files.")
    options: dict[str, Option | None] = Field(
        default_factory=dict,
        max_length=32,
        description="Options of the model, see /v1/models, such as temperature.",
        examples=[{"temperature": 0.8, "guidance_scale": 2.5}],
    )

    def order(self, **more: Any) -> Order:
        """The order for an engine; raises `ValueError` for one without sense."""
        parts = tuple((part.prompt, part.seconds) for part in self.timeline or ())
        options = {name: value for name, value in self.options.items() if value is not None}
        return Order(self.prompt, parts, self.seconds, seed=self.seed, options=options, **more)

    @property
    def asked_seconds(self) -> float:
        """Length that is asked for, 0 if the model decides."""
        return sum(part.seconds for part in self.timeline) if self.timeline else self.seconds or 0.0


class MotionRequest(Asked):
    """A request for motions as files or numbers."""

    samples: int = Field(1, ge=1, le=MOST_SAMPLES, description="Motions, each with a seed of its own.")
    format: Format = Field("json", description="Several npz, bvh or glb files come as one zip file.")
    path: list[Annotated[list[Number], Field(min_length=2, max_length=3)]] | None = Field(
        None,
        min_length=2,
        max_length=MOST_POINTS,
        description="Points on the floor, [x, z] in metres or [seconds, x, z], along which the person goes.",
        examples=[None],
    )
    speed: Number | None = Field(
        None, ge=0, le=20, description="Metres a second, straight on or along the path.", examples=[None]
    )
    turn: Number | None = Field(
        None, ge=-3600, le=3600, description="Turn in degrees, left if positive.", examples=[None]
    )
    facing: Number | None = Field(
        None, ge=-360, le=360, description="DiT: direction of the body, degrees.", examples=[None]
    )

    def order(self, **more: Any) -> Order:
        path = None if self.path is None else tuple(tuple(point) for point in self.path)
        way = dict(path=path, speed=self.speed, turn=self.turn, facing=self.facing)
        return super().order(samples=self.samples, **way, **more)


class StreamRequest(Asked):
    """A request for a motion that is sent while it is being made."""

    format: Literal["json", "scene"] = Field("json", description="Of the pieces.")


class MotionAnswer(BaseModel):
    """A motion as numbers."""

    caption: str = Field(examples=["a person waves"])
    seed: int | None = Field(None, description="With samples 1, this seed gives the same motion.", examples=[0])
    fps: float = Field(examples=[30.0])
    frames: int = Field(examples=[120])
    seconds: float = Field(examples=[4.0])
    joints: list[str] = Field(description="Names of the joints `[J]`.", examples=[["pelvis"]])
    parents: list[int] = Field(description="Index of each joint's parent, -1 for the root `[J]`.", examples=[[-1]])
    offsets: list[list[float]] = Field(
        description="Of each joint from its parent at rest, metres `[J, 3]`.", examples=[[[0.0, 0.0, 0.0]]]
    )
    rotations: list[list[list[float]]] = Field(
        description="Local rotations as quaternions x, y, z, w `[T, J, 4]`.", examples=[[[[0.0, 0.0, 0.0, 1.0]]]]
    )
    root: list[list[float]] = Field(
        description="Position of the pelvis, metres, y up `[T, 3]`.", examples=[[[0.0, 0.95, 0.0]]]
    )


class MotionsAnswer(BaseModel):
    """Motions as numbers."""

    model: str | None = Field(description="None where no model took part.", examples=["mini"])
    seed: int | None = Field(examples=[0])
    motions: list[MotionAnswer]


class ModelAnswer(BaseModel):
    """A model of the service."""

    name: str = Field(examples=["mini"])
    kind: str = Field(description="language model or DiT", examples=["language model"])
    fps: float = Field(examples=[30.0])
    streams: bool = Field(description="Whether pieces come before the whole is done.")
    edits: bool = Field(description="Whether /v1/edit takes it.")
    defaults: dict[str, Any] = Field(description="Options and their defaults.", examples=[{"temperature": 0.8}])


class ModelsAnswer(BaseModel):
    """The models of the service, the one that is taken by default first."""

    models: list[ModelAnswer]
    formats: list[str] = Field(examples=[["json", "bvh"]])


class StateAnswer(BaseModel):
    """Whether the service works."""

    status: Literal["ok", "ready", "closing"]
