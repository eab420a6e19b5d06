"""The process of an isolated source, seen from the parent: start, request, end, clean up."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time

import msgspec

from pi_detector.core.frame import ImageArray
from pi_detector.core.packets import TakePacket
from pi_detector.errors import SourceLostError, SourceStalledError
from pi_detector.sources import isolated_link
from pi_detector.sources.isolated_link import (
    Logged,
    Message,
    PacketBegins,
    PacketPart,
    Shape,
    Started,
    TrackBegins,
)
from pi_detector.sources.isolated_packets import PacketReceiver
from pi_detector.util.memory import largest_image
from pi_detector.util.raw_lines import RawLines

log = logging.getLogger(__name__)

_MODULE = "pi_detector.sources.worker"
# A cold start from the SD card of a small board, with OpenCV to load.
_START_TIMEOUT_S = 30.0
_END_TIMEOUT_S = 1.0
# What the parent knows and the process need not, or must not use in the parent's name; and a proxy,
# which would be given the passwords of cameras.
_NOT_INHERITED = (
    *("PI_DETECTOR_", "NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "CREDENTIALS_", "JOURNAL_STREAM"),
    *("http_proxy", "https_proxy", "all_proxy"),
)
_STDERR_CHUNK = 64 * 1024


class ProcessDiedError(Exception):
    """The process is gone or sends invalid data. The message is how it ended."""


class ProcessSilentError(Exception):
    """The process did not respond within its deadline, and was killed."""


class ProcessInterruptedError(Exception):
    """Another thread ended the request."""


class IsolatedProcess:
    """A running process, with the socket and the memory shared with it.

    Output of its libraries to stderr becomes log messages of level debug.

    Args:
        name: name of the source.
        least_pixels: an image of this many pixels is never too large.
        reads_stdin: the process is given the standard input.

    Raises:
        OSError: no process can be started.
    """

    def __init__(self, name: str, least_pixels: int = 0, *, reads_stdin: bool = False) -> None:
        largest = max(largest_image(), least_pixels)
        self._memory_fd = isolated_link.make_memory()
        self._reader = isolated_link.FrameReader(self._memory_fd, largest)
        self._lines = RawLines(log, name)
        self._interrupted = False
        self._packets: PacketReceiver | None = None
        self._stderr, stderr = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                stdin = None if reads_stdin else subprocess.DEVNULL
                job = (theirs.fileno(), self._memory_fd, stdin, stderr, largest)
                self._process = _spawner().submit(_start, *job).result()
        except BaseException:
            self._release()
            raise
        finally:
            os.close(stderr)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not died since it was last asked."""
        return self._process.poll() is None

    def receive_packets(self, take: TakePacket) -> None:
        """Give packets that it sends to ``take``, within ``receive``."""
        self._packets = PacketReceiver(take)

    def send(self, packet: bytes) -> None:
        """Send a request.

        Raises:
            ProcessDiedError, ProcessInterruptedError: it is gone, or is not to answer.
        """
        try:
            self._link.send(packet)
        except OSError as error:
            raise self._ended() from error

    def notify(self, packet: bytes) -> None:
        """Send what needs no answer, if it can be sent now. May be called from any thread."""
        with contextlib.suppress(OSError):  # it is gone, which the next request will show
            self._link.send(packet, socket.MSG_DONTWAIT)

    def send_file(self, fd: int) -> None:
        """Send the request for a picture, with its open file.

        Raises:
            ProcessDiedError, ProcessInterruptedError: it is gone, or is not to answer.
        """
        try:
            socket.send_fds(self._link, [isolated_link.READ], [fd])
        except OSError as error:
            raise self._ended() from error

    def interrupt(self) -> None:
        """Have ``receive`` end at once. May be called from any thread."""
        self._interrupted = True
        with contextlib.suppress(OSError):  # it is closed
            self._link.shutdown(socket.SHUT_RDWR)

    def receive(self, timeout_s: float) -> Message:
        """The next message; log messages and packets are passed on on the way.

        Raises:
            ProcessDiedError: it is gone, or sends what is no message.
            ProcessSilentError: nothing came in time.
            ProcessInterruptedError: see ``interrupt``.
        """
        deadline = time.monotonic() + timeout_s
        while self._wait(deadline):
            try:
                packet = self._link.recv(isolated_link.LONGEST_PACKET)
            except OSError:
                packet = b""
            if not packet:
                raise self._ended()
            try:
                message = isolated_link.decode(packet)
            except msgspec.DecodeError as error:
                self._process.kill()
                raise ProcessDiedError("sent an invalid reply") from error
            if isinstance(message, Logged):
                _log(message)
            elif isinstance(message, TrackBegins | PacketBegins | PacketPart):
                self._pass_on(message)
            else:
                return message
        self._process.kill()
        raise ProcessSilentError

    def _pass_on(self, message: TrackBegins | PacketBegins | PacketPart) -> None:
        try:
            if self._packets is None:
                raise ValueError("nobody asked for packets")
            self._packets.put(message)
        except ValueError as error:
            self._process.kill()
            raise ProcessDiedError(f"sent an invalid reply ({error})") from error

    def _wait(self, deadline: float) -> bool:
        """Wait for a packet; what is written to stderr meanwhile is read."""
        poll = select.poll()
        poll.register(self._link, select.POLLIN)
        poll.register(self._stderr, select.POLLIN)
        while (left_s := deadline - time.monotonic()) > 0:
            for fd, _ in poll.poll(left_s * 1000):
                if fd == self._link.fileno():
                    self._read_stderr()
                    return True
                if not self._read_stderr():
                    poll.unregister(self._stderr)
        return False

    def _read_stderr(self) -> bool:
        """Read the available output. Returns whether more may come."""
        try:
            data = os.read(self._stderr, _STDERR_CHUNK)
        except BlockingIOError:
            return True
        self._lines.feed(data)
        return bool(data)

    def take(self, shape: Shape, model_shape: Shape | None) -> tuple[ImageArray, ImageArray | None]:
        """Copies of the frame that lies in the shared memory.

        Raises:
            ProcessDiedError: there is no such frame.
        """
        try:
            return self._reader.take(shape, model_shape)
        except ValueError as error:
            raise ProcessDiedError(f"sent an invalid reply ({error})") from error

    def end(self, patience_s: float) -> None:
        """End the process, by force after ``patience_s``, and give everything back."""
        # The end of the connection asks the process to close its source and to go.
        self._link.close()
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            try:
                self._process.wait(_END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                log.warning("process %d is stuck in the kernel and cannot be killed", self.pid)
        self._read_stderr()
        self._lines.flush()
        self._release()

    def _release(self) -> None:
        self._link.close()
        self._reader.close()
        os.close(self._memory_fd)
        os.close(self._stderr)

    def _ended(self) -> Exception:
        return ProcessInterruptedError() if self._interrupted else ProcessDiedError(self._how())

    def _how(self) -> str:
        try:
            code = self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return "closed the connection"
        self._read_stderr()
        self._lines.flush()
        last = f" ({self._lines.last})" if self._lines.last else ""
        if code >= 0:
            return f"ended with exit code {code}{last}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"was killed by {name}{last}"


def start_process(
    name: str, least_pixels: int = 0, *, reads_stdin: bool = False
) -> IsolatedProcess:
    """A process that waits for its job.

    Args:
        name: of the source, for messages.
        least_pixels: see ``IsolatedProcess``.
        reads_stdin: see ``IsolatedProcess``.

    Raises:
        SourceLostError: it cannot be started.
        SourceStalledError: it did not start within its deadline.
    """
    try:
        process = IsolatedProcess(name, least_pixels, reads_stdin=reads_stdin)
    except (OSError, RuntimeError) as error:
        raise _not_started(name, str(error)) from error
    try:
        first = process.receive(_START_TIMEOUT_S)
        if not isinstance(first, Started):
            raise ProcessDiedError("sent an invalid reply")
    except BaseException as error:
        process.end(0)
        if isinstance(error, ProcessDiedError):
            raise _not_started(name, str(error)) from error
        if isinstance(error, ProcessSilentError):
            raise SourceStalledError(
                f"{name}: the decoder process did not start within {_START_TIMEOUT_S:g} s; check "
                "the load of this device"
            ) from error
        raise
    return process


def _not_started(name: str, reason: str) -> SourceLostError:
    return SourceLostError(
        f"{name}: the decoder process cannot be started ({reason}); check the installation "
        "and the free memory, or set source.isolation to 'off'"
    )


@functools.cache
def _spawner() -> concurrent.futures.ThreadPoolExecutor:
    """The thread that starts processes, and lives as long as this process.

    The kernel kills a child with its parent when the *thread* that started it ends (prctl(2)), and
    sources are opened by threads that come and go. A child inherits the thread's blocked signals,
    and so misses none before it has decided what to do with them.
    """
    return concurrent.futures.ThreadPoolExecutor(1, "spawner", _block_signals)


def _block_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))


def _start(
    link_fd: int, memory_fd: int, stdin: int | None, stderr: int, largest: int
) -> subprocess.Popen[bytes]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_INHERITED)}
    # numpy would start a thread a core, with a buffer each, for algebra that no source does.
    environ["OPENBLAS_NUM_THREADS"] = "1"
    # Judged by an image's header, before there is memory for its pixels.
    environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(largest)
    numbers = map(str, (link_fd, memory_fd, os.getpid(), largest))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", _MODULE, *numbers],
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        env=environ,
        pass_fds=(link_fd, memory_fd),
    )


def _log(message: Logged) -> None:
    logger = logging.getLogger(message.logger)
    if logger.isEnabledFor(message.level):
        text = isolated_link.unpack_text(message.text)
        logger.handle(logger.makeRecord(message.logger, message.level, "", 0, text, (), None))
