"""The packets of a network camera, of frames that show their number."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Any

import av
from recorded import HEIGHT, START, START_NS, WIDTH, drawn

from pi_detector.core.packets import Packet, Track
from pi_detector.sources.packets_av import parameter_sets

FPS, GAP = 10, 10


class Encoded:
    """A camera's video: the packets of frames that tell their number."""

    def __init__(self, codec: str = "libx264", size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
        self.codec = "hevc" if codec == "libx265" else "h264"
        context: Any = av.CodecContext.create(codec, "w")
        context.width, context.height = size
        context.pix_fmt, context.time_base = "yuv420p", Fraction(1, FPS)
        context.gop_size, context.framerate = GAP, Fraction(FPS)
        quiet = {"x265-params": "log-level=none:bframes=2"}
        context.options = quiet if codec == "libx265" else {"bf": "2", "sc_threshold": "0"}
        self.size, self.encoder, self.track = size, context, None
        self.encoded: list[Any] = []

    def packets(self, count: int, first: int = 0) -> list[Packet]:
        for number in range(first, first + count):
            image = drawn(number, (40, 50, 80, 100))
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(*self.size)
            frame.pts = number
            self.encoded += self.encoder.encode(frame)
        self.encoded += self.encoder.encode(None)
        return [self._packet(index, each) for index, each in enumerate(self.encoded)]

    def _packet(self, index: int, packet: Any) -> Packet:
        if headers := parameter_sets(bytes(packet), self.codec):
            self.track = Track(self.codec, headers, *self.size)
        at_s = index / FPS
        shift_ns = (packet.pts - packet.dts) * 10**9 // FPS
        return Packet(
            self.track,
            bytes(packet),
            packet.is_keyframe,
            START_NS + round(at_s * 1e9),
            shift_ns,
            START + timedelta(seconds=at_s),
        )
