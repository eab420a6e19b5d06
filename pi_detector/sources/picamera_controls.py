"""The controls of cameras that picamera2 opens, by libcamera's names.

Source: the picamera2 manual, chapter 5 and appendix C: ``camera_controls`` names what a camera has
with (minimum, maximum, default); the names of choices stand in ``libcamera.controls``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pi_detector.config.settings import ControlValue
from pi_detector.sources.base import Controls
from pi_detector.sources.controls import Control, find_control


def list_controls(camera: Any) -> list[Control]:
    """The controls of an instance of Picamera2, in the order of their names."""
    return [_control(name, limits) for name, limits in sorted(dict(camera.camera_controls).items())]


def checked_controls(camera: Any, wanted: Controls, name: str) -> dict[str, Any]:
    """Controls as picamera2 takes them.

    Args:
        camera: an instance of Picamera2.
        wanted: of the settings.
        name: of the source, for messages.

    Raises:
        ConfigError: the camera does not have one, or refuses its value.
    """
    controls = list_controls(camera)
    return {
        each: find_control(controls, each, name).number_of(value) for each, value in wanted.items()
    }


def default_controls(camera: Any, names: set[str]) -> dict[str, Any]:
    """The default values of controls, where the camera says them."""
    return {
        control.name: control.default
        for control in list_controls(camera)
        if control.name in names and control.default is not None
    }


def _control(name: str, limits: tuple[Any, Any, Any]) -> Control:
    low, high, default = limits
    choices = tuple(sorted((int(value), each) for each, value in _members(name).items()))
    if choices:
        first, last = (low, high) if _is_number(low) and _is_number(high) else (None, None)
        if first is not None and last is not None and last > first:
            choices = tuple(choice for choice in choices if first <= choice[0] <= last)
        return Control(name, "choice", first, last, _plain(default), choices=choices)
    if isinstance(low, bool) or isinstance(high, bool):
        return Control(name, "boolean", default=_plain(default))
    if _is_number(low) and _is_number(high):
        # Gains and gain limits are pairs: their limits are those of each number.
        kind = "other" if name in _LISTS else "number"
        return Control(name, kind, low, high, _plain(default))  # type: ignore[arg-type]
    return Control(name, "other", default=_plain(default))


_LISTS = frozenset({"FrameDurationLimits", "ColourGains", "AfWindows", "ScalerCrop"})


def _members(name: str) -> Mapping[str, Any]:
    """The names of a control's choices, which drafts of libcamera keep apart."""
    try:
        from libcamera import controls
    except ImportError:
        return {}
    for room in (controls, getattr(controls, "draft", None)):
        members = getattr(getattr(room, f"{name}Enum", None), "__members__", None)
        if members:
            return dict(members)
    return {}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _plain(value: object) -> ControlValue | None:
    """A default that settings can hold; None for libcamera's own types."""
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, tuple) and all(_is_number(each) for each in value):
        return value
    return None
