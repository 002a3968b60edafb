"""Log lines of the service as JSON, one object a line on standard error, for collectors to read.

    set_up_logs("info")
    log.info("request", extra={"fields": {"path": "/v1/motions", "ms": 12.5}})

Unusual: prompts are not logged; they are their author's.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

LEVELS = ("debug", "info", "warning", "error")


class JsonLines(logging.Formatter):
    """Formats records as JSON objects with time, level, what was said, and the record's `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told)


def set_up_logs(level: str = "info") -> None:
    """Send the logs of the service, of uvicorn, and warnings to standard error.

    Raises:
        ValueError: for an unknown level.
    """
    if level not in LEVELS:
        raise ValueError(f"log_level must be one of {list(LEVELS)}, got {level!r}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.captureWarnings(True)
    for name in ("motionmillion", "uvicorn", "py.warnings"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level.upper())
    logging.getLogger("uvicorn.access").disabled = True  # the service's own lines say more
