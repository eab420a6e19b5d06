"""An HTTP server on its own thread: uvicorn, which receives one connection after another."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import resource
import socket
import time
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from pi_detector.config.outputs import WebSettings
from pi_detector.errors import SinkError
from pi_detector.sinks.web.bell import Bell
from pi_detector.sinks.web.connections import Connection, Connections
from pi_detector.util.log_limit import LogLimit
from pi_detector.util.worker import Worker

log = logging.getLogger(__name__)

_START_S = 10.0
_POLL_S = 0.02
_GRACE_S = 1  # for answers that are under way when the server stops; then they are cut
_LARGEST_HEAD_BYTES = 16 * 1024
_BESIDE_VIEWERS = 32  # connections for all but the live picture
_CONNECTIONS_PER_VIEWER = 6  # what a browser opens to one server
_FEWEST = 16  # of which one address may have half
_DESCRIPTORS_SHARE = 4  # connections take at most a quarter; each may need two more, for a file
_QUEUE = 1024  # connections that the kernel keeps until they are accepted
# Between two of them: a newcomer sends its request before as many others come as it takes to
# have it give way, and a flood of connections leaves the processor to detection.
_ACCEPT_S = 0.004
_AT_ONCE = 8  # without such a pause, after a while without any
_NO_MORE_S = 1.0  # until the next try where no connection can be had
_UNREACHABLE_MS = 30_000  # a peer that acknowledges nothing for this long has gone


class Server:
    """Serves an app at one address.

    Args:
        app: ASGI.
        web: the settings; host, port, viewers and proxies do not change later.
        bell: rung in the server's loop.

    Raises:
        SinkError: the address is taken, not there, or not allowed.
        Exception: the server does not start.
    """

    def __init__(self, app: ASGIApp, web: WebSettings, bell: Bell) -> None:
        self._connections = connections_for(web)
        self._socket = _listen(web.host, web.port)
        self._bell = bell
        self._limit = LogLimit()
        self._config = uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            # The app logs its own errors; the rest is about readers who went away.
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=bool(web.trusted_proxies),
            # Not None, for which uvicorn asks the environment.
            forwarded_allow_ips=list(web.trusted_proxies),
            timeout_graceful_shutdown=_GRACE_S,
            h11_max_incomplete_event_size=_LARGEST_HEAD_BYTES,
        )
        self._config.load()
        self._server = uvicorn.Server(self._config)
        try:
            self._worker = Worker("web", lambda: asyncio.run(self._serve()))
            self._wait_until_started()
        except BaseException:
            self._socket.close()
            raise

    @property
    def error(self) -> BaseException | None:
        """What ended the server, or None."""
        if self._worker.error is None and not self._worker.running:
            return RuntimeError("the server ended unexpectedly")
        error = self._worker.error
        # Of the two tasks one failed; its error says more than that of their group.
        return error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error

    def stop(self, deadline: float) -> bool:
        """Close all connections by ``deadline`` (monotonic s). Returns whether that was done."""
        self._bell.close()
        self._server.should_exit = True
        stopped = self._worker.join(deadline)
        self._socket.close()
        return stopped

    def _wait_until_started(self) -> None:
        deadline = time.monotonic() + _START_S
        while not self._server.started:
            self._worker.check()
            if time.monotonic() > deadline:
                raise SinkError(f"web: the server did not start within {_START_S:.0f} s")
            time.sleep(_POLL_S)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._complain)
        self._bell.bind(loop)
        async with asyncio.TaskGroup() as group:
            accepting = group.create_task(self._accept(loop))
            await self._server.serve(sockets=[])
            accepting.cancel()

    async def _accept(self, loop: asyncio.AbstractEventLoop) -> None:
        """Accept connections one by one, which uvicorn and asyncio would do by the thousand."""
        due_s = loop.time()
        while not self._server.should_exit:
            try:
                connection, _ = await loop.sock_accept(self._socket)
                await loop.connect_accepted_socket(self._protocol, connection)
            except OSError as error:
                self._complain(loop, {"message": "no connection", "exception": error})
                await asyncio.sleep(_NO_MORE_S)
            due_s = max(due_s + _ACCEPT_S, loop.time() - _AT_ONCE * _ACCEPT_S)
            await asyncio.sleep(max(0.0, due_s - loop.time()))

    def _protocol(self) -> Connection:
        return Connection(
            self._connections,
            config=self._config,
            server_state=self._server.server_state,
            app_state={},
        )

    def _complain(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log what goes wrong beside requests; strangers can cause that as often as they like."""
        skipped = self._limit.admit()
        if skipped is None:
            return
        error = context.get("exception")
        more = f"{skipped} more since the last message"
        if isinstance(error, OSError):
            log.warning("web: a connection failed: %s (%s)", error.strerror or error, more)
        else:
            log.error("web: %s (%s)", context["message"], more, exc_info=error)


def connections_for(web: WebSettings) -> Connections:
    """The limits of connections: by viewers, and by the descriptors that this process may have."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _BESIDE_VIEWERS + _CONNECTIONS_PER_VIEWER * web.max_viewers
    if descriptors != resource.RLIM_INFINITY:
        most = max(_FEWEST, min(most, descriptors // _DESCRIPTORS_SHARE))
    proxies = [ipaddress.ip_network(proxy) for proxy in web.trusted_proxies]

    def is_proxy(address: str) -> bool:
        try:
            return any(ipaddress.ip_address(address) in proxy for proxy in proxies)
        except ValueError:  # the peer was gone before its address was known
            return False

    # One address leaves half of them to others.
    return Connections(most, most // 2, is_proxy)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=_QUEUE)
        listening.setblocking(False)
        # Accepted connections inherit it.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREACHABLE_MS)
        return listening
    except OSError as error:
        raise SinkError(
            f"web: cannot listen on {host} port {port}: {_words(error, port)}"
        ) from error


def _words(error: OSError, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "the port is in use; stop the other program, or set another web.port"
        case errno.EACCES:
            return f"only root may use port {port}; set web.port above 1023"
        case errno.EADDRNOTAVAIL:
            return "not an address of this device; set web.host to one of its own, or 0.0.0.0"
    return f"{error.strerror}; change web.host"
