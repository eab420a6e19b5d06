"""Bodies of requests and answers."""

from __future__ import annotations

import gzip
from typing import TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from pi_detector.sinks.web.guard import MOST_BODY_BYTES

_SMALLEST = 1000  # below it the headers outweigh what compression gains
_LEVEL = 5

_T = TypeVar("_T")


async def body_of(request: Request) -> bytes:
    """The body of a request, which may be shorter than announced, never longer."""
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BODY_BYTES:
                raise HTTPException(413, "too large")
    except ClientDisconnect as left:
        raise HTTPException(400, "the body is incomplete") from left
    return body


def decoded(body: bytes, kind: type[_T]) -> _T:
    """A body of JSON, checked. Raises HTTPException where it is none of this kind."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError) as wrong:
        raise HTTPException(400, f"not valid: {wrong}") from wrong


def takes_gzip(request: Request) -> bool:
    """Whether the client reads gzip."""
    accepted = request.headers.get("accept-encoding", "").lower()
    return any(each.split(";")[0].strip() == "gzip" for each in accepted.split(","))


def json_answer(request: Request, encoded: bytes) -> Response:
    """An answer of JSON, compressed where that is worth it."""
    headers = {"Vary": "Accept-Encoding"}
    if len(encoded) >= _SMALLEST and takes_gzip(request):
        encoded = gzip.compress(encoded, _LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(encoded, headers=headers, media_type="application/json")
