"""The command `motionmillion serve`: an HTTP service with a web page.

motionmillion serve
motionmillion serve --model mini --model big=runs/lm --port 9000 --api-key-file keys.txt

The options that limit the service are the fields of `motionmillion.serve.settings.Settings`.
"""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from motionmillion.cli.options import LimitOptions, RunDeviceOption, find_device, with_limit_options
from motionmillion.io.packages import require
from motionmillion.progress import doing, say

ACCESS = "Access"


@with_limit_options
def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Bundled model, folder or hub id; NAME=MODEL names it. Repeat for more. Default: mini and mini-dit."
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all of this machine.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for any.", min=0, max=65535)] = 8000,
    device: RunDeviceOption = "auto",
    dtype: Annotated[str, typer.Option(help="Data type of the models: float32, bfloat16 or float16.")] = "float32",
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            help="File of API keys, one a line; the variable MOTIONMILLION_API_KEYS holds more. Without keys the "
            "service is open.",
            rich_help_panel=ACCESS,
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Name under which requests may ask, as behind a proxy; repeat for several. Default: any, but this "
            "machine's own names alone when it listens on them without keys.",
            rich_help_panel=ACCESS,
        ),
    ] = None,
    *,
    limits: LimitOptions,
) -> None:
    """Serve motions over HTTP, with a web page at the address itself; needs the extra "serve".

    Logs are JSON lines on standard error. Stopped with Ctrl-C or SIGTERM, it finishes what was begun.
    """
    uvicorn = require("uvicorn", "serve", "serve motions")
    require("fastapi", "serve", "serve motions")
    require("prometheus_client", "serve", "serve motions")
    require("python_multipart", "serve", "serve motions")
    from dataclasses import replace

    from motionmillion.configuration import find_dtype
    from motionmillion.serve.settings import KEYS_VARIABLE, hosts_of, read_keys

    keys = read_keys(api_key_file, os.environ.get(KEYS_VARIABLE))
    settings = replace(limits, keys=keys, hosts=hosts_of(host, allow_host or [], keys))
    named = read_models(model or ["mini", "mini-dit"])
    where = find_device(device)
    from motionmillion.serve.logs import set_up_logs

    set_up_logs(log_level)
    pipelines = {name: _load(folder, where, find_dtype(dtype)) for name, folder in named.items()}
    from motionmillion.serve.app import create_app
    from motionmillion.serve.server import DrainingServer

    app = create_app(pipelines, settings)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
    )
    say(f"motionmillion: http://{host}:{port} serves {', '.join(pipelines)}; stop it with Ctrl-C")
    server = DrainingServer(config, settings.drain)
    server.run()
    if not server.started:
        raise ValueError(f"port must be free on {host}, got {port}; choose another with --port")


def read_models(models: list[str]) -> dict[str, str]:
    """Names and folders of models such as "mini" or "big=runs/lm".

    Raises:
        ValueError: for a name that is given twice or is empty.
    """
    found: dict[str, str] = {}
    for text in models:
        name, _, folder = text.partition("=") if "=" in text else (text, "", text)
        name = name if "=" in text or "/" not in name.rstrip("/") else Path(name).name
        if not name or not folder:
            raise ValueError(f"model must look like mini or NAME=MODEL, got {text!r}")
        if name in found:
            raise ValueError(f"model must be named once, got {name!r} twice; write --model NAME=MODEL")
        found[name] = folder
    return found


def _load(folder: str, device: str, dtype: Any) -> Any:
    from motionmillion.pipeline import MotionPipeline

    with doing(f"loading {folder}"):
        pipe = MotionPipeline.from_pretrained(folder, device, dtype)
        pipe.read(["a person waves"])  # loads the text encoder too
    return pipe
