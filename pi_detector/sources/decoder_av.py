"""Decoding by PyAV: FFmpeg with the frames' own times and display matrix."""

from __future__ import annotations

import gc
import logging
import struct
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import av
import av.logging
import av.video.reformatter
import numpy as np

from pi_detector.sources.decoder import DecodedFrame, IsWanted, UndecodableError, always, upright
from pi_detector.sources.media import demuxer_options

if TYPE_CHECKING:
    from pi_detector.core.frame import ImageArray

log = logging.getLogger(__name__)

# FFmpeg itself writes to stderr, one line per frame.
av.logging.set_level(av.logging.PANIC)

_MATRIX = struct.Struct("=9i")
_FIRST_WITH_THREADS = 17
_UNTURNED = (1, 0, 0, 1)


class AvDecoder:
    """A video, opened by PyAV. See ``Decoder``.

    Args:
        path: of the file.

    Raises:
        UndecodableError: it holds no video that can be decoded.
    """

    def __init__(self, path: str) -> None:
        self._errors: Any = (av.error.FFmpegError, ValueError)
        try:
            self._container: Any = av.open(path, options=demuxer_options("file"))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise UndecodableError(getattr(error, "strerror", None) or str(error)) from error
        try:
            self._stream: Any = self._container.streams.video[0]
        except IndexError as error:
            self._container.close()
            raise UndecodableError("no video in it") from error
        if self._stream.codec_context is None:
            self._container.close()
            raise UndecodableError("no decoder for its video format")
        # Several threads hold back a frame each, and the interpreter needs the cores.
        self._stream.codec_context.thread_count = 1
        self.size = (self._stream.codec_context.width, self._stream.codec_context.height)
        self.fps = _rate(self._stream)
        self.length_s = (self._container.duration or 0) / 1e6
        start, base = self._stream.start_time, self._stream.time_base
        self._start_s = float(start * base) if start is not None and base else 0.0
        # Before PyAV 17 a converter has no threads, nor a parameter for them.
        wanted = int(av.__version__.partition(".")[0]) >= _FIRST_WITH_THREADS
        self._one_thread = {"threads": 1} if wanted else {}
        self._converter = av.video.reformatter.VideoReformatter()
        self._matrix: tuple[int, int, int, int] | None = None
        self._rotation: float | None = None
        self._frames = self._decoded()

    def read(self, is_wanted: IsWanted = always) -> DecodedFrame | None:
        """The next frame that can be decoded and is wanted; None at the end."""
        for frame in self._frames:
            time_s = None if frame.time is None else float(frame.time) - self._start_s
            if is_wanted(time_s) and (image := self._upright(frame)) is not None:
                return DecodedFrame(image, time_s)
        return None

    def close(self) -> None:
        """Close the video."""
        self._frames.close()
        self._container.close()
        gc.collect()  # the frame whose side data were read, at the next round of a loop as well

    def _decoded(self) -> Generator[Any, None, None]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except self._errors as error:
                log.debug("the file ends here: %s", error)
                return
            if packet is None:
                return
            yield from self._frames_of(packet)

    def _frames_of(self, packet: Any) -> Iterator[Any]:
        try:
            yield from packet.decode()
        except self._errors as error:
            log.debug("skipped a packet: %s", error)

    def _upright(self, frame: Any) -> ImageArray | None:
        """(H, W, 3) uint8 RGB; None of a frame that cannot be converted."""
        try:
            image = self._rgb(frame)
        except self._errors as error:
            log.debug("skipped a frame: %s", error)
            return None
        matrix = self._matrix_of(frame)
        return np.asarray(image if matrix == _UNTURNED else upright(image, matrix), np.uint8)

    def _matrix_of(self, frame: Any) -> tuple[int, int, int, int]:
        """The display matrix, which hardly a video changes on its way.

        It is read once, and where the rotation changes (PyAV 14 and later): PyAV's side data and
        their frame refer to each other, so that a frame whose side data were read stays in memory
        until Python collects cycles, which may be hundreds of frames later.
        """
        rotation = getattr(frame, "rotation", None)
        if self._matrix is None or rotation != self._rotation:
            self._matrix, self._rotation = _matrix(frame), rotation
        return self._matrix

    def _rgb(self, frame: Any) -> ImageArray:
        """(H, W, 3) uint8 RGB, not yet upright.

        One converter for all frames, on this thread: a converter per frame would start a thread per
        core, which a process with few rights may not.
        """
        converted = self._converter.reformat(frame, format="rgb24", **self._one_thread)
        image: ImageArray = converted.to_ndarray()
        return image


def _rate(stream: Any) -> float:
    """Frames per second, or 0. The guess of FFmpeg allows for two fields a frame."""
    rate = stream.guessed_rate or stream.average_rate
    return float(rate) if rate else 0.0


def _matrix(frame: Any) -> tuple[int, int, int, int]:
    """a, b, c, d of a frame's display matrix. Source: FFmpeg's ``libavutil/display.h``."""
    found = frame.side_data.get("DISPLAYMATRIX")
    packed = b"" if found is None else bytes(found)
    if len(packed) < _MATRIX.size:
        return _UNTURNED
    a, b, _, c, d, *_ = _MATRIX.unpack(packed[: _MATRIX.size])
    return a, b, c, d
