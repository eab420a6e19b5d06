"""A broker of a few lines, which can do what a real one never does; for protocol 3.1.1 and 5."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, DISCONNECT = 1, 2, 3, 4, 8, 9, 14
PATIENCE_S = 30.0


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.01)


class FakeBroker:
    """Confirms everything; keeps nothing.

    Attributes:
        port: on 127.0.0.1.
        published: topics and payloads in their order, and whether they are to be retained.
        filters: what was subscribed to.
        clients: client ids, one for each connection.
        refuse: filters whose subscription is refused.
    """

    def __init__(self, version: str) -> None:
        self.published: list[tuple[str, bytes, bool]] = []
        self.filters: list[str] = []
        self.clients: list[str] = []
        self.refuse: set[str] = set()
        self.hang_up = False
        self._v5 = version == "5"
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def last(self, topic: str) -> bytes | None:
        return next((p for t, p, _ in reversed(list(self.published)) if t == topic), None)

    def send(self, topic: bytes, payload: bytes, retain: bool = False) -> None:
        body = len(topic).to_bytes(2, "big") + topic + (b"\0" if self._v5 else b"") + payload
        self._sockets[-1].sendall(packet(PUBLISH, body, flags=int(retain)))

    def end(self, reason: int) -> None:
        """End the connection, with a reason in protocol 5."""
        if self._v5:
            self._sockets[-1].sendall(packet(DISCONNECT, bytes([reason, 0])))
        self._sockets[-1].close()

    def close(self) -> None:
        self._server.close()
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._sockets.append(connection)
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        with suppress(OSError):  # the test closed it
            while head := stream.read(1):
                self._answer(connection, head[0], stream.read(_length(stream.read)))

    def _answer(self, connection: socket.socket, head: int, body: bytes) -> None:
        extra = b"\0" if self._v5 else b""
        kind = head >> 4
        if kind == CONNECT:
            # Protocol name, level, flags, keepalive, then properties of protocol 5.
            at = 10 + (1 + body[10] if self._v5 else 0)
            size = int.from_bytes(body[at : at + 2], "big")
            self.clients.append(body[at + 2 : at + 2 + size].decode())
            connection.sendall(packet(CONNACK, b"\0\0" + extra))
        elif kind == SUBSCRIBE:
            start = 2 + len(extra)
            name = body[start + 2 : -1].decode()
            self.filters.append(name)
            code = (0x87 if self._v5 else 0x80) if name in self.refuse else 0
            connection.sendall(packet(SUBACK, body[:2] + extra + bytes([code])))
            if self.hang_up and name.endswith("/status"):
                connection.shutdown(socket.SHUT_RDWR)
        elif kind == PUBLISH:
            size = int.from_bytes(body[:2], "big")
            rest = body[2 + size :]
            if head & 0b110:
                connection.sendall(packet(PUBACK, rest[:2]))
                rest = rest[2:]
            payload = rest[len(extra) :]
            self.published.append((body[2 : 2 + size].decode(), payload, bool(head & 1)))


def packet(kind: int, body: bytes, flags: int = 0) -> bytes:
    size, left = b"", len(body)
    while True:
        left, digit = divmod(left, 128)
        size += bytes([digit | (0x80 if left else 0)])
        if not left:
            return bytes([kind << 4 | flags]) + size + body


def _length(read: Callable[[int], bytes]) -> int:
    size, shift = 0, 0
    while True:
        digit = read(1)[0]
        size |= (digit & 0x7F) << shift
        shift += 7
        if not digit & 0x80:
            return size
