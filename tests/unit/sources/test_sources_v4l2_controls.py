"""Controls and formats of V4L2, spoken with structs of the kernel's layout."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path

import pytest

from pi_detector.config.settings import SourceSettings
from pi_detector.errors import ConfigError
from pi_detector.sources.v4l2 import V4l2Source
from pi_detector.sources.v4l2_controls import V4l2Controls, control_name, pixel_formats

# id, type, name, minimum, maximum, step, default, flags: as uvcvideo gives them
CONTROLS = [
    (0x00980900, 1, b"Brightness", -64, 64, 1, 0, 0),
    (0x0098090C, 2, b"White Balance, Automatic", 0, 1, 1, 1, 0),
    (0x00980914, 2, b"Horizontal Flip", 0, 1, 1, 0, 0),
    (0x00980918, 3, b"Power Line Frequency", 0, 2, 1, 1, 0),
    (0x009A0001, 6, b"Camera Controls", 0, 0, 0, 0, 0x0004),
    (0x009A0902, 1, b"Exposure Time, Absolute", 1, 5000, 1, 157, 0x0010),
]
MENU = {0: b"Disabled", 1: b"50 Hz", 2: b"60 Hz"}
FORMATS = [b"MJPG", b"YUYV", b"GREY"]


class Device:
    """Answers ioctl as the kernel does."""

    def __init__(self) -> None:
        self.values = {number: default for number, *_, default, _ in CONTROLS}

    def ioctl(self, fd: int, request: int, argument: bytes) -> bytes:
        assert fd >= 0
        assert len(argument) == request >> 16 & 0x3FFF
        return getattr(self, f"do_{request & 0xFF}")(argument)

    def do_36(self, argument: bytes) -> bytes:
        asked = struct.unpack_from("=I", argument)[0] & 0x0FFFFFFF
        for number, kind, name, low, high, step, default, flags in CONTROLS:
            if number > asked:
                rest = (low, high, step, default, flags, 0, 0)
                return struct.pack("=II32s4iI2I", number, kind, name, *rest)
        raise OSError(errno.EINVAL, "Invalid argument")

    def do_37(self, argument: bytes) -> bytes:
        number, index = struct.unpack_from("=II", argument)
        return struct.pack("=II32sI", number, index, MENU[index], 0)

    def do_27(self, argument: bytes) -> bytes:
        number = struct.unpack_from("=I", argument)[0]
        return struct.pack("=Ii", number, self.values[number])

    def do_28(self, argument: bytes) -> bytes:
        number, value = struct.unpack("=Ii", argument)
        if number == 0x009A0902:
            raise OSError(errno.EACCES, "Permission denied")
        self.values[number] = value
        return argument

    def do_2(self, argument: bytes) -> bytes:
        index, kind = struct.unpack_from("=II", argument)
        if kind != 1 or index >= len(FORMATS):
            raise OSError(errno.EINVAL, "Invalid argument")
        code = int.from_bytes(FORMATS[index], "little")
        return struct.pack("=3I32sI4I", index, kind, 0, b"", code, 0, 0, 0, 0)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    device = Device()
    monkeypatch.setattr(fcntl, "ioctl", device.ioctl)
    return device


def test_the_controls_are_listed_as_v4l2_ctl_names_them(device: Device) -> None:
    controls = {control.name: control for control in V4l2Controls(3, "camera").all}
    assert list(controls) == [
        "brightness",
        "white_balance_automatic",
        "horizontal_flip",
        "power_line_frequency",
        "exposure_time_absolute",
    ]
    assert controls["brightness"].range == "-64..64"
    assert controls["white_balance_automatic"].default is True
    assert controls["power_line_frequency"].choices == ((0, "Disabled"), (1, "50 Hz"), (2, "60 Hz"))
    assert controls["exposure_time_absolute"].inactive
    assert pixel_formats(3) == ["MJPG", "YUYV", "GREY"]
    assert control_name(b"Gain, Automatic\0junk") == "gain_automatic"


def test_values_are_set_by_number_switch_and_name(device: Device) -> None:
    controls = V4l2Controls(3, "camera")
    wanted = {"brightness": -5, "white_balance_automatic": False, "power_line_frequency": "60 hz"}
    controls.apply(wanted)
    assert [controls.value(name) for name in wanted] == [-5, 0, 2]
    controls.apply(controls.defaults(["brightness", "nonsense"]))
    assert controls.value("brightness") == 0


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"brightnes": 1}, "no such control; did you mean brightness\\? It has: brightness, exp"),
        ({"brightness": 65}, "does not take 65; set -64..64"),
        ({"brightness": 0.5}, "0.5 is not a whole number"),
        ({"brightness": "high"}, "does not take 'high'; set -64..64"),
        ({"white_balance_automatic": 2}, "does not take 2; set true or false"),
        ({"power_line_frequency": "70 Hz"}, "set 0 = Disabled, 1 = 50 Hz, 2 = 60 Hz"),
        ({"exposure_time_absolute": 10}, "refuses 10 .*such as an automatic: switch that off"),
    ],
)
def test_what_the_camera_does_not_have_is_refused(device: Device, wanted: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        V4l2Controls(3, "camera").apply(wanted)


def test_a_reload_changes_controls_and_resets_those_left_out(
    device: Device, tmp_path: Path
) -> None:
    node = tmp_path / "video0"
    node.touch()
    before = {"brightness": 5, "power_line_frequency": 2}
    source = V4l2Source(str(node), SourceSettings(controls=before))
    device.values |= {0x00980900: 5, 0x00980918: 2}
    assert source.adjust({"white_balance_automatic": 0, "brightness": 7})
    assert device.values[0x00980900] == 7
    assert device.values[0x0098090C] == 0
    assert device.values[0x00980918] == 1
    with pytest.raises(ConfigError, match="no such control"):
        source.adjust({"focus": 3, "brightness": 9})
    assert device.values[0x00980900] == 7
    node.unlink()
    assert source.adjust({"brightness": 9}), "it is set when the camera opens"


def test_flips_of_the_driver_are_taken_back_at_the_end(device: Device, tmp_path: Path) -> None:
    node = tmp_path / "video0"
    node.touch()
    source = V4l2Source(str(node), SourceSettings(rotate=180))
    fd = os.open(node, os.O_RDWR)
    source._set_up(fd)
    os.close(fd)
    assert (source.turned.hflip, source.turned.vflip) == (True, False)
    assert device.values[0x00980914] == 1
    source.close()
    assert device.values[0x00980914] == 0


def test_a_format_that_the_camera_lacks_is_refused(device: Device) -> None:
    source = V4l2Source("0", SourceSettings(pixel_format="Y16"))
    with pytest.raises(ConfigError, match="has no Y16; set one of MJPG, YUYV, GREY"):
        source._set_up(3)
