"""Settings of the service: limits, keys and where it listens. The command line's options are made of these fields.

settings = Settings(rate=30.0, keys=("secret",))
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motionmillion.configuration import check_number, check_whole
from motionmillion.io.files import read_text
from motionmillion.serve.limits import EngineLimits

KEYS_VARIABLE = "MOTIONMILLION_API_KEYS"
"""Environment variable with API keys, separated by commas."""

LOCAL = ("localhost", "127.0.0.1", "[::1]", "::1")
"""Names of this machine for itself."""

LIMITS = "Limits of the service"
"""Panel of the command's `--help`."""


def _field(default: Any, help: str) -> Any:
    return dataclasses.field(default=default, metadata={"help": help, "panel": LIMITS})


@dataclass(frozen=True)
class Settings:
    """What the service allows.

    Raises:
        ValueError: for values out of range.
    """

    max_rows: int = _field(32, "Motions of a model that are decoded together.")
    max_queue: int = _field(128, "Motions that may wait for a model; more are refused with 503.")
    timeout: float = _field(120.0, "Seconds that a request may take, waiting included.")
    max_seconds: float = _field(60.0, "Longest motion that may be asked for, a timeline's parts together.")
    max_samples: int = _field(8, "Most motions in one request.")
    max_body_mb: float = _field(32.0, "Largest request body, megabytes.")
    max_upload_seconds: float = _field(600.0, "Longest motion in an uploaded file.")
    rate: float = _field(0.0, "Requests a minute for each client or key; more are refused with 429. 0 is no limit.")
    drain: float = _field(20.0, "Seconds to finish what was begun when the service is stopped.")
    keys: tuple[str, ...] = ()
    """API keys; none leaves the service open."""
    hosts: tuple[str, ...] = ()
    """Names that requests may give in their header Host, without port; none allows all."""

    def __post_init__(self) -> None:
        for name in ("max_rows", "max_queue", "max_samples"):
            check_whole(name, getattr(self, name), 1)
        for name in ("timeout", "max_seconds", "max_body_mb", "max_upload_seconds"):
            if not check_number(name, getattr(self, name)) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)!r}")
        for name in ("rate", "drain"):
            check_number(name, getattr(self, name))

    @property
    def engine(self) -> EngineLimits:
        """Limits of each model's engine."""
        return EngineLimits(self.max_rows, self.max_queue, self.timeout)


def hosts_of(host: str, allowed: Sequence[str], keys: Sequence[str]) -> tuple[str, ...]:
    """Names that `Settings.hosts` needs; none if all may be allowed.

    A service without keys that listens on this machine alone answers to this machine's names only: otherwise a web
    page whose name is made to point here (DNS rebinding) could use it through the reader's browser.

    Args:
        host: address to listen on.
        allowed: names that are allowed besides those of this machine.
    """
    return (*LOCAL, *allowed) if allowed or (host in LOCAL and not keys) else ()


def read_keys(file: Path | None, variable: str | None) -> tuple[str, ...]:
    """API keys of a file, one a line (# begins a comment), and of the environment variable.

    Raises:
        ValueError: for a file that is missing or holds no key, and for keys with characters that a header cannot hold.
    """
    text = "" if file is None else read_text(file, "api_key_file")
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    if file is not None and not any(lines):
        raise ValueError(f"api_key_file must hold a key in a line of its own, got none in {str(file)!r}")
    keys = [key for key in (*lines, *(key.strip() for key in (variable or "").split(","))) if key]
    for key in keys:
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise ValueError("API keys must be printable ASCII without spaces, got one that is not")
    return tuple(dict.fromkeys(keys))
