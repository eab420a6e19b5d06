"""A response that continues until its reader leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

STALLED_S = 10.0
"""A reader who takes nothing for this long has gone."""


class EndlessResponse(Response):
    """Sends chunks until the reader leaves, stalls, is logged out, or the chunks end.

    Args:
        chunks: an async generator; an empty chunk sends nothing and looks whether the reader left.
        media_type: of the answer.
        done: called at the end, however that comes.
        allowed: whether the reader may still see it; asked at each chunk.
        first: sent at once.
    """

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        media_type: str,
        done: Callable[[], None],
        allowed: Callable[[], bool],
        first: bytes = b"",
    ) -> None:
        super().__init__(media_type=media_type)
        del self.headers["content-length"]
        self._chunks = chunks
        self._first = first
        self._done = done
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if scope["method"] != "HEAD":
                await self._send_all(gone, send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            return  # without an end the server closes the connection
        finally:
            gone.cancel()
            self._done()

    async def _send_all(self, gone: asyncio.Future[None], send: Send) -> None:
        async with aclosing(self._chunks) as chunks:  # type: ignore[type-var]
            await send({"type": "http.response.body", "body": self._first, "more_body": True})
            async for chunk in chunks:
                if gone.done() or not self._allowed():
                    return
                if chunk:
                    async with asyncio.timeout(STALLED_S):
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
