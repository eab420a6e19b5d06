"""USB webcams and other cameras of the kernel's video interface (V4L2)."""

from __future__ import annotations

import errno
import logging
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pi_detector.config.settings import SourceSettings
from pi_detector.errors import (
    ConfigError,
    SourceBusyError,
    SourceNotFoundError,
    SourcePermissionError,
)
from pi_detector.sources import videodev
from pi_detector.sources.base import Controls
from pi_detector.sources.capture import CaptureSource, LiveCapture
from pi_detector.sources.orientation import UNTURNED, Turn
from pi_detector.sources.v4l2_controls import HFLIP, VFLIP, V4l2Controls, pixel_formats

if TYPE_CHECKING:
    import cv2

log = logging.getLogger(__name__)

_SELECT_TIMEOUT = "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"
# One that is being filled while one is read. A single buffer would be out of the driver's hands
# while it is decoded, and the camera would lose every second frame; more would only hold old ones.
_BUFFERS = 2


class V4l2Source(CaptureSource):
    """A V4L2 camera, read by OpenCV.

    MJPEG is asked for unless the settings name a format, because uncompressed 640×480 and larger
    does not fit USB 2 at full rate; width, height and rate are what the camera grants, which is
    logged.

    Args:
        target: ``/dev/video0``, ``0`` or a path under ``/dev/v4l/by-id``.
        settings: width, height, fps, controls, pixel_format, rotate, hflip, vflip, read_timeout_s.

    Attributes:
        turned: what the driver mirrors, see ``TurnsItself``.
    """

    def __init__(self, target: str, settings: SourceSettings) -> None:
        self._path = Path(f"/dev/video{target}" if target.isdigit() else target)
        self._settings = settings
        super().__init__(f"v4l2:{self._path}")
        self.turned = UNTURNED
        self._flips_before: dict[str, int] = {}
        set_read_deadline(settings)

    def open(self, model_size: tuple[int, int] | None = None) -> None:  # noqa: ARG002
        """Acquire the camera. ``model_size`` is not used: V4L2 cannot scale.

        Raises:
            SourceNotFoundError: there is no such device, or it is no camera.
            SourcePermissionError: this user may not open it.
            SourceBusyError: another program streams from it.
            ConfigError: it does not have a control, or not the pixel format.
        """
        self.close()
        device = self._probe()
        import cv2

        capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
        if not capture.isOpened():
            capture.release()
            raise SourceNotFoundError(
                f"{self.name}: OpenCV cannot read this camera; check its formats with "
                f"'v4l2-ctl -d {self._path} --list-formats-ext'"
            )
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*self._fourcc))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._settings.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._settings.height)
        if self._settings.fps:
            capture.set(cv2.CAP_PROP_FPS, self._settings.fps)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, _BUFFERS)
        self._log_granted(capture)
        self._capture = LiveCapture(capture, self.name, self._settings.read_timeout_s)

    def adjust(self, controls: Controls) -> bool:
        """Set the driver's controls, see ``Adjustable``: the stream continues meanwhile."""
        gone = self._settings.controls.keys() - controls.keys()
        try:
            fd = self._opened()
        except OSError:
            log.debug("%s: is not there; its controls are set when it opens", self.name)
        else:
            try:
                camera = V4l2Controls(fd, self.name)
                camera.check(controls)
                camera.apply(camera.defaults(gone))
                camera.apply(controls)
            finally:
                os.close(fd)
        self._settings = msgspec.structs.replace(self._settings, controls=dict(controls))
        return True

    def close(self) -> None:
        """Release the camera."""
        self._release()
        flips, self._flips_before = self._flips_before, {}
        if flips:
            self._restore(flips)

    @property
    def _fourcc(self) -> str:
        return (self._settings.pixel_format or "MJPG").ljust(4)

    def _opened(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def _set_up(self, fd: int) -> None:
        """Set the controls, and see that the format exists."""
        wanted, formats = self._settings.pixel_format.strip(), pixel_formats(fd)
        if wanted and wanted not in formats:
            raise ConfigError(
                f"source.pixel_format: {self.name} has no {wanted}; set one of {', '.join(formats)}"
            )
        turn = Turn.of(self._settings)
        self.turned = UNTURNED
        if not (self._settings.controls or turn != UNTURNED):
            return
        controls = V4l2Controls(fd, self.name)
        controls.apply(self._settings.controls)
        if turn.transpose:  # OpenCV then mirrors at no further cost
            return
        done = {}
        for name, is_wanted in ((HFLIP, turn.hflip), (VFLIP, turn.vflip)):
            if is_wanted and controls.has(name) and name not in self._settings.controls:
                self._flips_before[name] = controls.value(name) or 0
                controls.apply({name: True})
                done[name] = controls.value(name) == 1
        self.turned = Turn(False, done.get(HFLIP, False), done.get(VFLIP, False))

    def _restore(self, flips: dict[str, int]) -> None:
        """Leave the driver as it was, for other programs."""
        try:
            fd = self._opened()
        except OSError:  # unplugged
            return
        try:
            V4l2Controls(fd, self.name).apply(flips)
        except ConfigError as error:
            log.debug("%s", error)
        finally:
            os.close(fd)

    def _probe(self) -> str:
        """Diagnose what OpenCV does not report; return the path of the device node."""
        try:
            fd = self._opened()
        except OSError as error:
            raise self._explained(error) from error
        try:
            capability = videodev.query_capability(fd)
            if capability is None or not capability.is_camera:
                raise SourceNotFoundError(
                    f"{self.name}: not a camera; 'pi-detector doctor' lists the cameras"
                )
            if videodev.is_busy(fd, capability):
                raise self._busy()
            self._set_up(fd)
        finally:
            os.close(fd)
        return str(self._path.resolve())

    def _explained(self, error: OSError) -> Exception:
        if error.errno in {errno.EACCES, errno.EPERM}:
            return SourcePermissionError(
                f"{self._path}: no permission to open it; add the user to the group 'video': "
                "sudo usermod -aG video $USER, then log in again"
            )
        if error.errno == errno.EBUSY:
            return self._busy()
        return SourceNotFoundError(
            f"{self._path}: no camera ({error.strerror}); plug it in, or list the cameras with "
            "'pi-detector doctor'"
        )

    def _busy(self) -> SourceBusyError:
        return SourceBusyError(
            f"{self.name}: in use by another program; find it with 'fuser -v {self._path}' "
            "and stop it"
        )

    def _log_granted(self, capture: cv2.VideoCapture) -> None:
        import cv2

        code = int(capture.get(cv2.CAP_PROP_FOURCC))
        width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        asked = (self._settings.width, self._settings.height)
        log.log(
            logging.INFO if (width, height) == asked else logging.WARNING,
            "%s: %dx%d %s at %.3g frames/s (asked for %dx%d)",
            self.name,
            width,
            height,
            code.to_bytes(4, "little", signed=True).decode("ascii", "replace"),
            capture.get(cv2.CAP_PROP_FPS),
            *asked,
        )


def set_read_deadline(settings: SourceSettings) -> None:
    """Set the deadline of OpenCV's reads, for all V4L2 cameras of this process.

    OpenCV may read it when it is imported, so it is set before any source is opened. An inherited
    value is overridden, because error messages advise users to raise the setting.
    """
    os.environ[_SELECT_TIMEOUT] = str(max(1, math.ceil(settings.read_timeout_s)))
