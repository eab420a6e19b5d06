"""Interlaced, turned and untimed videos give the right pixels and times, by what is installed."""

from __future__ import annotations

import gc
import logging
import struct
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pi_detector.config.settings import SourceSettings
from pi_detector.sources import decoder, video_decoders
from pi_detector.sources.decoder import Decoder, FrameTimes, upright
from pi_detector.sources.decoder_av import AvDecoder
from pi_detector.sources.decoder_cv import CvDecoder
from pi_detector.sources.registry import make_source
from pi_detector.sources.video import VideoSource
from pi_detector.sources.video_decoders import decoder_type, has_pyav

WIDTH, HEIGHT = 96, 64
RED, GREEN, BLUE, GREY = (200, 30, 30), (30, 200, 30), (30, 30, 200), (128, 128, 128)
QUARTERS = (RED, GREEN, BLUE, GREY)  # upper left, upper right, lower left, lower right
TURNS = {
    "upright": ((1, 0, 0, 1), (RED, GREEN, BLUE, GREY)),
    "quarter clockwise": ((0, 1, -1, 0), (BLUE, RED, GREY, GREEN)),
    "upside down": ((-1, 0, 0, -1), (GREY, BLUE, GREEN, RED)),
    "quarter anticlockwise": ((0, -1, 1, 0), (GREEN, GREY, RED, BLUE)),
}
MIRRORED = {
    "mirrored": ((-1, 0, 0, 1), (GREEN, RED, GREY, BLUE)),
    "transposed": ((0, 1, 1, 0), (RED, BLUE, GREEN, GREY)),
}

by_every_decoder = pytest.mark.parametrize(
    "opened",
    [
        pytest.param(decoder_type(), id="installed"),
        pytest.param(AvDecoder, id="pyav", marks=pytest.mark.skipif(not has_pyav(), reason="old")),
        pytest.param(
            CvDecoder,
            id="opencv",
            marks=pytest.mark.skipif(bool(decoder.opencv_faults()), reason="it says that it fails"),
        ),
    ],
)


def picture() -> np.ndarray:
    image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    middle_y, middle_x = HEIGHT // 2, WIDTH // 2
    image[:middle_y, :middle_x], image[:middle_y, middle_x:] = QUARTERS[:2]
    image[middle_y:, :middle_x], image[middle_y:, middle_x:] = QUARTERS[2:]
    return image


def write(path: Path, options: dict[str, str] | None = None, frames: int = 8) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20, options=options or {})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(), format="rgb24")))
        container.mux(stream.encode())
    return path


