"""An HTTP server on a thread of its own."""

from __future__ import annotations

import asyncio
import errno
import socket
import time

import uvicorn
from starlette.types import ASGIApp

from pi_detector.errors import SinkError
from pi_detector.sinks.web.bell import Bell
from pi_detector.util.worker import Worker

_START_S = 10.0
_POLL_S = 0.02
_GRACE_S = 1  # for answers that are under way when the server stops; then they are cut
_LARGEST_HEAD_BYTES = 16 * 1024


class Server:
    """Serves an app at one address.

    Args:
        app: ASGI.
        host: to listen at.
        port: to listen at.
        bell: rung in the server's loop.
        most_connections: at a time; more are answered with 503.

    Raises:
        SinkError: the address is taken, not there, or not allowed.
    """

    def __init__(
        self, app: ASGIApp, host: str, port: int, bell: Bell, *, most_connections: int
    ) -> None:
        self._socket = _listen(host, port)
        self._bell = bell
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            # The app tells its own errors; the rest is about readers who went away.
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=most_connections,
            timeout_graceful_shutdown=_GRACE_S,
            h11_max_incomplete_event_size=_LARGEST_HEAD_BYTES,
        )
        self._server = uvicorn.Server(config)
        self._worker = Worker("web", lambda: asyncio.run(self._serve()))
        deadline = time.monotonic() + _START_S
        while not self._server.started and self._worker.error is None:
            if time.monotonic() > deadline:
                raise SinkError(f"web: the server did not start within {_START_S:.0f} s")
            time.sleep(_POLL_S)

    @property
    def error(self) -> BaseException | None:
        """What ended the server, or None."""
        return self._worker.error

    def stop(self, deadline: float) -> bool:
        """Close all connections by ``deadline`` (monotonic s). Returns whether that was done."""
        self._bell.close()
        self._server.should_exit = True
        stopped = self._worker.join(deadline)
        self._socket.close()
        return stopped

    async def _serve(self) -> None:
        self._bell.bind(asyncio.get_running_loop())
        await self._server.serve(sockets=[self._socket])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise SinkError(
            f"web: cannot listen at {host} port {port}: {_words(error, port)}"
        ) from error


def _words(error: OSError, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "another program does; stop it, or set another web.port"
        case errno.EACCES:
            return f"port {port} is for root; set web.port above 1023"
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address; set web.host to one of its own, or 0.0.0.0"
    return f"{error.strerror}; change web.host"
