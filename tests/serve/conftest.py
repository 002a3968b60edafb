"""Engines of tiny models, closed at the end of a test."""

from collections.abc import Callable, Iterator

import pytest

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
