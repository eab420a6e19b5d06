"""Records at a Unix-domain socket, for any number of programs on the same device."""

from __future__ import annotations

import logging
import os
import select
import socket
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from pi_detector.core.records import Publication
from pi_detector.core.result import Result
from pi_detector.errors import SinkError
from pi_detector.sinks.lines import LineFormat, line_of
from pi_detector.sinks.socket_file import SocketFile
from pi_detector.util.bounded_queue import BoundedQueue
from pi_detector.util.worker import Worker

log = logging.getLogger(__name__)

MOST_READERS = 32
BACKLOG = 64
"""Lines of frames that wait for a reader at most, beside what the kernel holds for it."""
# Of what the kernel holds for a reader: few lines, so that a slow one gets new ones.
_SEND_BUFFER_BYTES = 16 * 1024
_FAREWELL_S = 0.5
_BREATH_S = 0.1
_LOOK_S = 2.0


def _is_rare(line: tuple[bytes, bool]) -> bool:
    return line[1]


@dataclass(eq=False)
class _Reader:
    """A program that reads: what waits for it, and the rest of the line that it is getting."""

    connection: socket.socket
    lines: BoundedQueue[tuple[bytes, bool]] = field(
        default_factory=lambda: BoundedQueue(BACKLOG, lossless=False, is_precious=_is_rare)
    )
    rest: bytes = b""
    talks: bool = True

    def send(self) -> bool:
        """Send what it takes now. Returns whether that was all. Raises OSError when it is gone."""
        try:
            while True:
                if not self.rest:
                    line = self.lines.get(0)
                    if line is None:
                        return True
                    self.rest = line[0]
                self.rest = self.rest[self.connection.send(self.rest) :]
        except BlockingIOError:
            return False


class SocketSink:
    """Sends each connected program the lines published from then on.

    A separate thread serves the readers. A slow reader loses the oldest lines, those of frames
    first and always whole ones; it does not slow down the others.

    Args:
        path: path of the socket file.
        line_format: format of the lines.
        empty_frames: also send the record of a frame without detections.

    Attributes:
        setup: everything that it was made from; a reload keeps the sink if it is equal.
        lost: lines that readers were too slow for, over all former readers.
    """

    name = "socket"
    lossless = True

    def __init__(self, path: Path, *, line_format: LineFormat, empty_frames: bool) -> None:
        self.setup = (path, line_format, empty_frames)
        self.lost = 0
        self._path = path
        self._line_format: LineFormat = line_format
        self._empty_frames = empty_frames
        # Replaced, never changed: two threads look at it.
        self._readers: dict[int, _Reader] = {}
        self._file: SocketFile | None = None
        self._look_s = 0.0
        self._wake = -1
        self._poller = select.poll()
        self._closing = threading.Event()
        self._worker: Worker | None = None

    def start(self) -> None:
        """Listen, unless that works already.

        Raises:
            SinkError: another process listens there, or the file cannot be made.
        """
        if self._works:
            return
        self._hang_up()
        self._closing.clear()
        with ExitStack() as undo:
            self._file = SocketFile(self._path)
            undo.callback(self._file.close)
            self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            undo.callback(os.close, self._wake)
            self._poller = select.poll()
            self._poller.register(self._file.listener, select.POLLIN)
            self._poller.register(self._wake, select.POLLIN)
            self._worker = Worker("socket", self._serve)
            undo.pop_all()

    def handle(self, item: Publication) -> bool:
        """Hand the line of an item to all readers; waits for none.

        Returns:
            True: programs can connect.

        Raises:
            SinkError: nobody can connect any more.
        """
        assert self._worker is not None, "start() comes first"
        self._worker.check()
        self._see_file()
        readers = self._readers
        line = None
        if readers:
            line = line_of(item, self._line_format, empty_frames=self._empty_frames)
        if line is not None:
            for reader in readers.values():
                reader.lines.put((line, not isinstance(item, Result)))
            os.eventfd_write(self._wake, 1)
        return True

    def close(self) -> None:
        """Send what can be sent in a moment, and hang up. Raises what ended the thread."""
        worker = self._worker
        self._hang_up()
        if worker is not None:
            worker.check()

    @property
    def _works(self) -> bool:
        """Whether programs can connect, and are served."""
        if self._worker is None or self._file is None:
            return False
        return self._worker.running and not self._file.missing

    def _see_file(self) -> None:
        """Look now and then whether the socket's file was deleted. Raises SinkError."""
        now_s = time.monotonic()
        if now_s < self._look_s:
            return
        self._look_s = now_s + _LOOK_S
        if self._file is not None and self._file.missing:
            raise SinkError(f"{self._path}: the file was deleted; recreating it")

    def _hang_up(self) -> None:
        if self._worker is None or self._file is None:
            return
        self._closing.set()
        os.eventfd_write(self._wake, 1)
        if not self._worker.join(time.monotonic() + 2 * _FAREWELL_S):
            log.warning("socket: did not stop in time")
            return
        self._file.close()
        os.close(self._wake)
        self._file = self._worker = None

    def _serve(self) -> None:
        try:
            while not self._closing.is_set():
                self._attend(None)
            deadline = time.monotonic() + _FAREWELL_S
            while self._send() and (left_s := deadline - time.monotonic()) > 0:
                self._attend(left_s)
        finally:
            for reader in self._readers.values():
                self._drop(reader)

    def _attend(self, timeout_s: float | None) -> None:
        """Wait for something to do with readers, and do it."""
        assert self._file is not None
        timeout_ms = None if timeout_s is None else 1000 * timeout_s
        for descriptor, happened in self._poller.poll(timeout_ms):
            if descriptor == self._wake:
                os.eventfd_read(self._wake)
            elif descriptor == self._file.listener.fileno():
                self._accept(self._file.listener)
            else:
                self._listen_to(self._readers[descriptor], happened)
        self._send()

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:  # it changed its mind
            return
        except OSError as error:
            log.warning("socket: a reader cannot be accepted: %s", error.strerror)
            time.sleep(_BREATH_S)
            return
        if len(self._readers) >= MOST_READERS:
            log.warning("socket: a reader is refused: %d are connected already", MOST_READERS)
            connection.close()
            return
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self._poller.register(connection, select.POLLIN)
        self._readers = {**self._readers, connection.fileno(): _Reader(connection)}
        log.debug("socket: a reader connected, %d in all", len(self._readers))

    def _listen_to(self, reader: _Reader, happened: int) -> None:
        """Readers have nothing to say; but one may say that it is gone."""
        if happened & (select.POLLHUP | select.POLLERR):
            self._drop(reader)
        elif happened & select.POLLIN:
            try:
                reader.talks = bool(reader.connection.recv(4096))
            except OSError:
                self._drop(reader)

    def _send(self) -> bool:
        """Send what readers take now. Returns whether something is left."""
        left = False
        for reader in self._readers.values():
            try:
                done = reader.send()
            except OSError:
                self._drop(reader)
                continue
            # One that sends nothing any more may go on reading.
            wanted = (select.POLLIN if reader.talks else 0) | (0 if done else select.POLLOUT)
            self._poller.register(reader.connection, wanted)
            left = left or not done
        return left

    def _drop(self, reader: _Reader) -> None:
        descriptor = reader.connection.fileno()
        self._readers = {key: each for key, each in self._readers.items() if key != descriptor}
        self._poller.unregister(descriptor)
        reader.connection.close()
        self.lost += reader.lines.dropped
        if reader.lines.dropped:
            log.info("socket: a slow reader lost %d lines", reader.lines.dropped)
