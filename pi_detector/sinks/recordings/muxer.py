"""Writes encoded frames as fragmented MP4, which plays wherever it is cut off, or as MPEG-TS."""

from __future__ import annotations

import io
import weakref
from contextlib import suppress
from fractions import Fraction
from typing import Any

from pi_detector.errors import SinkError
from pi_detector.sinks.recordings.encoder import TICKS, Shot, av_errors, load_av

# Each fragment describes itself, so that a file without its end plays; its offsets are from its
# own start, so that players need no more than it.
_OPTIONS = {
    "mp4": {"movflags": "frag_keyframe+empty_moov+default_base_moof"},
    "mpegts": {"flush_packets": "1", "mpegts_flags": "resend_headers"},
}


class _Written:
    """The file that PyAV writes to: memory, so that a disk's errors are not PyAV's."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def write(self, data: Any) -> int:
        self._bytes += data
        return len(data)

    def taken(self) -> bytes:
        data = bytes(self._bytes)
        self._bytes.clear()
        return data


class Muxer:
    """Turns shots into the bytes of an MP4 file; a fragment is a keyframe and what follows it.

    Of a transport stream, bytes are ready after each shot.

    The time of a shot in the file is that of its capture: the speed is that of life, at whatever
    rate frames came.

    Args:
        headers: see ``Encoder`` and ``Track``.
        codec: ``h264`` or ``hevc``.
        size: (width, height) in pixels, where the headers are parameter sets alone. Then no picture
            is decoded here, which a stranger may have sent.
        container: ``mp4``, or ``mpegts``.
    """

    def __init__(
        self,
        headers: bytes,
        codec: str = "h264",
        size: tuple[int, int] | None = None,
        container: str = "mp4",
    ) -> None:
        self._av = load_av()
        self._written = _Written()
        self._first_ns: int | None = None
        with (
            av_errors(self._av, "writing MP4"),
            self._av.open(io.BytesIO(headers), format=codec) as template,
        ):
            like = template.streams.video[0]
            self._output = self._av.open(
                self._written, "w", format=container, options=_OPTIONS[container]
            )
            weakref.finalize(self, _close, self._av, self._output)
            of_today = hasattr(self._output, "add_stream_from_template")  # PyAV 14 and later
            if of_today:
                self._stream = self._output.add_stream_from_template(like)
            else:
                self._stream = self._output.add_stream(template=like)
            if size is not None:
                context = self._stream.codec_context
                context.width, context.height = size
                if of_today:  # PyAV 14 opens an encoder that it does not use
                    context.pix_fmt = context.pix_fmt or "yuv420p"

    def add(self, shot: Shot) -> bytes:
        """Add a shot; the first must be a keyframe.

        Returns:
            The bytes that became ready, in whole fragments; most often none.
        """
        if self._first_ns is None:
            self._first_ns = shot.captured_ns
        packet = shot.packet
        packet.stream = self._stream
        packet.dts = (shot.captured_ns - self._first_ns) * TICKS // 10**9
        packet.pts = packet.dts + shot.shift_ns * TICKS // 10**9
        packet.time_base = Fraction(1, TICKS)
        with av_errors(self._av, "writing MP4"):
            self._output.mux(packet)
        return self._written.taken()

    def finish(self) -> bytes:
        """The rest of the file."""
        with av_errors(self._av, "writing MP4"):
            self._output.close()
        return self._written.taken()


def _close(av: Any, output: Any) -> None:
    """Close what a failure left open, while the file behind it is still there.

    PyAV below 18 writes the rest of an open file when the garbage collector removes it, through a
    Python object that is gone by then, which ends the process.
    """
    with suppress(SinkError), av_errors(av, "writing MP4"):
        output.close()
