"""Our own part of the picamera2 source: formats read back, deadlines, requests released.

No camera and no libcamera is here: a module with the few calls that we make stands in for
picamera2, with the shapes and the behaviour that its manual and source give.
"""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import Future
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

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

ORANGE = (250, 120, 20)
MODEL_SIZE = (300, 300)
SETTINGS = SourceSettings(uri="picamera:0", width=640, height=480, fps=20, read_timeout_s=0.2)


def picture(stream_format: str, size: tuple[int, int], stride_pixels: int) -> np.ndarray:
    """An orange picture as ``make_array`` gives it; YUV rows are padded to ``stride_pixels``."""
    width, height = size
    rgb = np.full((height, width, 3), ORANGE, np.uint8)
    if stream_format in {"BGR888", "MJPEG"}:
        return rgb
    if stream_format == "RGB888":
        return rgb[:, :, ::-1].copy()
    if stream_format == "XBGR8888":
        return cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA)
    if stream_format == "XRGB8888":
        return cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA)
    padded = np.zeros((height, stride_pixels, 3), np.uint8)
    padded[:, :width] = rgb
    i420 = cv2.cvtColor(padded, cv2.COLOR_RGB2YUV_I420)
    if stream_format == "YUV420":
        return i420
    assert stream_format == "NV12"
    luma, chroma = i420[:height], i420[height:].reshape(2, -1)
    return np.vstack([luma, chroma.T.reshape(height // 2, stride_pixels)])[:, :width]


class Request:
    def __init__(self, camera: Picamera2) -> None:
        self.camera = camera

    def make_array(self, stream: str) -> np.ndarray:
        if self.camera.damaged:
            raise OSError("cannot identify image file")
        granted = self.camera.granted[stream]
        return picture(granted["format"], granted["size"], -(-granted["size"][0] // 64) * 64)

    def release(self) -> None:
        self.camera.released += 1
        if self.camera.unplugged:
            raise RuntimeError("Failed to queue request: No such device")


class Job:
    def __init__(self) -> None:
        self.future: Future[Request] = Future()

    def get_result(self, timeout: float | None = None) -> Request:
        return self.future.result(timeout)


class Picamera2:
    """Counts what it hands out; class attributes say what the hardware grants."""

    lores_formats: tuple[str, ...] = ("BGR888", "YUV420")
    no_lores: Exception = RuntimeError("lores stream must be YUV")
    main_becomes = "BGR888"
    failure: Exception | None = None
    late_failure: Exception | None = None
    acquired = 0
    last: Picamera2 | None = None

    def __init__(self, number: int) -> None:
        if self.failure:
            raise RuntimeError("Camera __init__ sequence did not complete.") from self.failure
        type(self).acquired += 1
        self.is_open = True
        self.camera = self
        if self.late_failure:
            raise self.late_failure
        self.number = number
        self.granted: dict[str, Any] = {}
        self.camera_controls = {"FrameDurationLimits": (1, 2, 3)}
        self.asked: dict[str, Any] = {}
        self.jobs: list[Job] = []
        self.silent = self.hangs = self.damaged = False
        self.released = 0
        self.unplugged = False
        self.closed = False
        Picamera2.last = self

    @staticmethod
    def global_camera_info() -> list[dict[str, Any]]:
        return [
            {"Model": "imx708", "Id": "/base/soc/i2c0mux/i2c@1/imx708@1a", "Num": 0},
            {"Model": "HD Webcam", "Id": "/base/scb/pcie/usb@0,0-1.3:1.0-046d:0825", "Num": 1},
        ]

    def create_video_configuration(self, **options: Any) -> dict[str, Any]:
        return {"lores": None} | options

    def configure(self, configuration: dict[str, Any]) -> None:
        lores = configuration["lores"]
        if lores and lores["format"] not in self.lores_formats:
            raise self.no_lores
        self.asked = configuration
        self.granted = {"main": configuration["main"] | {"format": self.main_becomes}}
        self.granted["lores"] = lores

    def camera_configuration(self) -> dict[str, Any]:
        return self.granted

    def release(self) -> None:
        type(self).acquired -= 1

    def start(self) -> None:
        """Nothing to do."""

    def capture_request(self, wait: bool) -> Job:
        assert wait is False
        job = Job()
        self.jobs.append(job)
        if not self.silent:
            job.future.set_result(Request(self))
        return job

    def close(self) -> None:
        if self.hangs:
            threading.Event().wait(5)
        self.closed = True


@pytest.fixture
def hardware(monkeypatch: pytest.MonkeyPatch) -> type[Picamera2]:
    """What the camera grants; change its class attributes."""

    class Hardware(Picamera2):
        pass

    module = ModuleType("picamera2")
    module.Picamera2 = Hardware  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", module)
    return Hardware


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
