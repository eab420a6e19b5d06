"""A stand-in of picamera2: the few calls that we make, with the shapes and the behaviour that its
manual and source give."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import Future
from types import ModuleType
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

ORANGE = (250, 120, 20)


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


class Transform:
    """As libcamera's: what is not named is false."""

    def __init__(self, hflip: bool = False, vflip: bool = False) -> None:
        self.hflip, self.vflip = hflip, vflip


class AfModeEnum:
    __members__: ClassVar = {"Manual": 0, "Auto": 1, "Continuous": 2}


class Picamera2:
    """Counts what it hands out; class attributes say what the hardware grants."""

    mirrors = True
    sensor_modes: ClassVar = [
        {"size": (1536, 864), "bit_depth": 10},
        {"size": (4608, 2592), "bit_depth": 10},
    ]
    lores_formats: tuple[str, ...] = ("BGR888", "YUV420")
    no_lores: Exception = RuntimeError("lores stream must be YUV")
    main_becomes = "BGR888"
    failure: Exception | None = None
    late_failure: Exception | None = None
    acquired = 0
    last: Picamera2 | None = None

    def __init__(self, number: int, tuning: dict | None = None) -> None:
        self.tuning = tuning
        if self.failure:
            raise RuntimeError("Camera __init__ sequence did not complete.") from self.failure
        type(self).acquired += 1
        self.is_open = True
        self.camera = self
        if self.late_failure:
            raise self.late_failure
        self.number = number
        self.granted: dict[str, Any] = {}
        self.camera_controls = {
            "FrameDurationLimits": (1, 2, 3),
            "AfMode": (0, 2, 0),
            "LensPosition": (0.0, 15.0, 1.0),
            "AeEnable": (False, True, True),
            "ColourGains": (0.0, 32.0, None),
        }
        self.set: dict[str, Any] = {}
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
        if "transform" in configuration:
            self.granted["transform"] = Transform(hflip=self.mirrors, vflip=self.mirrors)

    def camera_configuration(self) -> dict[str, Any]:
        return self.granted

    def set_controls(self, controls: dict[str, Any]) -> None:
        self.set |= controls

    @staticmethod
    def load_tuning_file(name: str, dir: str | None = None) -> dict[str, Any]:  # noqa: A002 - theirs
        if name == "absent.json":
            raise RuntimeError("Tuning file not found")
        return {"name": name, "dir": dir}

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


def install(monkeypatch: pytest.MonkeyPatch) -> type[Picamera2]:
    """Put it in the place of picamera2 and libcamera; its class attributes say what is granted."""

    class Hardware(Picamera2):
        pass

    module = ModuleType("picamera2")
    module.Picamera2 = Hardware  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", module)
    libcamera = ModuleType("libcamera")
    libcamera.Transform = Transform  # type: ignore[attr-defined]
    libcamera.controls = ModuleType("controls")  # type: ignore[attr-defined]
    libcamera.controls.AfModeEnum = AfModeEnum  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "libcamera", libcamera)
    return Hardware
