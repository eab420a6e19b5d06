"""The guard before the page: well-formed requests, access, and security headers.

Sources: OWASP Cheat Sheets on CSRF and DNS rebinding; Fetch Metadata (W3C) for ``Sec-Fetch-Site``;
RFC 9112, section 3.2, for ``Host``; RFC 7617 for Basic authentication.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import math
import re
from collections.abc import Collection
from urllib.parse import urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pi_detector.config.check import is_loopback
from pi_detector.sinks.web.access import Access, TooManyTriesError

MOST_BODY_BYTES = 64 * 1024

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "media-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; "
        "form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer, with which browsers send no Origin either.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# Cameras of Home Assistant, players and Prometheus know user and password, but no bearer tokens.
_BASIC_PATHS = ("/view.", "/live.ts", "/media/", "/metrics")
_AUTHORITY = re.compile(
    r"(?P<host>[A-Za-z0-9][A-Za-z0-9._-]{0,252}|\[(?P<ipv6>[0-9A-Fa-f:.]{2,45})\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
# Of a view, which a browser opens: without a session it is led to the login, and then back. Nothing
# that could lead to another site.
_PAGE = re.compile(r"/|/(?:review|zones|settings|cameras)|/events/[A-Za-z0-9_.~:-]{1,200}")
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}://(?P<authority>.+)")


class Guard:
    """Lets through what may be seen, as ASGI middleware, and sets the headers of security.

    A request is judged by the path that is routed, ``scope["path"]``, and never by a URL that
    is put together from headers. Starlette's ``TrustedHostMiddleware`` cannot take the place of the
    check of ``Host``: where all names are allowed, as with a token, it checks none.

    Args:
        app: what is guarded.
        access: checks tokens and sessions.
        open_paths: all that is answered without a token; each exactly.
    """

    def __init__(self, app: ASGIApp, access: Access, open_paths: Collection[str]) -> None:
        self._app = app
        self._access = access
        self._open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            return
        request = Request(scope)
        refusal = _malformed(request) or self._refusal(request)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        token = self._access.web.token
        if not token and not is_loopback(_authority(request.headers["host"]) or ""):
            return error(421, "unknown host name; open the page as 127.0.0.1, or set web.token")
        if request.method not in {"GET", "HEAD"}:
            if not _same_origin(request.headers):
                return error(403, "the request comes from another page")
            if _length(request.headers) > MOST_BODY_BYTES:
                return error(413, "too large, or of unknown length")
        if not token or request.scope["path"] in self._open_paths:
            return None
        return self._stranger(request)

    def _stranger(self, request: Request) -> Response | None:
        """The refusal of one who knows no token and has no session."""
        # First: a browser may also send a password that it remembers from before.
        if self._access.knows(request.cookies.get(self._access.cookie_name, "")):
            return None
        token = token_of(request)
        if token is not None:
            try:
                if self._access.accepts(token, address_of(request)):
                    return None
            except TooManyTriesError as many:
                return too_many(many)
        elif _PAGE.fullmatch(request.scope["path"]):
            wanted = request.scope["path"]
            query = "" if wanted == "/" else f"?{urlencode({'next': wanted})}"
            return RedirectResponse(f"/login{query}", 303)
        refusal = error(401, "the token is missing or wrong")
        refusal.headers["WWW-Authenticate"] = _challenge(request)
        return refusal


def _length(headers: Headers) -> float:
    """Bytes in the body of a request. Source: RFC 9112, section 6.3."""
    if "transfer-encoding" in headers:
        return math.inf
    return int(headers.get("content-length", 0))


def admits(access: Access, request: Request) -> bool:
    """Whether a request that was let in would still be: for answers that take long."""
    token = token_of(request)
    return (
        not access.web.token
        or access.knows(request.cookies.get(access.cookie_name, ""))
        or (token is not None and access.is_token(token))
    )


def token_of(request: Request) -> str | None:
    """The token that a request has in its headers; None where it has none."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic" and _takes_basic(request):
        try:
            decoded = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, ValueError):
            return ""
        return decoded.partition(":")[2]
    return None


def _takes_basic(request: Request) -> bool:
    path: str = request.scope["path"]
    return path.startswith(_BASIC_PATHS) and request.method in {"GET", "HEAD"}


def _challenge(request: Request) -> str:
    # Browsers ask for a password at once, which must not happen over our own page whose session
    # has ended; its requests have a Referer.
    if _takes_basic(request) and "referer" not in request.headers:
        return 'Basic realm="pi-detector", charset="UTF-8"'
    return "Bearer"


def error(status: int, message: str) -> JSONResponse:
    """The answer to what cannot be done."""
    return JSONResponse({"error": message}, status)


def too_many(error_: TooManyTriesError) -> JSONResponse:
    """The answer to too many wrong tokens."""
    response = error(429, f"too many wrong tokens; {error_}")
    response.headers["Retry-After"] = str(int(error_.retry_s) + 1)
    return response


def page_after_login(text: str) -> str:
    """Where a browser goes after the login: a view of the page, never another site."""
    return text if _PAGE.fullmatch(text) else "/"


def address_of(request: Request) -> str:
    """The address that a request came from."""
    return request.client.host if request.client else ""


def _malformed(request: Request) -> Response | None:
    """The refusal of a request that others than we might read in another way."""
    hosts = request.headers.getlist("host")
    if len(hosts) != 1 or _authority(hosts[0]) is None:
        return error(400, "Host: not a name or address with an optional port")
    origins = request.headers.getlist("origin")
    if len(origins) > 1 or any(_origin(origin) is None for origin in origins):
        return error(400, "Origin: not a scheme, name or address, and optional port")
    if not request.scope["path"].startswith("/"):
        return error(400, "the target of the request is not a path")
    return None


def _same_origin(headers: Headers) -> bool:
    """Whether a write comes from our page, or from a program that is no browser."""
    origin = headers.get("origin")
    if origin is not None:
        return _origin(origin) == headers["host"].lower()
    return headers.get("sec-fetch-site", "none") in {"same-origin", "none"}


def _origin(text: str) -> str | None:
    """Name and port in an Origin header, or ``null``; None where it is malformed."""
    if text == "null":
        return text
    found = _ORIGIN.fullmatch(text)
    if found is None or _authority(found["authority"]) is None:
        return None
    return found["authority"].lower()


def _authority(text: str) -> str | None:
    """The name or address in a Host header; None where it is malformed."""
    found = _AUTHORITY.fullmatch(text)
    if found is None or int(found["port"] or 0) > 65535:
        return None
    if found["ipv6"] is None:
        return found["host"].lower()
    try:
        return str(ipaddress.IPv6Address(found["ipv6"]))
    except ValueError:
        return None
