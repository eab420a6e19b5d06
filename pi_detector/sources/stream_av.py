"""Streams by PyAV: packets with their times, of which no more are decoded than needed."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Iterator
from typing import Any

import av

from pi_detector.core.packets import TakePacket
from pi_detector.errors import BadImageError, SourceLostError, SourceStalledError
from pi_detector.sources.capture import Captured
from pi_detector.sources.decoder import UndecodableError
from pi_detector.sources.frames_av import AV_ERRORS, FrameImages
from pi_detector.sources.framing import Moment
from pi_detector.sources.packet_choice import StreamDecoder
from pi_detector.sources.packets_av import PacketMaker
from pi_detector.sources.whole_packets import WholePackets
from pi_detector.util.memory import check_size
from pi_detector.util.rate_limit import Pace

log = logging.getLogger(__name__)

# A stream that is joined in the middle begins at its next keyframe.
_FIRST_FRAME_S = 12.0
# Of the deadline: keyframes that are further apart are not waited for, so that a frame comes in
# time even if one is late.
_GAP_SHARE = 0.7
_FAULTS = 10


class AvStream:
    """An open stream. See ``Capture``.

    Args:
        uri: as FFmpeg takes it.
        name: of the source, for messages.
        timeout_s: deadline of opening, and of a frame, in seconds.
        options: of FFmpeg's demuxer and protocols.
        take_packet: receives each packet; None for nobody.

    Raises:
        UndecodableError: it cannot be opened, or has no video; the reason may have secrets in it.
        BadImageError: its frames are too large.
    """

    def __init__(
        self,
        uri: str,
        name: str,
        timeout_s: float,
        options: dict[str, str],
        take_packet: TakePacket | None = None,
    ) -> None:
        self._name = name
        self._take_packet = take_packet
        self._timeout_s = timeout_s
        try:
            self._container: Any = av.open(uri, options=options, timeout=(timeout_s, timeout_s))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise UndecodableError(getattr(error, "strerror", None) or str(error)) from error
        try:
            self._open_video()
        except BaseException:
            self._container.close()
            raise

    def _open_video(self) -> None:
        try:
            stream: Any = self._container.streams.video[0]
        except IndexError as error:
            raise UndecodableError("no video in it") from error
        if stream.codec_context is None:
            raise UndecodableError("no decoder for its video format")
        self.size = (stream.codec_context.width, stream.codec_context.height)
        self.codec = str(stream.codec_context.name)
        self._stream = stream
        self._check_size(*self.size)
        self._decoder = StreamDecoder(stream, self._timeout_s * _GAP_SHARE)
        self._images = FrameImages()
        take = self._take_packet
        self._packet_maker = None if take is None else PacketMaker(stream, take)
        self._whole = WholePackets(intra_only=bool(stream.codec_context.codec.intra_only))
        self._packets: Iterator[Any] = self._container.demux(stream)
        self._ahead: Captured | None = None

    def start(self) -> None:
        """Wait for the first frame, which may take longer than others.

        Raises:
            SourceStalledError, SourceLostError: there is none.
            BadImageError: it is too large.
        """
        self._ahead = self._next(Pace(), max(self._timeout_s, _FIRST_FRAME_S))

    def read(self, pace: Pace) -> Captured:
        """The next frame that is due.

        Raises:
            SourceStalledError: nothing arrived within the deadline.
            SourceLostError: the server closed the connection.
            BadImageError: the frame is too large.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is not None and pace.take(ahead.moment.monotonic_ns):
            return ahead
        return self._next(pace, self._timeout_s)

    def rest(self, still: bool) -> None:
        """Whether keyframes suffice, because nothing moves. From any thread."""
        self._decoder.still = still

    def release(self) -> None:
        """Disconnect."""
        self._container.close()
        gc.collect()  # the frame whose side data were read

    def _next(self, pace: Pace, patience_s: float) -> Captured:
        started_s = time.monotonic()
        skipped = 0
        while True:
            received = self._receive(started_s)
            moment = Moment.now()
            frame = None
            for packet in self._whole.take(received):
                if self._packet_maker is not None:
                    self._packet_maker.put(packet, moment)
                frame = self._decoder.decode(packet, moment.monotonic_ns, pace)
            if frame is not None or self._decoder.resting:
                started_s = time.monotonic()
            elif time.monotonic() - started_s >= patience_s:
                raise self._stalled(started_s)
            if frame is not None and pace.is_due(moment.monotonic_ns):
                self._check_size(frame.width, frame.height)
                image = self._images.upright(frame)
                if image is not None:
                    pace.step(moment.monotonic_ns)
                    return Captured(image, moment, skipped, is_rgb=True)
            skipped += 1

    def _receive(self, started_s: float) -> Any:
        for _ in range(_FAULTS):
            try:
                packet = next(self._packets, None)
            except av.error.ExitError as error:  # PyAV's deadline
                raise self._stalled(started_s) from error
            except AV_ERRORS as error:
                log.debug("%s: skipped a packet: %s", self._name, error)
                self._packets = self._container.demux(self._stream)
                continue
            if packet is None or packet.size == 0:  # the last one ends the decoder
                break
            return packet
        raise SourceLostError(f"{self._name}: the stream ended; check the cable or the server")

    def _check_size(self, width: int, height: int) -> None:
        try:
            check_size(width, height)
        except BadImageError as error:
            raise BadImageError(f"{self._name}: {error}") from error

    def _stalled(self, started_s: float) -> SourceStalledError:
        return SourceStalledError(
            f"{self._name}: no frame for {time.monotonic() - started_s:.1f} s; check the camera, "
            "or raise source.read_timeout_s if it is that slow"
        )
