"""What can be set on a camera, asked of the camera itself."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace

from pi_detector.errors import PiDetectorError
from pi_detector.sources import picamera
from pi_detector.sources.controls import Control
from pi_detector.sources.discover import CameraInfo
from pi_detector.sources.v4l2_controls import V4l2Controls, pixel_formats
from pi_detector.util.uri import split_uri

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Abilities:
    """A camera, and what can be set on it.

    Attributes:
        uri: opens it.
        description: its name in words.
        controls: for ``source.controls``.
        pixel_formats: for ``source.pixel_format``, of a V4L2 camera.
        sensor_modes: for ``source.sensor_mode``, of a Pi camera: width, height, bits.
        problem: why the camera cannot be asked; empty where it can.
    """

    uri: str
    description: str
    controls: tuple[Control, ...] = ()
    pixel_formats: tuple[str, ...] = ()
    sensor_modes: tuple[tuple[int, int, int], ...] = ()
    problem: str = ""


def abilities_of(camera: CameraInfo) -> Abilities:
    """Ask a camera what can be set on it."""
    known = Abilities(camera.permanent_uri or camera.uri, camera.description)
    scheme, target = split_uri(camera.uri)
    try:
        if scheme == "picamera":
            controls, modes = picamera.ask_camera(int(target))
            return replace(known, controls=tuple(controls), sensor_modes=tuple(modes))
        fd = os.open(target, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except (PiDetectorError, OSError, RuntimeError) as error:
        return replace(known, problem=str(error))
    try:
        asked = tuple(V4l2Controls(fd, camera.uri).all)
        return replace(known, controls=asked, pixel_formats=tuple(pixel_formats(fd)))
    finally:
        os.close(fd)
