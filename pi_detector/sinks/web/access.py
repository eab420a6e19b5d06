"""Who may see the page, and from where: token, session cookie, Host, Origin, and headers.

Sources: OWASP Cheat Sheets on session management, CSRF and DNS rebinding; Fetch Metadata (W3C) for
``Sec-Fetch-Site``.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pi_detector.config.check import is_loopback
from pi_detector.config.outputs import WebSettings

COOKIE = "pi-detector"
SESSION_S = 30 * 86400
MOST_BODY_BYTES = 64 * 1024
MOST_WRONG = 5
"""Wrong tokens from one address before it has to wait."""
FORGIVEN_S = 60.0
"""Until a wrong token is forgotten."""

_MOST_ADDRESSES = 1024
_OPEN_PATHS = ("/healthz", "/login", "/static/")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer, with which browsers send no Origin either.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class TooManyTriesError(Exception):
    """An address gave too many wrong tokens.

    Attributes:
        retry_s: seconds until it may try again.
    """

    def __init__(self, retry_s: float) -> None:
        super().__init__(f"try again in {retry_s:.0f} s")
        self.retry_s = retry_s


@dataclass(slots=True)
class _Tries:
    count: int
    since_s: float


class Access:
    """Checks tokens and the cookies that stand for them.

    A cookie holds its end and a number, signed with the token: it outlives a restart, ends when the
    token changes, and does not tell the token.

    Args:
        web: the settings.
        monotonic_s: clock of the rate limit.

    Attributes:
        web: may be replaced.
    """

    def __init__(self, web: WebSettings, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self.web = web
        self._monotonic_s = monotonic_s
        self._tries: OrderedDict[str, _Tries] = OrderedDict()

    def accepts(self, token: str, address: str) -> bool:
        """Whether a token is the right one.

        Raises:
            TooManyTriesError: the address gave too many wrong ones, whatever this one is.
        """
        now_s, key = self._monotonic_s(), _network(address)
        tries = self._tries.get(key)
        if tries is not None and now_s - tries.since_s >= FORGIVEN_S:
            del self._tries[key]
            tries = None
        if tries is not None and tries.count >= MOST_WRONG:
            raise TooManyTriesError(FORGIVEN_S - (now_s - tries.since_s))
        if hmac.compare_digest(_digest(token), _digest(self.web.token)):
            return True
        if tries is None:
            tries = self._tries[key] = _Tries(0, now_s)
            while len(self._tries) > _MOST_ADDRESSES:
                self._tries.popitem(last=False)
        tries.count += 1
        tries.since_s = now_s
        return False

    def cookie(self) -> str:
        """The value of a new cookie."""
        start = f"{int(time.time()) + SESSION_S}.{secrets.token_hex(8)}"
        return f"{start}.{self._signature(start)}"

    def knows(self, cookie: str) -> bool:
        """Whether a cookie is one of ours, and not out of date."""
        start, _, signature = cookie.rpartition(".")
        ends = start.partition(".")[0]
        return (
            hmac.compare_digest(_digest(signature), _digest(self._signature(start)))
            and ends.isdecimal()
            and int(ends) > time.time()
        )

    def _signature(self, start: str) -> str:
        return hmac.new(self.web.token.encode(), start.encode(), hashlib.sha256).hexdigest()


class Guard:
    """Lets through what may be seen, as ASGI middleware, and sets the headers of security.

    Args:
        app: what is guarded.
        access: checks tokens.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            return
        request = Request(scope)
        refusal = self._refusal(request)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        web = self._access.web
        if not web.token and not is_loopback(_name(request.headers.get("host", ""))):
            return error(
                421, "this name is not known here; open the page by 127.0.0.1, or set web.token"
            )
        if request.method not in {"GET", "HEAD"}:
            if not _same_origin(request):
                return error(403, "the request comes from another page")
            if int(request.headers.get("content-length", MOST_BODY_BYTES + 1)) > MOST_BODY_BYTES:
                return error(413, "too large, or of unknown length")
        if not web.token or request.url.path.startswith(_OPEN_PATHS):
            return None
        return self._stranger(request)

    def _stranger(self, request: Request) -> Response | None:
        """The refusal of one who knows no token and has no cookie."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            try:
                if self._access.accepts(token.strip(), address_of(request)):
                    return None
            except TooManyTriesError as many:
                return too_many(many)
        elif self._access.knows(request.cookies.get(COOKIE, "")):
            return None
        elif request.url.path == "/":
            return RedirectResponse("/login", 303)
        refusal = error(401, "the token is missing or wrong")
        refusal.headers["WWW-Authenticate"] = "Bearer"
        return refusal


def error(status: int, message: str) -> JSONResponse:
    """The answer to what cannot be done."""
    return JSONResponse({"error": message}, status)


def too_many(error_: TooManyTriesError) -> JSONResponse:
    """The answer to too many wrong tokens."""
    response = error(429, f"too many wrong tokens; {error_}")
    response.headers["Retry-After"] = str(int(error_.retry_s) + 1)
    return response


def address_of(request: Request) -> str:
    """The address that a request came from."""
    return request.client.host if request.client else ""


def _same_origin(request: Request) -> bool:
    """Whether a write comes from our page, or from a program that is no browser."""
    origin = request.headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
    return request.headers.get("sec-fetch-site", "none") in {"same-origin", "none"}


def _name(host: str) -> str:
    """The name or address in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _network(address: str) -> str:
    """What counts as one address: of IPv6, all that one subscriber may choose."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return address if parsed.version == 4 else str(ipaddress.ip_network(f"{parsed}/64", False))


def _digest(text: str) -> bytes:
    # Of equal length, so that comparing tells nothing about the length either.
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
