"""A source that waits for any camera."""

from __future__ import annotations

import time

import numpy as np
import pytest

from pi_detector.config.settings import SourceSettings
from pi_detector.core.clock import utc_now
from pi_detector.core.frame import Frame
from pi_detector.errors import SourceLostError, SourceNotFoundError
from pi_detector.sources.auto import AutoSource
from pi_detector.sources.discover import CameraInfo
from pi_detector.sources.registry import make_source


class Camera:
    live = True

    def __init__(self, settings: SourceSettings) -> None:
        self.name = settings.uri
        self.opened, self.closed, self.count = 0, 0, 0

    def open(self, model_size: tuple[int, int] | None = None) -> None:
        self.opened += 1

    def read(self) -> Frame:
        self.count += 1
        image = np.zeros((8, 8, 3), np.uint8)
        return Frame(image, self.count - 1, time.monotonic_ns(), utc_now(), self.name)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> list[CameraInfo]:
    """The cameras that are there; the test plugs and unplugs."""
    cameras: list[CameraInfo] = []
    monkeypatch.setattr("pi_detector.sources.auto.find_cameras", lambda: list(cameras))
    return cameras


def camera(number: int, *, permitted: bool = True) -> CameraInfo:
    return CameraInfo(f"v4l2:/dev/video{number}", "webcam", by_id=None, permitted=permitted)


def test_it_opens_the_camera_that_comes(plugged: list[CameraInfo]) -> None:
    made: list[Camera] = []

    def make(settings: SourceSettings) -> Camera:
        made.append(Camera(settings))
        return made[-1]

    source = AutoSource(SourceSettings(), make)
    with pytest.raises(SourceNotFoundError, match="no camera found"):
        source.open()
    with pytest.raises(SourceLostError):
        source.read()
    assert source.name == "auto"

    plugged.append(camera(2))
    source.open((8, 8))
    assert source.name == "v4l2:/dev/video2"
    assert [frame.sequence for _ in range(3) if (frame := source.read())] == [0, 1, 2]

    source.close()
    source.open()  # the same camera, after an unplug: its numbers go on
    frame = source.read()
    assert frame is not None
    assert frame.sequence == 3

    plugged[:] = [camera(0)]
    source.open()
    assert source.name == "v4l2:/dev/video0"
    assert [each.name for each in made] == ["v4l2:/dev/video2", "v4l2:/dev/video0"]
    assert made[0].closed


def test_a_camera_that_may_be_opened_comes_first(plugged: list[CameraInfo]) -> None:
    plugged += [camera(0, permitted=False), camera(1)]
    source = AutoSource(SourceSettings(), Camera)
    source.open()
    assert source.name == "v4l2:/dev/video1"


def test_without_a_camera_a_service_waits_and_a_try_shows_the_demo(
    plugged: list[CameraInfo],
) -> None:
    assert plugged == []
    assert make_source(SourceSettings(uri="auto")).name == "demo"
    assert isinstance(make_source(SourceSettings(uri="auto"), wait=True), AutoSource)
