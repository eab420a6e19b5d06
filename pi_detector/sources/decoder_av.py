"""Decoding by PyAV: FFmpeg with the frames' own times and display matrix."""

from __future__ import annotations

import gc
import logging
from collections.abc import Generator, Iterator
from typing import Any

import av

from pi_detector.sources.decoder import DecodedFrame, IsWanted, UndecodableError, always
from pi_detector.sources.frames_av import AV_ERRORS, FrameImages, rate_of
from pi_detector.sources.media import demuxer_options

log = logging.getLogger(__name__)


class AvDecoder:
    """A video, opened by PyAV. See ``Decoder``.

    Args:
        path: of the file.

    Raises:
        UndecodableError: it holds no video that can be decoded.
    """

    def __init__(self, path: str) -> None:
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
        self.fps = rate_of(self._stream)
        self.length_s = (self._container.duration or 0) / 1e6
        start, base = self._stream.start_time, self._stream.time_base
        self._start_s = float(start * base) if start is not None and base else 0.0
        self._images = FrameImages()
        self._frames = self._decoded()

    def read(self, is_wanted: IsWanted = always) -> DecodedFrame | None:
        """The next frame that can be decoded and is wanted; None at the end."""
        for frame in self._frames:
            time_s = None if frame.time is None else float(frame.time) - self._start_s
            if is_wanted(time_s) and (image := self._images.upright(frame)) is not None:
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
            except AV_ERRORS as error:
                log.debug("the file ends here: %s", error)
                return
            if packet is None:
                return
            yield from self._frames_of(packet)

    def _frames_of(self, packet: Any) -> Iterator[Any]:
        try:
            yield from packet.decode()
        except AV_ERRORS as error:
            log.debug("skipped a packet: %s", error)
