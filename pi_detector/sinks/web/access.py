"""Access to the page: the token, wrong tokens, and browser sessions.

Sources: OWASP Cheat Sheets on authentication and session management.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from pi_detector.config.outputs import WebSettings

log = logging.getLogger(__name__)

SESSION_S = 30 * 86400
MOST_WRONG = 5
"""Wrong tokens from one address before it has to wait."""
MOST_WRONG_IN_ALL = 100
"""Wrong tokens from all addresses together before everyone who sends a wrong one has to wait."""
FORGIVEN_S = 60.0
"""Until wrong tokens are forgotten."""
MOST_SESSIONS = 256
"""Browsers that are logged in; one more ends the oldest session."""

_ALL = "all addresses"


class TooManyTriesError(Exception):
    """Too many wrong tokens came, from one address or from all together.

    Attributes:
        retry_s: seconds until the next one is looked at.
    """

    def __init__(self, retry_s: float) -> None:
        super().__init__(f"try again in {retry_s:.0f} s")
        self.retry_s = retry_s


@dataclass(slots=True)
class _Wrong:
    count: int
    since_s: float


@dataclass(frozen=True, slots=True)
class _Session:
    token: bytes
    ends_s: float


class Access:
    """Checks tokens, and the sessions that browsers get for them.

    The right token is always accepted: wrong ones, even from the same address, lock nobody out. The
    length of the token protects against guessing.

    A cookie is a random number of which the server keeps the hash. So a session ends at logout,
    when the token changes, after ``SESSION_S``, and when pi-detector restarts.

    Args:
        web: the settings.
        monotonic_s: clock of limits and sessions, unaffected by date changes.

    Attributes:
        web: the settings; may be replaced.
    """

    def __init__(self, web: WebSettings, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self.web = web
        self._monotonic_s = monotonic_s
        self._wrong: dict[str, _Wrong] = {}
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()

    @property
    def cookie_name(self) -> str:
        """Has the port, which cookies do not regard: each instance on a machine has its own."""
        return f"pi-detector-{self.web.port}"

    def accepts(self, token: str, address: str) -> bool:
        """Whether a token is the right one. Wrong ones are counted.

        Raises:
            TooManyTriesError: a wrong one, after too many others.
        """
        if self.is_token(token):
            return True
        self._count(_ALL, MOST_WRONG_IN_ALL)
        self._count(network_of(address), MOST_WRONG)
        return False

    def is_token(self, token: str) -> bool:
        """Whether a token is the right one."""
        return hmac.compare_digest(_digest(token), _digest(self.web.token))

    def begin_session(self) -> str:
        """The value of a new cookie."""
        cookie = secrets.token_urlsafe(32)
        ends_s = self._monotonic_s() + SESSION_S
        self._sessions[_digest(cookie)] = _Session(_digest(self.web.token), ends_s)
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return cookie

    def end_session(self, cookie: str) -> None:
        """Make a cookie worthless."""
        self._sessions.pop(_digest(cookie), None)

    def knows(self, cookie: str) -> bool:
        """Whether a cookie is that of a session that has not ended."""
        session = self._sessions.get(_digest(cookie))
        return (
            session is not None
            and session.ends_s > self._monotonic_s()
            and hmac.compare_digest(session.token, _digest(self.web.token))
        )

    def _count(self, whose: str, most: int) -> None:
        """Count a wrong token. Raises TooManyTriesError."""
        now_s = self._monotonic_s()
        # The limit of all together bounds how many are left.
        for other, wrong in list(self._wrong.items()):
            if now_s - wrong.since_s >= FORGIVEN_S:
                del self._wrong[other]
        wrong = self._wrong.setdefault(whose, _Wrong(0, now_s))
        if wrong.count >= most:
            raise TooManyTriesError(FORGIVEN_S - (now_s - wrong.since_s))
        wrong.count += 1
        if wrong.count == most:
            log.warning("web: %d wrong tokens from %s within %.0f s", most, whose, FORGIVEN_S)


def network_of(address: str) -> str:
    """What counts as one address: of IPv6, all that one subscriber may choose."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # a proxy's header may hold anything
        return "an unknown address"
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed), 64), strict=False))


def _digest(text: str) -> bytes:
    # Of equal length, so that comparing tells nothing about the length either.
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
