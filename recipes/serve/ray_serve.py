"""The service as a Ray Serve deployment: replicas on one machine or many, more of them under load.

    pip install "motionmillion[serve]" "ray[serve]"
    cd recipes/serve
    serve run ray_serve:application
    serve run ray_serve:application models=mini,big=PATH/TO/pipeline gpus=1 replicas=8

Every replica is the whole service of `motionmillion serve`, with its models, its batches and its limits; Ray Serve's
proxy sends each request to the less busy of two. Arguments are the fields of `Options`; API keys come from the
variable MOTIONMILLION_API_KEYS of the replicas.
Unusual: the file is not called ray.py, which would hide the package of that name. The models are loaded when a replica
starts, not where this runs.
"""

from dataclasses import dataclass, fields
from typing import Any

from ray import serve  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

from motionmillion.cli.serve import read_models


@dataclass(frozen=True)
class Options:
    """What `serve run` takes as NAME=VALUE.

    Raises:
        ValueError: for values out of range.
    """

    models: str = "mini"
    """Models as of `motionmillion serve --model`, separated by commas."""
    replicas: int = 4
    """Most replicas; there is always one."""
    gpus: float = 0.0
    """Graphics cards of a replica; 0.5 puts two on one."""
    cpus: float = 1.0
    """Processors that are set aside for a replica."""
    rows: int = 32
    """Motions that a replica decodes together."""
    target: float = 16.0
    """Requests in progress for each replica; with more there will be more replicas."""

    def __post_init__(self) -> None:
        for name, least in (("replicas", 1), ("gpus", 0), ("cpus", 0), ("rows", 1), ("target", 1)):
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)!r}")
        read_models(self.models.split(","))


def read_options(given: dict[str, Any]) -> Options:
    """Options of the texts of a command line.

    Raises:
        ValueError: for unknown names and values that cannot be read.
    """
    kinds = {field.name: type(field.default) for field in fields(Options)}
    values = {}
    for name, value in given.items():
        if name not in kinds:
            raise ValueError(f"options must be among {sorted(kinds)}, got {name!r}")
        try:
            values[name] = kinds[name](value)
        except ValueError as error:
            raise ValueError(f"{name} must be of type {kinds[name].__name__}, got {value!r}") from error
    return Options(**values)


def application(given: dict[str, Any]) -> Any:
    """What `serve run` runs.

    Raises:
        ValueError: for options that are not as they must be.
    """
    options = read_options(given)

    def build() -> Any:
        """In a replica: load the models and make the service."""
        return service(options)

    deployment = serve.deployment(
        name="motionmillion",
        # a batch and as much again waiting; Ray holds back what is more until a replica has room
        max_ongoing_requests=2 * options.rows,
        autoscaling_config={
            "min_replicas": 1,
            "max_replicas": options.replicas,
            "target_ongoing_requests": options.target,
            "upscale_delay_s": 10,
            "downscale_delay_s": 300,
        },
        ray_actor_options={"num_cpus": options.cpus, "num_gpus": options.gpus},
        graceful_shutdown_timeout_s=30,
    )
    return deployment(serve.ingress(build)()).bind()


def service(options: Options) -> Any:
    """The application of one replica."""
    import os

    from motionmillion.pipeline import MotionPipeline
    from motionmillion.serve.app import create_app
    from motionmillion.serve.settings import KEYS_VARIABLE, Settings, read_keys

    device = "cuda" if options.gpus else "cpu"
    named = read_models(options.models.split(","))
    pipelines = {name: MotionPipeline.from_pretrained(folder, device) for name, folder in named.items()}
    for pipe in pipelines.values():
        pipe.read(["a person waves"])  # loads the text encoder too
    keys = read_keys(None, os.environ.get(KEYS_VARIABLE))
    return create_app(pipelines, Settings(max_rows=options.rows, keys=keys))
