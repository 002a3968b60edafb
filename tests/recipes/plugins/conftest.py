"""Services on a port of this machine, and scripts of recipes as modules."""

import contextlib
import importlib.util
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType

import pytest

RECIPES = Path(__file__).resolve().parents[3] / "recipes"


@contextlib.contextmanager
def serve(pipelines: Mapping, **settings) -> Iterator[str]:
    """Serve models until the end of the block; gives the address."""
    uvicorn = pytest.importorskip("uvicorn", reason='needs pip install "motionmillion[serve]"')
    from motionmillion.serve.app import create_app
    from motionmillion.serve.settings import Settings

    listening = socket.create_server(("127.0.0.1", 0))
    app = create_app(pipelines, Settings(**{"drain": 0.0, **settings}))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)


@pytest.fixture(scope="session")
def serving() -> Callable[..., contextlib.AbstractContextManager[str]]:
    """`with serving({"mini": pipe}, keys=("secret",)) as address:`"""
    pytest.importorskip("fastapi", reason='needs pip install "motionmillion[serve]"')
    return serve


def read_module(path: str, name: str) -> ModuleType:
    """A file or package of the recipes, under a name of its own."""
    spec = importlib.util.spec_from_file_location(name, RECIPES / path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def recipe() -> Callable[[str, str], ModuleType]:
    """`recipe("space/app.py", "space_app")`"""
    return read_module
