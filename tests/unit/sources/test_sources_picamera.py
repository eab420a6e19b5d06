"""Our own part of the picamera2 source: formats read back, deadlines, requests released.

No camera and no libcamera is here: a module with the few calls that we make stands in for
picamera2, with the shapes and the behaviour that its manual and source give.
"""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
import pytest
from picamera_double import ORANGE, Picamera2, Request, install

from pi_detector.config.settings import SourceSettings
from pi_detector.errors import (
    DependencyMissingError,
    SourceBusyError,
    SourceLostError,
    SourceNotFoundError,
    SourcePermissionError,
    SourceStalledError,
    SourceStuckError,
)
from pi_detector.sources.discover import find_picameras
from pi_detector.sources.picamera import PicameraSource

MODEL_SIZE = (300, 300)
SETTINGS = SourceSettings(uri="picamera:0", width=640, height=480, fps=20, read_timeout_s=0.2)


@pytest.fixture
def hardware(monkeypatch: pytest.MonkeyPatch) -> type[Picamera2]:
    """What the camera grants; change its class attributes."""
    return install(monkeypatch)


def opened(model_size: tuple[int, int] | None = MODEL_SIZE) -> tuple[PicameraSource, Picamera2]:
    source = PicameraSource("0", SETTINGS)
    source.open(model_size)
    assert Picamera2.last is not None
    return source, Picamera2.last


@pytest.mark.parametrize(
    "granted", ["BGR888", "RGB888", "XBGR8888", "XRGB8888", "YUV420", "NV12", "MJPEG"]
)
def test_whatever_format_is_granted_becomes_rgb(hardware: type[Picamera2], granted: str) -> None:
    hardware.main_becomes = granted
    source, camera = opened()
    frame = source.read()
    assert frame.image.shape == (480, 640, 3)
    assert np.abs(frame.image.astype(int) - ORANGE).max() <= 6
    assert frame.image.flags.c_contiguous
    assert not frame.image.flags.writeable
    assert camera.released == 1


@pytest.mark.parametrize("lores", ["BGR888", "YUV420"])
def test_model_input_from_the_isp(hardware: type[Picamera2], lores: str) -> None:
    hardware.lores_formats = (lores,)
    source, camera = opened()
    frame = source.read()
    assert camera.granted["lores"] == {"size": (300, 300), "format": lores}
    assert frame.model_input is not None
    # Rows of 300 pixels are padded to 320, which must not be seen.
    assert frame.model_input.shape == (300, 300, 3)
    assert np.abs(frame.model_input.astype(int) - ORANGE).max() <= 6
    assert frame.model_input.flags.c_contiguous
    assert not frame.model_input.flags.writeable


@pytest.mark.parametrize("size", [None, (481, 300), (300, 641)])
def test_no_lores_without_a_size_that_fits(
    hardware: type[Picamera2], size: tuple[int, int] | None
) -> None:
    source, camera = opened(size)
    assert camera.asked["lores"] is None
    assert source.read().model_input is None


@pytest.mark.parametrize(
    "error",
    [RuntimeError("lores stream must be YUV"), AttributeError("None has no 'orientation'")],
    ids=["picamera2 says so", "libcamera says so"],
)
def test_a_camera_with_one_stream_only(hardware: type[Picamera2], error: Exception) -> None:
    hardware.lores_formats = ()
    hardware.no_lores = error
    source, _camera = opened()
    assert source.read().model_input is None


def test_rate_and_queue_are_asked_for(hardware: type[Picamera2]) -> None:
    _source, camera = opened()
    assert camera.asked["controls"] == {"FrameDurationLimits": (50_000, 50_000)}
    assert camera.asked["queue"] is False


def test_an_unknown_format_is_refused_and_the_camera_given_back(
    hardware: type[Picamera2],
) -> None:
    hardware.main_becomes = "SRGGB10"
    with pytest.raises(SourceNotFoundError, match="only the format SRGGB10"):
        PicameraSource("0", SETTINGS).open(MODEL_SIZE)
    assert Picamera2.last is not None
    assert Picamera2.last.closed


def test_a_silent_camera_stalls_and_its_late_request_is_not_lost(
    hardware: type[Picamera2],
) -> None:
    source, camera = opened()
    camera.silent = True
    for _ in range(2):
        started = time.monotonic()
        with pytest.raises(SourceStalledError, match=r"no frame for 0\.2 s"):
            source.read()
        assert time.monotonic() - started < 1
    (job,) = camera.jobs
    job.future.set_result(Request(camera))
    source.read()
    assert len(camera.jobs) == camera.released == 1


def test_a_damaged_picture_releases_its_request(hardware: type[Picamera2]) -> None:
    source, camera = opened()
    camera.damaged = True
    with pytest.raises(SourceLostError, match="damaged image"):
        source.read()
    assert camera.released == 1


def test_a_camera_that_was_unplugged_after_a_frame_is_lost(hardware: type[Picamera2]) -> None:
    source, camera = opened()
    camera.unplugged = True
    with pytest.raises(SourceLostError, match="the camera is gone"):
        source.read()


def test_a_camera_that_cannot_be_closed(hardware: type[Picamera2]) -> None:
    source, camera = opened()
    camera.hangs = True
    started = time.monotonic()
    with pytest.raises(SourceStuckError, match=r"closing it.*not respond; restart pi-detector"):
        source.close()
    assert time.monotonic() - started < 2
    source.close()


def test_close_and_read_after_it(hardware: type[Picamera2]) -> None:
    source, camera = opened()
    source.close()
    assert camera.closed
    with pytest.raises(SourceLostError, match="not open"):
        source.read()


def test_no_camera_of_this_number(hardware: type[Picamera2]) -> None:
    with pytest.raises(SourceNotFoundError, match=r"picamera:5.*sees 2 cameras"):
        PicameraSource("5", SETTINGS).open()


def test_a_libcamera_that_does_not_answer(
    hardware: type[Picamera2], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pi_detector.sources.picamera._OPEN_TIMEOUT_S", 0.2)
    monkeypatch.setattr(hardware, "global_camera_info", lambda: threading.Event().wait(5))
    with pytest.raises(SourceStuckError, match="picamera:0: opening it took longer"):
        PicameraSource("0", SETTINGS).open()


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        ("Failed to acquire camera: Device or resource busy", SourceBusyError),
        ("Camera grab failed.", SourceNotFoundError),
    ],
)
def test_a_camera_that_does_not_start(
    hardware: type[Picamera2], failure: str, error: type[Exception]
) -> None:
    hardware.failure = RuntimeError(failure)
    with pytest.raises(error, match="picamera:0"):
        PicameraSource("0", SETTINGS).open()


def test_a_camera_without_memory_for_its_pictures_is_given_back(
    hardware: type[Picamera2],
) -> None:
    hardware.late_failure = RuntimeError("Could not open any dmaHeap device")
    with pytest.raises(SourcePermissionError, match=r"/dev/dma_heap.*group"):
        PicameraSource("0", SETTINGS).open()
    assert hardware.acquired == 0
    hardware.late_failure = None
    opened()


def test_webcams_are_left_to_v4l2(hardware: type[Picamera2]) -> None:
    assert [(camera.uri, camera.description) for camera in find_picameras()] == [
        ("picamera:0", "imx708")
    ]


def test_without_picamera2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(DependencyMissingError, match="apt install python3-picamera2"):
        PicameraSource("0", SETTINGS).open()
    assert find_picameras() == []
