"""Limits of an engine; no heavy imports.

EngineLimits(rows=32, waiting=64)
"""

from dataclasses import dataclass

from motionmillion.configuration import check_number, check_whole


@dataclass(frozen=True)
class EngineLimits:
    """Limits of an engine.

    Args:
        rows: motions decoded together.
        waiting: motions that may wait for a place.
        seconds: time that a request may take, waiting included.
    """

    rows: int = 32
    waiting: int = 128
    seconds: float = 120.0

    def __post_init__(self) -> None:
        check_whole("rows", self.rows, 1)
        check_whole("waiting", self.waiting, 1)
        check_number("seconds", self.seconds)
