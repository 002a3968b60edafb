"""The web page at /, and its files; everything comes from the package, nothing from other hosts.

Unusual: the content security policy allows only what the service itself sends, and what a character that was uploaded
holds (its pictures are blobs of the page).
"""

import hashlib
from functools import cache
from string import Template

from fastapi import APIRouter, Request
from starlette.responses import Response

from motionmillion.io.page import page_part, script_json
from motionmillion.io.viewer.payload import shared_data
from motionmillion.serve.problems import Problem

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self' data: blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

_FILES = {
    "page.js": ("motionmillion.serve.page", "text/javascript; charset=utf-8"),
    "page.css": ("motionmillion.serve.page", "text/css; charset=utf-8"),
    "viewer.js": ("motionmillion.io.viewer", "text/javascript; charset=utf-8"),
    "player.css": ("motionmillion.io.viewer", "text/css; charset=utf-8"),
}


def page_routes() -> APIRouter:
    """The routes of the page."""
    router = APIRouter(include_in_schema=False)

    @router.head("/")
    @router.get("/")
    def index(request: Request) -> Response:
        headers = {"Content-Security-Policy": POLICY}
        return _cached(request, _index(), "text/html; charset=utf-8", headers)

    @router.head("/page/{name}")
    @router.get("/page/{name}")
    def part(name: str, request: Request) -> Response:
        if name not in _FILES:
            raise Problem(404, f"file must be one of {list(_FILES)}, got another")
        package, media = _FILES[name]
        return _cached(request, page_part(package, name), media)

    return router


@cache
def _index() -> str:
    """The page, with the data that its players share."""
    return Template(page_part("motionmillion.serve.page", "index.html")).substitute(data=script_json(shared_data()))


def _cached(request: Request, text: str, media: str, headers: dict[str, str] | None = None) -> Response:
    """A file that browsers keep, and ask for anew only if it has changed."""
    tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:20]}"'
    own = {"ETag": tag, "Cache-Control": "no-cache", **(headers or {})}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=own)
    return Response(text, media_type=media, headers=own)
