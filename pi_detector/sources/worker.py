"""The process of an isolated source: it opens one source, or pictures, and sends the frames.

Started by ``isolated_process`` as ``python -m pi_detector.sources.worker LINK MEMORY PID``
with two inherited file descriptors and the process id of the parent. Everything else comes over
the link, because others can read the arguments of a process.

Nothing here may end the parent's work: signals that ask a program to end are the parent's business,
a stdout that libraries print to is the parent's stderr, and data that makes a decoder ask for all
memory of the machine gets none.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pi_detector.errors import PiDetectorError

if TYPE_CHECKING:
    from pi_detector.config.settings import SourceSettings
    from pi_detector.core.frame import Frame, ImageArray
    from pi_detector.sources import isolated_link
    from pi_detector.sources.base import Source

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
# Of 1000, added to the share of memory in use: well above the parent's.
_OOM_SCORE = 300
# Bytes that this process may allocate: half of the machine's memory, within limits.
_LEAST_MEMORY = 256 * 1024 * 1024
_MOST_MEMORY = 2 * 1024 * 1024 * 1024
_LEFT_TO_THE_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(argv: list[str]) -> None:
    """Serve the parent until it closes the link, or dies."""
    socket_fd, memory_fd, parent = map(int, argv)
    _die_with(parent)
    _settle_in()
    with socket.socket(fileno=socket_fd) as link, contextlib.suppress(ConnectionError):
        _Server(link, memory_fd).run()
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
    _limit(resource.RLIMIT_CORE, 0)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    _limit(resource.RLIMIT_DATA, min(max(_LEAST_MEMORY, memory // 2), _MOST_MEMORY))


def _limit(kind: int, value: int) -> None:
    """Set a limit of this process, unless it is stricter already."""
    soft, hard = resource.getrlimit(kind)
    if soft == resource.RLIM_INFINITY or value < soft:
        with contextlib.suppress(OSError):  # a sandbox may forbid it
            resource.setrlimit(kind, (value, hard))


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

    def __init__(self, link: socket.socket, memory_fd: int) -> None:
        # Only now: what may fail or take long comes after the promise to die with the parent.
        import cv2

        from pi_detector.sources import isolated_link

        cv2.setNumThreads(1)
        self._link = link
        self._messages = isolated_link
        self._memory = isolated_link.FrameWriter(memory_fd)

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
            self._serve_pictures()
            return
        source = self._open(todo.settings, todo.model_size)
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
        while path := self._link.recv(self._messages.LONGEST_PACKET):
            try:
                image = decode_picture(Path(os.fsdecode(path)))
                answer = frames.from_bgr(image, Moment.now())
            except Exception as error:  # noqa: BLE001 - raised again by the parent
                self._send(self._failed(error))
            else:
                self._answer(answer)

    def _open(self, settings: SourceSettings, model_size: tuple[int, int] | None) -> Source | None:
        from pi_detector.sources.registry import make_source

        try:
            source = make_source(settings)
            source.open(model_size)
        except Exception as error:  # noqa: BLE001 - raised again by the parent
            self._send(self._failed(error))
            return None
        self._send(self._messages.Opened())
        return source

    def _serve(self, source: Source) -> None:
        ahead = None if source.live else self._read(source)
        while self._link.recv(self._messages.LONGEST_PACKET) == self._messages.READ:
            answer = self._read(source) if ahead is None else ahead
            self._answer(answer)
            if not source.live and not isinstance(answer, self._messages.Ended):
                ahead = self._read(source)

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