def turned(path: Path, matrix: tuple[int, int, int, int], frames: int = 8) -> Path:
    """The same frames with a display matrix, where a phone writes it: in the track's header."""
    a, b, c, d = (each << 16 for each in matrix)
    content = bytearray(write(path, frames=frames).read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    assert struct.unpack_from(">9i", content, at) == (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", content, at, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def quarters(image: np.ndarray) -> list[list[float]]:
    """The mean colour of each quarter, away from its borders."""
    height, width = image.shape[:2]
    return [
        image[y + 8 : y + height // 2 - 8, x + 8 : x + width // 2 - 8].mean((0, 1)).tolist()
        for y in (0, height // 2)
        for x in (0, width // 2)
    ]


def check(image: np.ndarray, expected: tuple[tuple[int, int, int], ...]) -> None:
    for found, wanted in zip(quarters(image), expected, strict=True):
        assert found == pytest.approx(wanted, abs=14)


@by_every_decoder
def test_interlaced_frames_are_decoded(tmp_path: Path, opened: Callable[[str], Decoder]) -> None:
    options = {"flags": "+ildct+ilme", "x264-params": "interlaced=1"}
    path = write(tmp_path / "interlaced.mp4", options)
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    video = opened(str(path))
    count = 0
    while (frame := video.read()) is not None:
        check(frame.image, QUARTERS)
        count += 1
    video.close()
    assert count == 8


@pytest.fixture
def uncollected() -> Iterator[Callable[[], int]]:
    """Counts PyAV's frames in memory, while Python does not collect cycles by itself."""
    gc.collect()
    gc.disable()
    try:
        yield lambda: sum(isinstance(each, av.VideoFrame) for each in gc.get_objects())
    finally:
        gc.enable()


@pytest.mark.skipif(not has_pyav(), reason="old")
def test_frames_do_not_stay_in_memory(tmp_path: Path, uncollected: Callable[[], int]) -> None:
    path = turned(tmp_path / "phone.mp4", (0, 1, -1, 0), frames=60)
    before = uncollected()
    video = AvDecoder(str(path))
    while video.read() is not None:
        assert uncollected() - before <= 10  # those that the decoder gave at once
    video.close()
    assert uncollected() - before <= 1  # PyAV's own, without a picture


@pytest.mark.parametrize(("matrix", "expected"), TURNS.values(), ids=TURNS)
@by_every_decoder
def test_the_video_of_a_phone_is_upright(
    tmp_path: Path,
    opened: Callable[[str], Decoder],
    matrix: tuple[int, int, int, int],
    expected: tuple[tuple[int, int, int], ...],
) -> None:
    video = opened(str(turned(tmp_path / "phone.mp4", matrix)))
    frame = video.read()
    video.close()
    assert frame is not None
    height, width = (WIDTH, HEIGHT) if matrix[0] == 0 else (HEIGHT, WIDTH)
    assert frame.image.shape == (height, width, 3)
    check(frame.image, expected)


@pytest.mark.skipif(not has_pyav(), reason="OpenCV does not mirror")
@pytest.mark.parametrize(("matrix", "expected"), MIRRORED.values(), ids=MIRRORED)
def test_a_mirrored_video(
    tmp_path: Path,
    matrix: tuple[int, int, int, int],
    expected: tuple[tuple[int, int, int], ...],
) -> None:
    source = make_source(SourceSettings(uri=str(turned(tmp_path / "selfie.mp4", matrix))))
    source.open()
    frame = source.read()
    source.close()
    assert frame is not None
    check(frame.image, expected)


def test_every_display_matrix_puts_each_pixel_where_it_says() -> None:
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    for matrix, _ in (TURNS | MIRRORED).values():
        a, b, c, d = matrix
        shown = upright(image, matrix)
        spots = [(a * x + c * y, b * x + d * y) for y in range(2) for x in range(3)]
        left, top = min(x for x, _ in spots), min(y for _, y in spots)
        for (x, y), pixel in zip(spots, image.reshape(-1, 3), strict=True):
            assert (shown[y - top, x - left] == pixel).all()


@pytest.mark.parametrize("without_pyav", [False, True])
def test_a_raw_stream_advances_by_its_frame_rate(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    without_pyav: bool,
) -> None:
    if without_pyav:
        monkeypatch.setattr(video_decoders, "has_pyav", lambda: False)
    path = write(tmp_path / "x.h264", {"x264-params": "bframes=0"}, frames=20)
    for fps, step_s in ((0, 1 / 20), (10, 1 / 10)):
        start = datetime(2026, 11, 24, tzinfo=UTC)
        source = VideoSource(str(path), SourceSettings(fps=fps), starts_at=start)
        source.open()
        times = []
        while (frame := source.read()) is not None:
            times.append(frame.captured_ns / 1e9)
        assert times == pytest.approx([step_s * number for number in range(20)])
        assert caplog.text.count("frames have no timestamps") == 1
        assert f"{1 / step_s:g} frames per second" in caplog.text
        caplog.clear()


def test_a_video_without_pyav_says_what_opencv_does_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "clip.mp4")
    monkeypatch.setitem(sys.modules, "av", None)
    for version, said in (
        ("4.10.0", ""),
        ("4.11.0", "phone videos stay rotated"),
        ("4.14.0", "interla"),
    ):
        monkeypatch.setattr(cv2, "__version__", version)
        with caplog.at_level(logging.WARNING):
            video = decoder_type()(str(path))
        video.close()
        assert isinstance(video, CvDecoder)
        assert said in caplog.text
        assert bool(caplog.text) == bool(said)


@pytest.mark.skipif(not has_pyav(), reason="old")
def test_decoding_starts_no_threads(tmp_path: Path) -> None:
    """A process with few rights may not, and each frame's own converter would."""

    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    video = AvDecoder(str(write(tmp_path / "clip.mp4")))
    before = threads()
    frames = [video.read() for _ in range(8)]
    assert all(frames)
    assert threads() == before
    video.close()


def test_a_pyav_that_lacks_what_reading_needs_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(write(tmp_path / "clip.mp4"))
    for version, used in (("10.0.0", False), ("12.0.5", False), ("12.1.0", True), ("18.1.0", True)):
        monkeypatch.setattr(av, "__version__", version)
        video = decoder_type()(path)
        video.close()
        assert isinstance(video, AvDecoder) is used


def test_times_follow_the_file_and_never_go_back() -> None:
    def of(fps: float, *said: float | None) -> list[float]:
        times = FrameTimes(fps)
        return [round(times.next(each), 3) for each in said]

    assert of(10, 0.0, 0.1, 0.25, 0.9) == [0.0, 0.1, 0.25, 0.9]
    assert of(10, None, None, None) == [0.0, 0.1, 0.2]
    assert of(10, 0.0, 0.0, 0.0) == [0.0, 0.1, 0.2]
    # One time twice, or a little back, shifts nothing that comes later.
    assert of(10, 1.0, 1.0, 1.1, 1.2) == [1.0, 1.1, 1.1, 1.2]
    assert of(10, 1.0, 0.95, 1.1) == [1.0, 1.1, 1.1]
    # A recorder that started again within the file.
    assert of(10, 99.9, 100.0, 0.0, 0.1, 0.2) == [99.9, 100.0, 100.1, 100.2, 100.3]
    # The rate for videos without times is not for those that have some.
    times = FrameTimes(10, untimed_fps=2)
    assert [times.next(each) for each in (0.0, 0.1, 0.1, 0.3)] == pytest.approx([0, 0.1, 0.2, 0.3])
    for fps in (0.0, float("nan"), 90000.0):
        assert of(fps, None, None) == [0.0, 0.04]


def test_a_long_video_comes_whole_out_of_its_confined_process(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (768, 432))
    for number in range(300):
        writer.write(np.full((432, 768, 3), number % 255, np.uint8))
    writer.release()
    source = make_source(SourceSettings(uri=str(path)))
    source.open()
    assert sum(1 for _ in iter(source.read, None)) == 300
    source.close()
