"""The rate of detection is obeyed by the sources: what is not due is neither decoded nor sent."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest
from doubles import CountingSource, ListSink, SleepingDetector

from pi_detector.config.settings import RecoverySettings, SourceSettings
from pi_detector.pipeline.pipeline import Pipeline
from pi_detector.pipeline.supervision import Supervision
from pi_detector.sources.base import limit_rate
from pi_detector.sources.capture import LiveCapture
from pi_detector.sources.registry import make_source
from pi_detector.sources.supervised import SupervisedSource
from pi_detector.util.rate_limit import Pace

SIZE = (64, 48)


def video(path: Path, fps: int, frames: int) -> Path:
    """A video whose frames are as bright as their number says."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", fps)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            image = np.full((SIZE[1], SIZE[0], 3), 2 * number, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        file.mux(stream.encode())
    return path


@pytest.mark.parametrize("isolation", ["off", "auto"])
def test_of_a_video_frames_per_second_of_the_video(tmp_path: Path, isolation: str) -> None:
    path = video(tmp_path / "clip.mp4", fps=25, frames=100)
    source = make_source(SourceSettings(uri=str(path), isolation=isolation))
    assert limit_rate(source, 5)
    source.open()
    try:
        frames = []
        while (frame := source.read()) is not None:
            frames.append(frame)
    finally:
        source.close()
    assert [frame.sequence for frame in frames] == list(range(0, 100, 5))
    brightness = [float(frame.image.mean()) for frame in frames]
    assert brightness == pytest.approx(range(0, 200, 10), abs=4)


@pytest.mark.parametrize("isolation", ["off", "on"])
def test_a_live_source_keeps_the_rate_and_another_one_later(isolation: str) -> None:
    source = make_source(SourceSettings(uri="demo:", fps=60, isolation=isolation))
    assert limit_rate(source, 20)
    source.open()
    try:
        slow = [source.read() for _ in range(10)]
        limit_rate(source, None)
        fast = [source.read() for _ in range(10)]
    finally:
        source.close()
    assert slow[-1].sequence - slow[0].sequence >= 2 * 9
    assert fast[-1].sequence - fast[1].sequence == 8


class Camera:
    """A capture of OpenCV that counts what is asked of it; its grabs take time."""

    def __init__(self, interval_s: float) -> None:
        self.interval_s, self.grabbed, self.retrieved = interval_s, 0, 0

    def grab(self) -> bool:
        time.sleep(self.interval_s)
        self.grabbed += 1
        return True

    def retrieve(self) -> tuple[bool, np.ndarray]:
        self.retrieved += 1
        return True, np.zeros((4, 4, 3), np.uint8)


def test_a_picture_that_is_not_due_is_not_decoded_and_no_stall() -> None:
    camera = Camera(0.02)
    # The rate's interval is longer than the deadline of a read.
    capture = LiveCapture(camera, "camera", read_timeout_s=0.1)
    pace = Pace(5)
    taken = [capture.read(pace) for _ in range(3)]
    assert camera.retrieved == 3
    assert camera.grabbed == 3 + sum(each.skipped for each in taken)
    assert camera.grabbed > 9


def run(source: object, max_fps: float, seconds: float, **options: object) -> list[int]:
    sink = ListSink()
    pipeline = Pipeline(source, SleepingDetector(), [sink], max_fps=max_fps, **options)
    stop = threading.Event()
    timer = threading.Timer(seconds, stop.set)
    timer.start()
    pipeline.run(stop)
    return sink.sequences


def test_a_live_source_that_knows_no_rate_is_limited_all_the_same() -> None:
    supervision = Supervision(RecoverySettings(), read_timeout_s=5)
    for options in ({}, {"supervision": supervision}):
        seen = run(CountingSource(live=True, interval_s=0.01), 10, 1.0, **options)
        assert 5 <= len(seen) <= 12, seen


def test_every_frame_counts_where_no_clock_does() -> None:
    assert run(CountingSource(frames=50), 10, 30.0) == list(range(50))


def test_a_low_rate_does_not_exceed_the_deadlines() -> None:
    source = SupervisedSource(
        make_source(SourceSettings(uri="demo:", read_timeout_s=0.1)),
        RecoverySettings(),
        read_timeout_s=0.1,
        grace_s=0.1,
        report=lambda record: None,
    )
    limit_rate(source, 1)
    source.open()
    source.read()
    overdue = []
    reader = threading.Thread(target=source.read)
    reader.start()
    while reader.is_alive():
        overdue.append(source.overdue)
        time.sleep(0.02)
    source.close()
    assert len(overdue) > 10
    assert not any(overdue)
