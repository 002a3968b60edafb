"""Errors as the service answers them: a JSON object with one line that says what is wrong and what to do.

    {"error": {"type": "invalid", "message": "seconds must be above 0 and at most 60, got 61", "request": "6f1c..."}}

| status | type | when |
|---|---|---|
| 400 | malformed | the body is not JSON, or not a form |
| 401 | unauthorized | a key is asked for, and none or a wrong one was given |
| 403 | forbidden | the service was asked for under a name that it does not go by |
| 404, 405 | not_found, not_allowed | no such address or method |
| 413 | too_large | the body is larger than allowed |
| 422 | invalid | a value is out of range, or the model cannot do that |
| 429 | too_many | more requests a minute than allowed |
| 499 | cancelled | the client has gone |
| 503 | busy, closing | the queue is full, or the service is stopping |
| 504 | timeout | the request took too long |

Unusual: an error of the service itself is a 500 whose message names nothing; the log has its traceback.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import HTTPException
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from motionmillion.configuration import shown
from motionmillion.serve.engine import CancelledError, ClosingError, QueueFullError

TYPES = {
    400: "malformed",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "not_allowed",
    413: "too_large",
    422: "invalid",
    429: "too_many",
    499: "cancelled",
    500: "internal",
    503: "busy",
    504: "timeout",
}


class ProblemBody(BaseModel):
    """What is wrong."""

    type: str = Field(examples=["invalid"])
    message: str = Field(examples=["seconds must be above 0 and at most 60, got 61.0; a timeline can be longer"])
    request: str = Field("", description="Number of the request, as in the header X-Request-ID and in the log.")


class ProblemAnswer(BaseModel):
    """The body of every answer that is not a success."""

    error: ProblemBody


class Problem(HTTPException):
    """An error to answer with; FastAPI lets it through while it reads a body.

    Args:
        status: of HTTP.
        message: one line.
        headers: further ones, such as Retry-After.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None, type: str = "") -> None:
        super().__init__(status, message, dict(headers or {}))
        self.status, self.message = status, message
        self.type = type or TYPES.get(status, "error")

    def answer(self, request: str = "") -> JSONResponse:
        """The response."""
        error = {"type": self.type, "message": safe_text(self.message), "request": request}
        return JSONResponse({"error": error}, self.status, self.headers)


def problem_of(error: BaseException) -> Problem | None:
    """The answer to an error of the library or the engine; None for those that are faults of the service."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, QueueFullError):
        return Problem(503, str(error), {"Retry-After": "2"})
    if isinstance(error, ClosingError):
        return Problem(503, str(error), {"Retry-After": "5"}, "closing")
    if isinstance(error, CancelledError):
        return Problem(499, str(error))
    if isinstance(error, TimeoutError):
        return Problem(504, str(error) or "request took too long; ask for less")
    if isinstance(error, ValueError) and _raised_here(error):
        return Problem(422, " ".join(str(error).split()) or "request must be valid, got one that is not")
    return None


def _raised_here(error: BaseException) -> bool:
    """Whether this package raised an error; those of other packages are faults of the service."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return place is not None and str(place.tb_frame.f_globals.get("__name__")).startswith("motionmillion.")


def invalid_fields(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """The answer to what pydantic found: the first error in one line, and the places of the others."""
    first = errors[0]
    if first["type"] == "json_invalid":
        reason = (first.get("ctx") or {}).get("error", "it cannot be read")
        return Problem(400, f"body must be JSON, got text that is not: {reason}")
    if tuple(first["loc"]) == ("body",) and first["type"] in ("model_attributes_type", "dict_type", "model_type"):
        given = first.get("input")
        if isinstance(given, bytes | str):
            return Problem(422, "body must be sent with Content-Type: application/json, got another one or none")
        return Problem(422, f"body must be a JSON object, got {shown(given)}")
    loc = first["loc"][1:] if first["loc"][:1] in (("body",), ("query",)) else first["loc"]
    place = ".".join(str(part) for part in loc)
    if first["type"] == "missing":
        message = f"{place or 'body'} must be given, got none"
    elif first["type"] == "extra_forbidden":
        message = f"{place} must be left out, got {shown(first.get('input'))}; there is no such field"
    else:
        told = str(first["msg"]).removeprefix("Value error, ")
        told = re.sub(r"^\w+ should ", "must ", told).replace(" after validation, not", ", not")
        told = told if told.startswith("must") else f"must be valid: {told}"
        message = f"{place or 'body'} {told}, got {shown(first.get('input'))}"
    others = dict.fromkeys(".".join(str(part) for part in error["loc"][1:]) or "body" for error in errors[1:])
    more = f"; see also {', '.join(others)}" if others else ""
    return Problem(422, message + more)


def safe_text(text: str) -> str:
    """`text` without what UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode("utf-8")
