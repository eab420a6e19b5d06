"""Which packets of a stream are decoded, by a real encoder and decoder."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pi_detector.util.rate_limit import Pace

av = pytest.importorskip("av", "12")

from pi_detector.sources.packet_choice import StreamDecoder  # noqa: E402 - PyAV comes first

FPS, GAP, COUNT = 10, 5, 30
NS = 1_000_000_000


def grey(number: int) -> int:
    return 20 + 7 * number


def video(codec: str = "libx264", **options: str) -> bytes:
    """A video whose frames have the grey of their number."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream = output.add_stream(codec, rate=FPS, options=options)
        stream.width, stream.height, stream.gop_size = 64, 48, GAP
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(COUNT):
            image = np.full((48, 64, 3), grey(number), np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode(None))
    return file.getvalue()


class Stream:
    """A video that is read as a stream, and how many of its packets were decoded."""

    def __init__(self, data: bytes, rate_fps: float | None = None) -> None:
        self.container: Any = av.open(io.BytesIO(data))
        stream = self.container.streams.video[0]
        self.decoder = StreamDecoder(stream, longest_gap_s=2.0)
        self.pace = Pace(rate_fps)
        self.packets: Iterator[Any] = iter([p for p in self.container.demux(stream) if p.size])
        self.number = -1
        self.decoded = 0
        counted = self.decoder._newest

        def newest(packets: list[Any]) -> Any:
            self.decoded += sum(packet is not None for packet in packets)
            return counted(packets)

        self.decoder._newest = newest  # type: ignore[method-assign]

    def take(self, count: int) -> list[int]:
        """Numbers of the packets among the next ones at which a frame was due and there."""
        due = []
        for _ in range(count):
            packet = next(self.packets)
            self.number += 1
            now_ns = (1 + self.number) * NS // FPS
            frame = self.decoder.decode(packet, now_ns, self.pace)
            if frame is not None and self.pace.take(now_ns):
                assert abs(int(frame.to_ndarray(format="rgb24").mean()) - grey(self.number)) <= 3
                due.append(self.number)
        return due


@pytest.fixture
def h264() -> bytes:
    return video(tune="zerolatency")


def test_every_frame_by_default(h264: bytes) -> None:
    assert Stream(h264).take(COUNT) == list(range(COUNT))


def test_keyframes_alone_of_a_still_scene_and_all_at_once_afterwards(h264: bytes) -> None:
    stream = Stream(h264)
    assert stream.take(11) == list(range(11))
    stream.decoder.still = True
    assert stream.take(10) == [15, 20]
    assert stream.decoded == 11 + 2
    assert stream.take(3) == []
    stream.decoder.still = False
    # The image is right, as the packets that were left out are decoded after all.
    assert stream.take(COUNT - 24) == list(range(24, COUNT))


def test_no_keyframe_is_waited_for_that_is_late(h264: bytes) -> None:
    stream = Stream(h264)
    stream.decoder._longest_gap_ns = round(0.4 * NS)
    stream.decoder.still = True
    assert stream.take(COUNT) == list(range(COUNT))


def test_keyframes_suffice_for_a_low_rate(h264: bytes) -> None:
    stream = Stream(h264, rate_fps=1.0)
    stream.take(COUNT)
    assert stream.decoded < COUNT / 2


def test_a_rate_between_the_keyframes_decodes_what_others_refer_to(h264: bytes) -> None:
    stream = Stream(h264, rate_fps=5.0)
    assert len(stream.take(COUNT)) == pytest.approx(COUNT / 2, abs=1)
    assert stream.decoded == COUNT


def test_frames_without_references_are_not_decoded_for_half_the_rate() -> None:
    plain = Stream(video(tune="zerolatency"), rate_fps=5.0)
    plain.take(8)
    assert plain.decoder._context.skip_frame == "NONREF"
    plain.pace.rate_fps = None
    plain.take(1)
    assert plain.decoder._context.skip_frame == "DEFAULT"


def test_reordered_frames_of_a_still_scene_come_with_their_keyframe() -> None:
    stream = Stream(video(bf="2"))
    frames = []
    stream.decoder.still = True
    for number, packet in enumerate(stream.packets):
        frame = stream.decoder.decode(packet, (1 + number) * NS // FPS, stream.pace)
        if number > GAP and packet.is_keyframe:
            assert frame is not None
            expected = grey(packet.pts * FPS // 1000)
            assert abs(int(frame.to_ndarray(format="rgb24").mean()) - expected) <= 3
            frames.append(number)
    assert frames == [10, 15, 20, 25]


def test_jpegs_that_are_not_due_are_not_decoded() -> None:
    stream = Stream(video("mjpeg"), rate_fps=2.0)
    due = stream.take(COUNT)
    assert len(due) == pytest.approx(COUNT * 2 / FPS, abs=1)
    assert stream.decoded == len(due)
