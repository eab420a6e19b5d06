"""The process of an isolated source: opens one source, or images, and sends the frames.

Started by ``isolated_process`` as ``python -m pi_detector.sources.worker LINK MEMORY PID PIXELS``
with two inherited file descriptors, the process ID of the parent and the size of the largest image.
Everything else comes over the link, because others can read the arguments of a process.

Nothing here may end the parent's work: the parent handles signals to stop, reads what libraries
print to stderr, and a decoder that damaged data makes ask for all memory gets none. Data that takes
over the decoder is confined to this process.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import queue
import resource
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pi_detector.errors import BadImageError, PiDetectorError, SourceNotFoundError
from pi_detector.util.confinement.confine import Needs, confine, limit
from pi_detector.util.memory import fix_largest_image

if TYPE_CHECKING:
    from pi_detector.core.frame import Frame, ImageArray
    from pi_detector.sources import isolated_link
    from pi_detector.sources.base import Source

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
# Of 1000, added to the share of memory in use: well above the parent's.
_OOM_SCORE = 300
# Bytes that this process may allocate: what Python, OpenCV and their threads' stacks take, and
# what a decoder needs for each pixel, the frames that a video refers to included.
_PROGRAM_BYTES = 192 * 1024 * 1024
_BYTES_PER_PIXEL = 20
# Address space beside that: code, files, and what is reserved but not used.
_ADDRESS_BYTES = 2 * 1024 * 1024 * 1024
_LEFT_TO_THE_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(argv: list[str]) -> None:
    """Serve the parent until it closes the link, or dies."""
    socket_fd, memory_fd, parent, largest = map(int, argv)
    _die_with(parent)
    _settle_in()
    with socket.socket(fileno=socket_fd) as link, contextlib.suppress(ConnectionError):
        _Server(link, memory_fd, largest).run()
    sys.stderr.flush()
    # Destructors of libraries and their threads may hang or crash, and have nothing left to do.
    os._exit(os.EX_OK)


def _die_with(parent: int) -> None:
    """Make the kernel kill this process when the parent's thread that started it ends.

    Source: prctl(2). A parent that died before the call is noticed afterwards.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    if os.getppid() != parent:
        os._exit(os.EX_UNAVAILABLE)


def _settle_in() -> None:
    for number in _LEFT_TO_THE_PARENT:
        signal.signal(number, signal.SIG_IGN)
    # The parent blocked them, so that none arrives before this line.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _LEFT_TO_THE_PARENT)
    with contextlib.suppress(OSError):  # stderr may be closed
        os.dup2(2, 1)
    with contextlib.suppress(OSError):  # a container may forbid it
        score = Path("/proc/self/oom_score_adj")
        score.write_text(str(min(1000, int(score.read_text("ascii")) + _OOM_SCORE)), "ascii")
    # A camera that sends damage day and night must not fill the disk with dumps.
    limit(resource.RLIMIT_CORE, 0)


def _limit_memory(largest: int, shared: int) -> None:
    """Bound what this process can take of the machine's memory, the shared memory included."""
    private = _PROGRAM_BYTES + largest * _BYTES_PER_PIXEL
    limit(resource.RLIMIT_DATA, private)
    limit(resource.RLIMIT_AS, private + shared + _ADDRESS_BYTES)
    # The shared memory is a file that only grows; other files this process does not write.
    limit(resource.RLIMIT_FSIZE, shared)


class _Forwarder(logging.Handler):
    """Sends log messages to the parent, which writes them where it writes its own."""

    def __init__(self, link: socket.socket) -> None:
        super().__init__()
        self._link = link

    def emit(self, record: logging.LogRecord) -> None:
        from pi_detector.sources.isolated_link import Logged, encode, pack_text

        message = Logged(record.name, record.levelno, pack_text(self.format(record)))
        # A parent that does not read must not stop a thread that only has something to tell.
        with contextlib.suppress(OSError):
            self._link.send(encode(message), socket.MSG_DONTWAIT)


