"""The page's own files: compressed once, kept in memory, and asked for again only when changed."""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from pi_detector.sinks.web.answers import takes_gzip

STATIC = Path(__file__).with_name("static")

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}
_COMPRESSED = {".html", ".js", ".css", ".svg", ".webmanifest"}


@dataclass(frozen=True, slots=True)
class _Asset:
    data: bytes
    zipped: bytes | None
    tag: str


_known: dict[str, _Asset] = {}
_loading = threading.Lock()


def names() -> list[str]:
    """The names of all files."""
    return sorted(file.name for file in STATIC.iterdir() if file.suffix in _TYPES)


def asset(name: str) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint that sends a file of the page.

    Args:
        name: of a file in the folder ``static``.
    """

    async def send(request: Request) -> Response:
        return answer(request, name)

    return send


def answer(request: Request, name: str, status: int = 200) -> Response:
    """A file of the page as an answer; status 304 for a browser that has it."""
    found = _load(name)
    headers = {"ETag": found.tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if status == 200 and request.headers.get("if-none-match") == found.tag:
        return Response(status_code=304, headers=headers)
    data = found.data
    if found.zipped is not None and takes_gzip(request):
        data = found.zipped
        headers["Content-Encoding"] = "gzip"
    headers["Content-Type"] = _TYPES[Path(name).suffix]
    return Response(data, status, headers=headers)


def _load(name: str) -> _Asset:
    with _loading:
        if name not in _known:
            path = STATIC / name
            data = path.read_bytes()
            zipped = gzip.compress(data, 9, mtime=0) if path.suffix in _COMPRESSED else None
            tag = f'"{hashlib.sha256(data).hexdigest()[:20]}"'
            _known[name] = _Asset(data, zipped, tag)
        return _known[name]
