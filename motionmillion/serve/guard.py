"""What stands before every request: its number, the log line, host, API keys, the rate, and the size of the body.

    app.add_middleware(Guard, settings=settings, metrics=metrics)

Keys and rate concern what lies under /v1/. A key is given as `Authorization: Bearer KEY` or `X-API-Key: KEY`.

Unusual: it is plain ASGI, so that streams pass through as they come, and a client that leaves is noticed.
"""

import hashlib
import hmac
import logging
import re
import secrets
import threading
import time
from collections import OrderedDict
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from motionmillion.configuration import shown
from motionmillion.serve.metrics import Metrics
from motionmillion.serve.problems import Problem, problem_of
from motionmillion.serve.settings import Settings

log = logging.getLogger("motionmillion.serve")

GUARDED = "/v1/"
_CLIENTS = 10_000
"""Clients whose rate is remembered."""
_PORT = re.compile(r":\d*$")
_NUMBER = re.compile(r"[\w.-]{1,64}")

SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class RateLimit:
    """A bucket of tokens for each client: as many requests a minute, in bursts of up to a sixth of them.

    Args:
        per_minute: 0 is no limit.
    """

    def __init__(self, per_minute: float) -> None:
        self.per_second, self.burst = per_minute / 60, max(1.0, per_minute / 6)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when they were counted
        self._lock = threading.Lock()

    def wait(self, client: str, now: float | None = None) -> float:
        """Seconds until the client may ask; 0 if it may now, which counts."""
        if not self.per_second:
            return 0.0
        now = time.monotonic() if now is None else now
        with self._lock:
            tokens, then = self._buckets.pop(client, (self.burst, now))
            tokens = min(self.burst, tokens + (now - then) * self.per_second)
            short = max(0.0, (1 - tokens) / self.per_second)
            self._buckets[client] = (tokens if short else tokens - 1, now)
            while len(self._buckets) > _CLIENTS:
                self._buckets.popitem(last=False)
        return short


class Guard:
    """The middleware."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self.app, self.settings, self.metrics = app, settings, metrics
        self.rate = RateLimit(settings.rate)
        self.most = int(settings.max_body_mb * 1_000_000)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        number = given if _NUMBER.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request"] = number
        visit = _Visit(scope, number)

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
                own = MutableHeaders(scope=message)
                own["X-Request-ID"] = number
                for name, value in SAFE_HEADERS.items():
                    own.setdefault(name, value)
            await send(message)

        try:
            self._check(scope["path"], headers, visit)
            await self.app(scope, _Counted(receive, self.most), told)
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                log.exception("request failed", extra={"fields": {"request": number, "path": scope["path"]}})
                problem = Problem(500, "the service failed at this; the operator finds the reason in the log")
            if visit.status:
                raise  # the answer has begun
            await problem.answer(number)(scope, receive, told)
        finally:
            self._tell(visit)

    def _check(self, path: str, headers: Headers, visit: "_Visit") -> None:
        """Raise `Problem` for requests that go no further."""
        host = _PORT.sub("", headers.get("host", "").lower())
        if self.settings.hosts and host not in self.settings.hosts:
            self.metrics.refused.labels("host").inc()
            known = ", ".join(self.settings.hosts)
            message = f"host must be one of {known}, got {shown(host)}; the operator allows more with --allow-host"
            raise Problem(403, message)
        if path.startswith(GUARDED):
            if self.settings.keys:
                visit.client = self._key(headers)
            wait = self.rate.wait(visit.client)
            if wait:
                self.metrics.refused.labels("rate").inc()
                message = f"requests must be at most {self.settings.rate:g} a minute; wait {wait:.1f} seconds"
                raise Problem(429, message, {"Retry-After": str(int(wait) + 1)})
        length = headers.get("content-length", "0")
        if length.isascii() and length.isdigit() and int(length[:18]) > self.most:
            raise _too_large(self.most)

    def _key(self, headers: Headers) -> str:
        """A name for the key of a request; raises `Problem` for a missing or wrong one."""
        given = headers.get("x-api-key", "")
        kind, _, value = headers.get("authorization", "").partition(" ")
        given = value.strip() if kind.lower() == "bearer" else given
        # every key is compared, in constant time
        right = [hmac.compare_digest(given.encode(), key.encode()) for key in self.settings.keys]
        if not any(right):
            self.metrics.refused.labels("key").inc()
            got = "another" if given else "none"
            raise Problem(
                401,
                f"API key must be one of the service's, got {got}; send Authorization: Bearer KEY",
                {"WWW-Authenticate": "Bearer"},
            )
        return "key-" + hashlib.sha256(given.encode()).hexdigest()[:8]

    def _tell(self, visit: "_Visit") -> None:
        seconds = time.monotonic() - visit.began
        route = visit.route()
        self.metrics.requests.labels(visit.method, route, str(visit.status)).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        fields = {"request": visit.number, "method": visit.method, "path": route, "status": visit.status}
        log.info("request", extra={"fields": {**fields, "ms": round(1000 * seconds, 1), "client": visit.client}})


class _Visit:
    """What is told of a request when it ends."""

    def __init__(self, scope: Scope, number: str) -> None:
        self.scope, self.number, self.method = scope, number, scope["method"]
        self.client = str((scope.get("client") or ("unknown",))[0])
        self.began, self.status = time.monotonic(), 0

    def route(self) -> str:
        """The path of the route that took the request; clients must not make up labels."""
        return str(getattr(self.scope.get("route"), "path", "other"))


class _Counted:
    """`receive` that raises `Problem` when more than `most` bytes come."""

    def __init__(self, receive: Receive, most: int) -> None:
        self.receive, self.most, self.sofar = receive, most, 0

    async def __call__(self) -> Message:
        message: Any = await self.receive()
        self.sofar += len(message.get("body", b"")) if message["type"] == "http.request" else 0
        if self.sofar > self.most:
            raise _too_large(self.most)
        return message


def _too_large(most: int) -> Problem:
    return Problem(413, f"body must be at most {most / 1e6:g} MB; send a smaller file")
