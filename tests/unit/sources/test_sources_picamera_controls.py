"""What a Pi camera is asked for: controls, transform, sensor mode, tuning."""

from __future__ import annotations

import pytest
from picamera_double import Picamera2, install

from pi_detector.config.settings import SourceSettings
from pi_detector.errors import ConfigError
from pi_detector.sources.abilities import abilities_of
from pi_detector.sources.discover import CameraInfo
from pi_detector.sources.picamera import PicameraSource
from pi_detector.sources.registry import make_source


@pytest.fixture
def hardware(monkeypatch: pytest.MonkeyPatch) -> type[Picamera2]:
    return install(monkeypatch)


def opened(**settings: object) -> tuple[PicameraSource, Picamera2]:
    source = PicameraSource("0", SourceSettings(uri="picamera:0", **settings))
    source.open((300, 300))
    assert Picamera2.last is not None
    return source, Picamera2.last


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ({"AfMode": "continuous"}, {"AfMode": 2}),
        ({"AfMode": 0, "LensPosition": 2.5}, {"AfMode": 0, "LensPosition": 2.5}),
        ({"AeEnable": False}, {"AeEnable": False}),
        ({"ColourGains": (1.5, 2.0)}, {"ColourGains": (1.5, 2.0)}),
    ],
)
def test_controls_by_name(hardware: type[Picamera2], asked: dict, given: dict) -> None:
    _source, camera = opened(controls=asked)
    assert camera.asked["controls"] == given


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"LensPos": 1}, "no such control; did you mean LensPosition\\? It has: AeEnable, AfMode"),
        ({"LensPosition": 16}, "does not take 16; set 0..15"),
        ({"AfMode": "sometimes"}, "set 0 = Manual, 1 = Auto, 2 = Continuous"),
        ({"AeEnable": 3}, "set true or false"),
    ],
)
def test_what_the_camera_does_not_have(hardware: type[Picamera2], asked: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        opened(controls=asked)
    assert Picamera2.last.closed, "for the next try"
    source, camera = opened(controls={"AfMode": 1})
    with pytest.raises(ConfigError, match=said):
        source.adjust(asked)
    assert camera.set == {}


def test_a_reload_sets_controls_of_the_running_camera(hardware: type[Picamera2]) -> None:
    source, camera = opened(controls={"AfMode": 1, "LensPosition": 3.0})
    assert source.adjust({"AfMode": "Continuous"})
    assert camera.set == {"AfMode": 2, "LensPosition": 1.0}
    assert Picamera2.last is camera
    source.close()
    source.open()
    assert Picamera2.last.asked["controls"] == {"AfMode": 2}


@pytest.mark.parametrize("mirrors", [True, False])
def test_the_camera_mirrors_where_it_can(hardware: type[Picamera2], mirrors: bool) -> None:
    hardware.mirrors = mirrors
    source, camera = opened(rotate=180)
    assert (camera.asked["transform"].hflip, camera.asked["transform"].vflip) == (True, True)
    assert (source.turned.hflip, source.turned.vflip) == (mirrors, mirrors)


def test_a_quarter_turn_is_made_here_of_both_streams(hardware: type[Picamera2]) -> None:
    source = make_source(SourceSettings(uri="picamera:0", rotate=90))
    source.open((300, 200))
    camera = Picamera2.last
    assert "transform" not in camera.asked
    assert camera.asked["lores"]["size"] == (300, 200)
    frame = source.read()
    assert frame.image.shape == (640, 480, 3)
    assert frame.model_input.shape == (300, 200, 3)


def test_sensor_mode_and_tuning(hardware: type[Picamera2]) -> None:
    _source, camera = opened(sensor_mode=(2304, 1296, 10), tuning_file="imx219_noir.json")
    assert camera.asked["sensor"] == {"output_size": (2304, 1296), "bit_depth": 10}
    assert camera.tuning == {"name": "imx219_noir.json", "dir": None}
    _source, camera = opened(sensor_mode=(640, 480), tuning_file="/etc/tuning/mine.json")
    assert camera.asked["sensor"] == {"output_size": (640, 480)}
    assert camera.tuning == {"name": "mine.json", "dir": "/etc/tuning"}
    with pytest.raises(ConfigError, match=r"source\.tuning_file: absent"):
        opened(tuning_file="absent.json")


def test_what_a_camera_has_is_listed(hardware: type[Picamera2]) -> None:
    found = abilities_of(CameraInfo("picamera:0", "imx708", None, permitted=True))
    assert found.problem == ""
    assert found.sensor_modes == ((1536, 864, 10), (4608, 2592, 10))
    lines = {control.name: control.range for control in found.controls}
    assert lines["AfMode"] == "0 = Manual, 1 = Auto, 2 = Continuous"
    assert lines["LensPosition"] == "0..15"
    assert Picamera2.last.closed
