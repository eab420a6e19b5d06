"""Limits on connections: how many, how long a request may take, and which one is closed first.

A client without a token can hold a connection only until its request is due, and for ``REQUEST_S``
at most; above the limit, the connection whose request is overdue for longest is closed for the
newcomer. So idle, slow or half-sent connections never lock a reader out.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from pi_detector.sinks.web.access import network_of
from pi_detector.util.log_limit import LogLimit

log = logging.getLogger(__name__)

REQUEST_S = 10.0
"""From the beginning of a connection, or the end of the last answer, to the end of a request's
head; and from there to the end of its body."""
STALLED_S = 30.0
"""A reader who takes next to nothing of an answer for this long has gone."""


class Connections:
    """The connections of a server, in the order of their beginning.

    Args:
        most: at a time.
        most_of_one: at a time from one address.
        is_proxy: whether an address is that of a trusted proxy, which stands for many.
    """

    def __init__(self, most: int, most_of_one: int, is_proxy: Callable[[str], bool]) -> None:
        self.most = most
        self._most_of_one = most_of_one
        self._is_proxy = is_proxy
        self._addresses: dict[Connection, str] = {}
        self._limit = LogLimit()

    def add(self, newcomer: Connection, address: str) -> None:
        """Count a connection; one that is too many, or another in its place, is cut."""
        network = network_of(address)
        counts = Counter(self._addresses.values())
        waiting = [each for each in self._addresses if each.is_waiting]
        self._addresses[newcomer] = network
        if counts[network] >= self._most_of_one and not self._is_proxy(address):
            crowd = [each for each in waiting if self._addresses[each] == network]
            why = f"{counts[network]} from {network}"
        elif len(self._addresses) > self.most:
            crowd = waiting
            why = f"{self.most} in all"
        else:
            return
        # Of equals, max takes the first, which is the oldest.
        cut = max(crowd, key=lambda each: counts[self._addresses[each]], default=newcomer)
        self.remove(cut)
        cut.cut()
        if (skipped := self._limit.admit()) is not None:
            log.warning(
                "web: too many connections, %s; closing those that have waited longest (%d more "
                "since the last message)",
                why,
                skipped,
            )

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        self._addresses.pop(connection, None)


class Connection(H11Protocol):
    """uvicorn's connection, with deadlines for what the other side owes.

    Args:
        connections: all of the server.
        options: of uvicorn.
    """

    def __init__(self, connections: Connections, **options: Any) -> None:
        super().__init__(**options)
        self._connections = connections
        self._owed: object = None
        self._late: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether no answer is being made or sent."""
        owes = self.conn.their_state in {h11.IDLE, h11.SEND_BODY}
        return owes or self.cycle is None or self.cycle.response_complete

    def cut(self) -> None:
        """Close it at once."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection begins."""
        super().connection_made(transport)
        self._watch()
        self._connections.add(self, self.client[0] if self.client else "")

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended."""
        for timer in (self._late, self._stalled):
            if timer is not None:
                timer.cancel()
        self._connections.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Something came, perhaps a byte only."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """An answer was sent."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """The reader is slower than the answer."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(STALLED_S, self.cut)

    def resume_writing(self) -> None:
        """The reader took most of it."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _watch(self) -> None:
        """Set the deadline again where something else is waited for than before."""
        owed = (self.conn.their_state, self.cycle) if self.is_waiting else None
        if owed == self._owed:
            return
        self._owed = owed
        if self._late is not None:
            self._late.cancel()
        self._late = None if owed is None else self.loop.call_later(REQUEST_S, self.cut)
