"""Cameras as they are mounted: turned, mirrored and cropped before detection."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from command import pi_detector

from pi_detector import Detector
from pi_detector.config.settings import SourceSettings
from pi_detector.core.clock import utc_now
from pi_detector.core.frame import Frame
from pi_detector.sources.demo import load_photograph, render_view
from pi_detector.sources.orientation import Turn
from pi_detector.sources.registry import make_source
from pi_detector.sources.turn import TurnedSource

ORIENTATIONS = list(itertools.product((0, 90, 180, 270), (False, True), (False, True)))


def mounted(upright: np.ndarray, rotate: int, hflip: bool, vflip: bool) -> np.ndarray:
    """What a camera sees that these settings set right: numpy's own turns, the other way."""
    image = np.flipud(upright) if vflip else upright
    image = np.fliplr(image) if hflip else image
    return np.ascontiguousarray(np.rot90(image, rotate // 90))


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return render_view(load_photograph(), (640, 480), 0.0)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector("street")


@pytest.mark.parametrize(("rotate", "hflip", "vflip"), ORIENTATIONS)
def test_people_are_found_however_the_camera_is_mounted(
    tmp_path: Path,
    photograph: np.ndarray,
    detector: Detector,
    rotate: int,
    hflip: bool,
    vflip: bool,
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), mounted(photograph, rotate, hflip, vflip)[:, :, ::-1])
    settings = SourceSettings(
        uri=str(tmp_path), rotate=rotate, hflip=hflip, vflip=vflip, isolation="off"
    )
    source = make_source(settings)
    source.open(detector.input_size)
    frame = source.read()
    source.close()
    assert frame is not None
    assert np.array_equal(frame.image, photograph)
    assert frame.image.flags.c_contiguous
    assert not frame.image.flags.writeable
    found, expected = detector.detect(frame), detector.detect(photograph)
    assert [each.label for each in expected].count("person") >= 1
    assert [each.box_px for each in found] == [each.box_px for each in expected]


class Camera:
    """A camera that mirrors by itself as far as ``able``, and scales for the model."""

    name, live = "camera", True

    def __init__(self, raw: np.ndarray, settings: SourceSettings, able: Turn) -> None:
        self.turned = Turn(
            hflip=able.hflip and Turn.of(settings).hflip,
            vflip=able.vflip and Turn.of(settings).vflip,
        )
        if Turn.of(settings).transpose:
            self.turned = able
        self.image = np.ascontiguousarray(self.turned.apply(raw))
        self.model_size: tuple[int, int] | None = None

    def open(self, model_size: tuple[int, int] | None = None) -> None:
        self.model_size = model_size

    def read(self) -> Frame:
        small = None
        if self.model_size is not None:
            height, width = self.model_size
            small = cv2.resize(self.image, (width, height), interpolation=cv2.INTER_AREA)
        return Frame(self.image, 0, 0, utc_now(), self.name, small)

    def close(self) -> None:
        """Nothing to do."""


@pytest.mark.parametrize(("rotate", "hflip", "vflip"), ORIENTATIONS)
@pytest.mark.parametrize("able", [Turn(), Turn(hflip=True), Turn(hflip=True, vflip=True)])
def test_what_the_camera_does_is_not_done_twice(
    photograph: np.ndarray, rotate: int, hflip: bool, vflip: bool, able: Turn
) -> None:
    settings = SourceSettings(rotate=rotate, hflip=hflip, vflip=vflip)
    camera = Camera(mounted(photograph, rotate, hflip, vflip), settings, able)
    source = TurnedSource(camera, settings)
    source.open((240, 320))
    frame = source.read()
    assert np.array_equal(frame.image, photograph)
    assert frame.model_input is not None
    assert frame.model_input.shape == (240, 320, 3)
    expected = cv2.resize(photograph, (320, 240), interpolation=cv2.INTER_AREA)
    assert np.array_equal(frame.model_input, expected)


def test_a_crop_is_of_the_turned_frame(photograph: np.ndarray) -> None:
    settings = SourceSettings(rotate=90, crop=(0.25, 0.5, 0.75, 1.0))
    source = TurnedSource(Camera(mounted(photograph, 90, False, False), settings, Turn()), settings)
    source.open((300, 300))
    frame = source.read()
    assert np.array_equal(frame.image, photograph[240:480, 160:480])
    assert frame.model_input is None


def test_an_isolated_source_is_turned_in_its_process(photograph: np.ndarray) -> None:
    settings = SourceSettings(uri="demo:", rotate=90, isolation="on")
    source = make_source(settings)
    source.open()
    frame = source.read()
    source.close()
    assert frame is not None
    assert frame.image.shape == (640, 480, 3)
    difference = frame.image.astype(int) - np.rot90(photograph, -1)
    assert np.abs(difference).mean() < 2


def test_files_are_upright_already(tmp_path: Path, photograph: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), photograph)
    config = tmp_path / "config.toml"
    turned = {"rotate": 90, "crop": [0.1, 0.1, 0.5, 0.5], "controls": {"brightness": 5}}
    config.write_bytes(msgspec.toml.encode({"source": turned}))
    done = pi_detector("detect", tmp_path / "a.png", "--config", config)
    assert done.returncode == 0, done.stderr
    assert msgspec.json.decode(done.stdout)["frame"] == {"width": 640, "height": 480}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rotate": 45}, "source.rotate: expected one of 0, 90, 180, 270"),
        ({"crop": [0.5, 0.0, 0.5, 1.0]}, "source.crop: nothing is left"),
        ({"sensor_mode": [9]}, "source.sensor_mode: expected [width, height]"),
        ({"uri": "demo:", "controls": {"a": 1}}, "source.controls: demo has no such setting"),
        ({"uri": "v4l2:0", "sensor_mode": [9, 9]}, "source.sensor_mode: v4l2:/dev/video0 has no"),
        ({"uri": "rtsp://c/x", "pixel_format": "GREY"}, "it is for v4l2:"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, settings: dict, said: str) -> None:
    config = tmp_path / "config.toml"
    config.write_bytes(msgspec.toml.encode({"source": settings}))
    done = pi_detector("config", "check", config)
    assert done.returncode == 78
    assert said in done.stderr
