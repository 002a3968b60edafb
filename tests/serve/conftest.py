"""Engines and services of tiny models, closed at the end of a test."""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from motionmillion.lm.generation.continuous import ContinuousBatch
from motionmillion.serve.engine import Engine
from motionmillion.serve.limits import EngineLimits


@pytest.fixture
def engine_of() -> Iterator[Callable[..., Engine]]:
    """Makes engines: `engine_of(pipe, rows=4)`."""
    made: list[Engine] = []

    def make(pipe, **limits) -> Engine:
        made.append(Engine(pipe, EngineLimits(**limits)))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


@pytest.fixture
def midway(monkeypatch) -> Iterator[threading.Event]:
    """Batches wait before the 17th token of their first row until this is set."""
    step, opened = ContinuousBatch.step, threading.Event()

    def wait_midway(self):
        if self._running and self._running[0].new == 16:
            assert opened.wait(30)
        return step(self)

    monkeypatch.setattr(ContinuousBatch, "step", wait_midway)
    yield opened
    opened.set()


@pytest.fixture
def client_of() -> Iterator[Callable[..., Any]]:
    """Makes clients of services in this process: `client_of({"tiny": pipe}, rate=60.0)`."""
    pytest.importorskip("fastapi", reason='needs pip install "motionmillion[serve]"')
    pytest.importorskip("httpx", reason="the client of these tests")
    from fastapi.testclient import TestClient

    from motionmillion.serve.app import create_app
    from motionmillion.serve.settings import Settings

    clients: list[TestClient] = []

    def make(pipelines, **settings) -> TestClient:
        app = create_app(pipelines, Settings(**{"drain": 0.0, **settings}))
        client = TestClient(app, raise_server_exceptions=False)
        client.__enter__()
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def server_of() -> Iterator[Callable[..., Any]]:
    """Runs services on a port of this machine: `server_of({"tiny": pipe}).url`; `stop()` is a SIGTERM."""
    uvicorn = pytest.importorskip("uvicorn", reason='needs pip install "motionmillion[serve]"')
    from motionmillion.serve.app import create_app
    from motionmillion.serve.server import DrainingServer
    from motionmillion.serve.settings import Settings

    class Server(DrainingServer):
        url: str
        thread: threading.Thread

        def stop(self) -> None:
            self.handle_exit(signal.SIGTERM, None)
            self.thread.join(60)
            assert not self.thread.is_alive()

    servers: list[Server] = []

    def make(pipelines, **settings) -> Server:
        limits = Settings(**{"drain": 20.0, **settings})
        listening = socket.create_server(("127.0.0.1", 0))
        server = Server(uvicorn.Config(create_app(pipelines, limits), log_config=None), limits.drain)
        server.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        server.thread.start()
        servers.append(server)
        while not server.started:
            time.sleep(0.01)
        return server

    yield make
    for server in servers:
        server.stop()


def message_of(response) -> str:
    """The message of an answer that is an error of the service's form."""
    error = response.json()["error"]
    assert set(response.json()) == {"error"} and set(error) == {"type", "message", "request"}
    assert error["request"] == response.headers["x-request-id"] and "\n" not in error["message"]
    return error["message"]


@pytest.fixture(name="message_of")
def _message_of() -> Callable[[Any], str]:
    return message_of
