"""A source in a separate process: a crash or hang there is an ordinary error here.

Streams and video files are decoded by FFmpeg, which damaged data may crash or hang together with
its process. Here that is a child process, started at every opening and killed when it does not
respond. Images have their own process, see ``isolated_pictures``.

Cost, measured by ``benchmarks/isolation.py`` on an x86-64 machine with two cores: 0.3 s to open; 56
MiB of RSS at 640x480, 38 MiB of it private (PSS; 69 and 49 MiB at 1920x1080); 0.6 ms to hand over a
frame of 640x480, 1.9 ms of 1920x1080. In return a file's next frame is decoded while this one is
processed: with 12 ms of work per frame, a 1920x1080 file took 14.5 ms per frame, against 20.0 ms in
the same process.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime

import msgspec

from pi_detector import errors
from pi_detector.config.settings import SourceSettings
from pi_detector.core.frame import Frame
from pi_detector.core.packets import TakePacket
from pi_detector.errors import (
    BadImageError,
    ConfigError,
    PiDetectorError,
    SourceLostError,
    SourceStalledError,
)
from pi_detector.sources.base import Paced, Resting, SendsPackets, Source
from pi_detector.sources.framing import FrameMaker, Moment
from pi_detector.sources.isolated_link import (
    LONGEST_PACKET,
    Delivered,
    Ended,
    Failed,
    Job,
    Message,
    Opened,
    pack_job,
    read_request,
    rest_request,
    unpack_text,
)
from pi_detector.sources.isolated_process import (
    IsolatedProcess,
    ProcessDiedError,
    ProcessInterruptedError,
    ProcessSilentError,
    start_process,
)
from pi_detector.sources.media import STDIN

log = logging.getLogger(__name__)

# Opening, the start of the process included, takes this long at most beside the time of a read:
# sources allow themselves 15 s for a Pi camera, or 2 s to find out why a stream does not open.
_OPEN_LIMIT_S = 45.0
_READ_GRACE_S = 2.0
# A frame of a large file may take long on a small board, whatever the deadline of cameras.
_LEAST_FILE_TIMEOUT_S = 10.0
# Of files, whose frames beyond the rate are decoded before one is sent: so much slower than it
# plays may a video be decoded.
_SLOWEST_DECODING = 10.0
_CLOSE_TIMEOUT_S = 2.0


class IsolatedSource:
    """A source whose frames are read in a separate process.

    One request brings one frame, through memory shared by both processes; if the source is not
    live, the next frame is decoded meanwhile. Each side copies a frame once.

    Args:
        inner: the source; only its ``name`` and ``live`` are used here.
        settings: settings that create the same source in the process.
        starts_at: start of a recording, see ``VideoSource``.
    """

    def __init__(
        self, inner: Source, settings: SourceSettings, starts_at: datetime | None = None
    ) -> None:
        self.name = inner.name
        self.live = inner.live
        self._paced = isinstance(inner, Paced)
        self._rests = isinstance(inner, Resting)
        self._still = False
        self._sends_packets = isinstance(inner, SendsPackets)
        self._take_packet: TakePacket | None = None
        self._settings = msgspec.structs.replace(settings, isolation="off")
        self._starts_at = starts_at
        self._frames = FrameMaker(self.name)
        self._rate_fps: float | None = None
        self._expected = 0
        self._interrupted = False
        self._process: IsolatedProcess | None = None

    def open(self, model_size: tuple[int, int] | None = None) -> None:
        """Start the process, and open the source there.

        Args:
            model_size: see ``Source.open``.

        Raises:
            PiDetectorError: what the source raises.
            SourceStalledError: it did not open within its deadline.
            SourceLostError: the process of a live source died, or none can be started.
            BadImageError: the process of a file died.
        """
        self.close()
        settings = self._settings
        level, rate_fps = log.getEffectiveLevel(), self._rate_fps
        packets = self._take_packet is not None
        job = pack_job(Job(settings, model_size, level, self._starts_at, rate_fps, packets))
        if len(job) > LONGEST_PACKET:
            raise ConfigError(
                f"source.uri: {len(settings.uri)} characters are too long; shorten it"
            )
        deadline_s = time.monotonic() + _OPEN_LIMIT_S + settings.read_timeout_s
        pixels = settings.width * settings.height if self.live else 0
        process = self._process = start_process(
            self.name, pixels, reads_stdin=settings.uri == STDIN
        )
        if self._take_packet is not None:
            process.receive_packets(self._take_packet)
        self._expected = 0
        if self._interrupted:  # while it started
            process.interrupt()
        try:
            answer = self._ask(process, job, deadline_s - time.monotonic())
            if isinstance(answer, Failed):
                raise self._error_of(answer)
            if not isinstance(answer, Opened):
                raise self._died("sent an invalid reply")
        except ProcessInterruptedError:
            self.close()
            return
        except BaseException:
            self.close()
            raise
        if self._still:
            self.rest(self._still)
        log.debug("%s: read in process %d", self.name, process.pid)

    def read(self) -> Frame | None:
        """The next frame; None at the end of a file.

        Raises:
            PiDetectorError: what the source raises.
            SourceStalledError: the process did not answer, and was killed.
            SourceLostError: the process of a live source died, as under a damaged stream.
            BadImageError: the process of a file died.
        """
        if self._interrupted:
            return None
        if self._process is None:
            raise SourceLostError(f"{self.name}: not open; open it first")
        try:
            rate_fps = self._rate_fps
            answer = self._ask(self._process, read_request(rate_fps), self._timeout_s(rate_fps))
            match answer:
                case Ended():
                    return None
                case Failed():
                    error = self._error_of(answer)
                case Delivered():
                    return self._frame(self._process, answer)
                case _:
                    raise self._died("sent an invalid reply")
        except ProcessInterruptedError:
            self.close()
            return None
        except BaseException:
            # An answer that comes late would be taken for that of the next request.
            self.close()
            raise
        raise error

    def close(self) -> None:
        """End the process, by force when it does not end by itself."""
        process, self._process = self._process, None
        if process is not None:
            process.end(0 if self._interrupted else _CLOSE_TIMEOUT_S)

    def limit_rate(self, rate_fps: float | None) -> bool:
        """Read at most so many frames per second, see ``Paced``: the process skips the others."""
        self._rate_fps = rate_fps
        return self._paced

    def rest(self, still: bool) -> None:
        """Say whether nothing moves, see ``Resting``: the process hears it while it reads."""
        self._still = still
        process = self._process
        if self._rests and process is not None:
            process.notify(rest_request(still))

    def send_packets(self, take: TakePacket) -> None:
        """Give the packets away, see ``SendsPackets``: the process sends them before frames."""
        if self._sends_packets:
            self._take_packet = take

    def interrupt(self) -> None:
        """End ``open`` and ``read`` at once, now and in future. May be called from any thread.

        ``read`` then returns None, as at the end of a file.
        """
        self._interrupted = True
        process = self._process
        if process is not None:
            process.interrupt()

    def _ask(self, process: IsolatedProcess, request: bytes, timeout_s: float) -> Message:
        try:
            process.send(request)
            return process.receive(timeout_s)
        except ProcessDiedError as error:
            raise self._died(str(error)) from error
        except ProcessSilentError as error:
            raise SourceStalledError(
                f"{self.name}: the reading process did not respond for {timeout_s:.1f} s and was "
                "killed; "
                f"{self._advice()}"
            ) from error

    def _frame(self, process: IsolatedProcess, answer: Delivered) -> Frame:
        try:
            image, model_input = process.take(answer.shape, answer.model_shape)
        except ProcessDiedError as error:
            raise self._died(str(error)) from error
        skipped = max(0, answer.sequence - self._expected)
        self._expected = answer.sequence + 1
        return self._frames.from_rgb(
            image,
            Moment(answer.captured_ns, answer.captured_at),
            model_input=model_input,
            path=None if answer.path is None else unpack_text(answer.path),
            skipped=skipped,
        )

    def _timeout_s(self, rate_fps: float | None) -> float:
        """Of a read, at a rate."""
        timeout_s = self._settings.longest_wait_s
        interval_s = 1 / rate_fps if rate_fps else 0.0
        if not self.live:
            timeout_s = max(timeout_s, _LEAST_FILE_TIMEOUT_S)
            interval_s *= _SLOWEST_DECODING
        return timeout_s + interval_s + _READ_GRACE_S

    def _died(self, how: str) -> PiDetectorError:
        kind = SourceLostError if self.live else BadImageError
        return kind(f"{self.name}: the decoder {how}; {self._advice()}")

    def _advice(self) -> str:
        if self.live:
            return "the stream or camera may be damaged"
        return "the file may be damaged, check it with 'ffprobe'"

    def _error_of(self, failed: Failed) -> PiDetectorError:
        """The error that the source raised in the process; foreign ones become ours."""
        text = unpack_text(failed.text)
        kind = getattr(errors, failed.kind, None)
        if isinstance(kind, type) and issubclass(kind, PiDetectorError):
            return kind(text)
        return self._died(f"failed ({failed.kind}: {text})")
