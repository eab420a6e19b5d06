"""Streams that change on their way, over HTTP; and what remains without PyAV."""

from __future__ import annotations

import io
import logging

import numpy as np
import pytest
from foreign_servers import camera
from isolated_sources import isolated_source, opened, read_on

from pi_detector.config.settings import SourceSettings
from pi_detector.core.frame import Frame
from pi_detector.errors import SourceLostError
from pi_detector.sources import stream
from pi_detector.sources.registry import make_source
from pi_detector.sources.video_decoders import has_pyav

av = pytest.importorskip("av")
needs_pyav = pytest.mark.skipif(not has_pyav(), reason="this PyAV is too old for streams")

FPS, COUNT = 10, 20


def transport_stream(size: tuple[int, int], level: int, **options: str) -> bytes:
    """A grey video of 20 frames."""
    file = io.BytesIO()
    with av.open(file, "w", format="mpegts") as output:
        video = output.add_stream("libx264", rate=FPS, options=options)
        video.width, video.height, video.gop_size, video.pix_fmt = *size, 5, "yuv420p"
        for _ in range(COUNT):
            image = np.full((size[1], size[0], 3), level, np.uint8)
            output.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(video.encode(None))
    return file.getvalue()


def answers(data: bytes) -> dict[str, tuple[int, dict[str, str], bytes]]:
    return {"/live": (404, {}, b""), "/video": (200, {"Content-Type": "video/mp2t"}, data)}


def frames_of(data: bytes) -> list[Frame]:
    """All frames of a stream, which ends."""
    with camera(answers(data)) as server:
        uri = f"http://127.0.0.1:{server.port}/video"
        with opened(isolated_source(uri, read_timeout_s=10)) as source:
            return read_on(source, until=SourceLostError)


@needs_pyav
def test_a_size_that_changes_on_the_way() -> None:
    first, second = transport_stream((64, 48), 50), transport_stream((128, 96), 200)
    frames = frames_of(first + second)
    shapes = [frame.image.shape for frame in frames]
    assert shapes[0] == (48, 64, 3)
    assert shapes[-1] == (96, 128, 3)
    assert frames[0].image.mean() == pytest.approx(50, abs=3)
    assert frames[-1].image.mean() == pytest.approx(200, abs=3)


@needs_pyav
def test_times_that_jump_back() -> None:
    part = transport_stream((64, 48), 50, tune="zerolatency")
    frames = frames_of(part * 3)
    assert len(frames) >= 2 * COUNT
    times = [frame.captured_ns for frame in frames]
    assert times == sorted(times)


@needs_pyav
def test_damage_costs_frames_and_not_the_stream() -> None:
    part = bytearray(transport_stream((64, 48), 50, tune="zerolatency") * 4)
    part[len(part) // 3 : len(part) // 3 + 1000] = bytes(1000)
    assert len(frames_of(bytes(part))) > COUNT


@needs_pyav
@pytest.mark.parametrize("options", [{"bf": "2"}, {"tune": "zerolatency"}])
def test_reordered_frames(options: dict[str, str]) -> None:
    assert len(frames_of(transport_stream((64, 48), 50, **options) * 2)) >= COUNT


def test_without_pyav_opencv_reads_the_stream_and_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stream, "has_pyav", lambda: False)
    with camera(answers(transport_stream((64, 48), 50))) as server:
        uri = f"http://127.0.0.1:{server.port}/video"
        source = make_source(SourceSettings(uri=uri, isolation="off"))
        with caplog.at_level(logging.WARNING):
            source.open()
        frame = source.read()
        source.close()
    assert frame is not None
    assert frame.image.mean() == pytest.approx(50, abs=3)
    assert "every frame is decoded" in caplog.text
    assert "cannot be recorded" in caplog.text
