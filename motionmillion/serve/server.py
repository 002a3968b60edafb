"""The HTTP server of the service: on SIGTERM and SIGINT work is finished, or handed back, while clients still listen.

    DrainingServer(uvicorn.Config(create_app(pipelines, settings)), settings.drain).run()

Uvicorn alone first waits for open requests and cancels them when its time is up, and only then tells the app to shut
down; requests that take too long would end without an answer. Here the engines are closed at once: they take nothing
new, and what is not finished after `drain` seconds is answered with 503.
"""

import threading
from types import FrameType

import uvicorn

from motionmillion.serve.service import Service

_MARGIN = 30
"""Seconds after `drain` for the step in progress, the last files and their way to the clients."""


class DrainingServer(uvicorn.Server):
    """A uvicorn server that closes the engines of its app when it is asked to end.

    Args:
        config: of an app made by `create_app`.
        drain: seconds that open requests get.
    """

    def __init__(self, config: uvicorn.Config, drain: float) -> None:
        config.timeout_graceful_shutdown = round(drain) + _MARGIN
        super().__init__(config)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        service: Service = self.config.app.state.service  # type: ignore[union-attr]
        threading.Thread(target=service.close, name="drain", daemon=True).start()
        super().handle_exit(sig, frame)
