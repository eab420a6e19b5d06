"""Wakes coroutines from other threads."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Bell:
    """Coroutines wait for it; any thread may ring it.

    A coroutine that looks at what it waits for, and then waits without another ``await`` between,
    misses no ring.

    Attributes:
        closing: nothing more will come; waiting coroutines should end.
    """

    def __init__(self) -> None:
        self.closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._event = asyncio.Event()

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ring in this loop from now on."""
        self._event = asyncio.Event()
        self._loop = loop
        self.closing = False

    def ring(self) -> None:
        """Wake all who wait. From any thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(self._wake)

    def close(self) -> None:
        """Wake all who wait, for the last time. From any thread."""
        self.closing = True
        self.ring()

    def _wake(self) -> None:
        event, self._event = self._event, asyncio.Event()
        event.set()

    async def wait(self, timeout_s: float) -> None:
        """Until the next ring, or ``timeout_s`` are over."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), timeout_s)
