"""Controls and pixel formats of V4L2 devices.

Source: the kernel's ``linux/videodev2.h``; numbers and layouts are part of its stable interface.
"""

from __future__ import annotations

import errno
import fcntl
import re
import struct
from collections.abc import Iterable, Iterator
from typing import Literal

from pi_detector.config.settings import ControlValue
from pi_detector.errors import ConfigError
from pi_detector.sources.base import Controls
from pi_detector.sources.controls import Control, find_control

_VIDIOC_ENUM_FMT = 0xC0405602  # _IOWR('V', 2, struct v4l2_fmtdesc)
_VIDIOC_G_CTRL = 0xC008561B  # _IOWR('V', 27, struct v4l2_control)
_VIDIOC_S_CTRL = 0xC008561C  # _IOWR('V', 28, struct v4l2_control)
_VIDIOC_QUERYCTRL = 0xC0445624  # _IOWR('V', 36, struct v4l2_queryctrl)
_VIDIOC_QUERYMENU = 0xC02C5625  # _IOWR('V', 37, struct v4l2_querymenu)
_FORMAT = struct.Struct("=3I32sI4I")
_CONTROL = struct.Struct("=Ii")
_QUERY = struct.Struct("=II32s4iI2I")
_MENU = struct.Struct("=II32sI")
_NEXT = 0x80000000
_CAPTURE_KINDS = (1, 9)  # with one plane, with several

_KINDS: dict[int, Literal["number", "boolean", "choice"]] = {
    1: "number",
    2: "boolean",
    3: "choice",
    8: "number",  # a bit mask
    9: "choice",  # of numbers
}
_INTEGER_MENU = 9
_UNSETTABLE = 0x0001 | 0x0004  # disabled, read only
_INACTIVE = 0x0010
HFLIP, VFLIP = "horizontal_flip", "vertical_flip"


class V4l2Controls:
    """The controls of an open device.

    Args:
        fd: of the device node.
        camera: name of the source, for messages.

    Attributes:
        all: that can be set.
    """

    def __init__(self, fd: int, camera: str) -> None:
        self._fd = fd
        self._camera = camera
        self._ids: dict[str, int] = {}
        self.all = list(self._list())

    def has(self, name: str) -> bool:
        """Whether the camera has a control."""
        return name in self._ids

    def check(self, wanted: Controls) -> dict[str, int]:
        """The numbers that the camera takes for the values wanted.

        Raises:
            ConfigError: a control or a value does not exist here.
        """
        return {
            name: _whole(find_control(self.all, name, self._camera), value)
            for name, value in wanted.items()
        }

    def apply(self, wanted: Controls) -> None:
        """Set controls in their order: an automatic is switched off before what it sets.

        Raises:
            ConfigError: a control or a value does not exist here, or is refused.
        """
        for name, number in self.check(wanted).items():
            try:
                fcntl.ioctl(self._fd, _VIDIOC_S_CTRL, _CONTROL.pack(self._ids[name], number))
            except OSError as error:
                why = error.strerror or str(error)
                if error.errno in {errno.EACCES, errno.EBUSY, errno.EINVAL, errno.EIO}:
                    why += "; another control may set it, such as an automatic: switch that off"
                raise ConfigError(
                    f"source.controls.{name}: {self._camera} refuses {number} ({why})"
                ) from error

    def defaults(self, names: Iterable[str]) -> dict[str, ControlValue]:
        """The default values of controls that exist here."""
        by_name = {control.name: control.default for control in self.all}
        found = ((name, by_name.get(name)) for name in sorted(names))
        return {name: value for name, value in found if value is not None}

    def value(self, name: str) -> int | None:
        """The current value, or None where the camera does not say."""
        try:
            raw = fcntl.ioctl(self._fd, _VIDIOC_G_CTRL, _CONTROL.pack(self._ids[name], 0))
        except OSError:
            return None
        value: int = _CONTROL.unpack(raw)[1]
        return value

    def _list(self) -> Iterator[Control]:
        asked = _NEXT
        while True:
            try:
                query = _QUERY.pack(asked, 0, b"", 0, 0, 0, 0, 0, 0, 0)
                raw = fcntl.ioctl(self._fd, _VIDIOC_QUERYCTRL, query)
            except OSError:
                return
            number, kind, label, low, high, _step, default, flags, *_ = _QUERY.unpack(raw)
            asked = number | _NEXT
            if kind not in _KINDS or flags & _UNSETTABLE:
                continue
            name = control_name(label)
            self._ids[name] = number
            menu = kind in {3, _INTEGER_MENU}
            yield Control(
                name,
                _KINDS[kind],
                low,
                high,
                bool(default) if _KINDS[kind] == "boolean" else default,
                self.value(name),
                tuple(self._menu(number, kind, low, high)) if menu else (),
                bool(flags & _INACTIVE),
            )

    def _menu(self, number: int, kind: int, low: int, high: int) -> Iterator[tuple[int, str]]:
        for index in range(low, high + 1):
            try:
                raw = fcntl.ioctl(self._fd, _VIDIOC_QUERYMENU, _MENU.pack(number, index, b"", 0))
            except OSError:  # numbers may be left out
                continue
            text = _MENU.unpack(raw)[2]
            named = str(int.from_bytes(text[:8], "little", signed=True))
            yield index, named if kind == _INTEGER_MENU else _text(text)


def pixel_formats(fd: int) -> list[str]:
    """The pixel formats of an open device: their codes of four letters, without spaces."""
    found = []
    for kind in _CAPTURE_KINDS:
        for index in range(64):
            try:
                query = _FORMAT.pack(index, kind, 0, b"", 0, 0, 0, 0, 0)
                raw = fcntl.ioctl(fd, _VIDIOC_ENUM_FMT, query)
            except OSError:
                break
            found.append(_FORMAT.unpack(raw)[4].to_bytes(4, "little").decode("latin-1").strip())
    return found


def control_name(label: bytes) -> str:
    """A control's name as ``v4l2-ctl`` writes it: ``White Balance, Automatic`` in lower case."""
    return "_".join(re.findall(r"[a-z0-9]+", _text(label).lower()))


def _whole(control: Control, value: ControlValue) -> int:
    number = control.number_of(value)
    if not isinstance(number, (int, float)) or number != int(number):
        raise ConfigError(f"source.controls.{control.name}: {value!r} is not a whole number")
    return int(number)


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("utf-8", "replace")