class _Server:
    """Opens a source and answers requests with its frames.

    A source that is not live is read one frame ahead, while the parent works on the last one.
    """

    def __init__(self, link: socket.socket, memory_fd: int, largest: int) -> None:
        # Only now: what may fail or take long comes after the promise to die with the parent.
        import cv2

        from pi_detector.sources import isolated_link

        cv2.setNumThreads(1)
        fix_largest_image(largest)
        _limit_memory(largest, isolated_link.memory_size(largest))
        self._link = link
        self._messages = isolated_link
        self._memory = isolated_link.FrameWriter(memory_fd)
        self._name = ""

    def run(self) -> None:
        """Serve until the parent closes the source."""
        self._send(self._messages.Started())
        job = self._link.recv(self._messages.LONGEST_PACKET)
        if not job:
            return
        todo = self._messages.unpack_job(job)
        # The parent puts the message into its own form.
        logging.basicConfig(
            level=todo.log_level, format="%(message)s", handlers=[_Forwarder(self._link)]
        )
        if todo.settings is None:
            log.debug("pictures are decoded with: %s", confine(Needs()))
            self._serve_pictures()
            return
        source = self._open(todo)
        if source is None:
            return
        self._serve(source)
        # What cannot be closed is given back by the end of the process.
        with contextlib.suppress(PiDetectorError):
            source.close()

    def _serve_pictures(self) -> None:
        from pi_detector.sources.framing import FrameMaker, Moment
        from pi_detector.sources.images import decode_picture

        self._send(self._messages.Opened())
        frames = FrameMaker("pictures")
        while True:
            request, files, _, _ = socket.recv_fds(self._link, len(self._messages.READ), 1)
            if not request:
                return
            try:
                with open(files[0], "rb") as file:  # noqa: PTH123 - it is open
                    image = decode_picture(file)
                answer = frames.from_bgr(image, Moment.now())
            except Exception as error:  # noqa: BLE001 - raised again by the parent
                self._send(self._failed(error))
            else:
                self._answer(answer)

    def _open(self, todo: isolated_link.Job) -> Source | None:
        from pi_detector.sources import ffmpeg_watch
        from pi_detector.sources.base import limit_rate, send_packets
        from pi_detector.sources.isolated_packets import PacketSender
        from pi_detector.sources.media import needs_of
        from pi_detector.sources.registry import make_recording, make_source

        assert todo.settings is not None
        ffmpeg_watch.watch_openings(self._refuse)
        try:
            if todo.starts_at is None:
                source = make_source(todo.settings)
            else:
                source = make_recording(todo.settings, todo.starts_at)
            self._name = source.name
            log.debug("%s is read with: %s", self._name, confine(needs_of(todo.settings)))
            limit_rate(source, todo.rate_fps)
            if todo.packets:
                send_packets(source, PacketSender(self._send).put)
            source.open(todo.model_size)
        except Exception as error:  # noqa: BLE001 - raised again by the parent
            self._send(self._failed(error))
            return None
        self._send(self._messages.Opened())
        return source

    def _refuse(self, host: str, port: int) -> NoReturn:
        """Say where the server has this process connect to, and end it before it does."""
        error = SourceNotFoundError(
            f"{self._name}: the server redirects to {host} port {port}; if you trust that, set "
            "source.uri to that address, or source.playlists to true"
        )
        self._send(self._failed(error))
        os._exit(os.EX_NOPERM)

    def _serve(self, source: Source) -> None:
        from pi_detector.sources.base import limit_rate

        ahead = None if source.live else self._read(source)
        requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(
            target=self._listen, args=(source, requests), name="requests", daemon=True
        ).start()
        while request := requests.get():
            limit_rate(source, self._messages.rate_of(request))
            answer = self._read(source) if ahead is None else ahead
            self._answer(answer)
            if not source.live and not isinstance(answer, self._messages.Ended):
                ahead = self._read(source)

    def _listen(self, source: Source, requests: queue.SimpleQueue[bytes]) -> None:
        """Hear the parent also while the source is read, which may take a while."""
        from pi_detector.sources.base import rest

        request = b" "
        while request:
            try:
                request = self._link.recv(self._messages.LONGEST_PACKET)
            except OSError:
                request = b""
            still = self._messages.rest_of(request)
            if still is None:
                requests.put(request)
            else:
                rest(source, still)

    def _read(self, source: Source) -> Frame | isolated_link.Message:
        try:
            return source.read() or self._messages.Ended()
        except Exception as error:  # noqa: BLE001 - raised again by the parent
            return self._failed(error)

    def _answer(self, answer: Frame | isolated_link.Message) -> None:
        if isinstance(answer, self._messages.Message):
            self._send(answer)
            return
        model_input = answer.model_input
        try:
            self._memory.put(answer.image, model_input)
        except BadImageError as error:
            named = f"{self._name}: {error}" if self._name else str(error)
            self._send(self._failed(BadImageError(named)))
            return
        except OSError as error:
            self._send(self._failed(error))
            return
        self._send(
            self._messages.Delivered(
                sequence=answer.sequence,
                captured_ns=answer.captured_ns,
                captured_at=answer.captured_at,
                shape=_shape(answer.image),
                model_shape=None if model_input is None else _shape(model_input),
                path=None if answer.path is None else self._messages.pack_text(answer.path),
            )
        )

    def _failed(self, error: Exception) -> isolated_link.Failed:
        log.debug("traceback of the error below", exc_info=error)
        return self._messages.Failed(type(error).__name__, self._messages.pack_text(str(error)))

    def _send(self, message: isolated_link.Message) -> None:
        self._link.send(self._messages.encode(message))


def _shape(image: ImageArray) -> isolated_link.Shape:
    height, width, channels = image.shape
    return height, width, channels


if __name__ == "__main__":
    main(sys.argv[1:])
