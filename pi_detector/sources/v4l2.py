"""Cameras of the kernel's video interface: USB webcams."""

from __future__ import annotations

import errno
import logging
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pi_detector.config.settings import SourceSettings
from pi_detector.core.frame import Frame
from pi_detector.errors import (
    SourceBusyError,
    SourceLostError,
    SourceNotFoundError,
    SourcePermissionError,
)
from pi_detector.sources import videodev
from pi_detector.sources.capture import LiveCapture
from pi_detector.sources.framing import FrameMaker
from pi_detector.util.rate_limit import Pace

if TYPE_CHECKING:
    import cv2

log = logging.getLogger(__name__)

_SELECT_TIMEOUT = "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"
# One that is being filled while one is read. A single buffer would be out of the driver's hands
# while it is decoded, and the camera would lose every second frame; more would only hold old ones.
_BUFFERS = 2


class V4l2Source:
    """A V4L2 camera, read by OpenCV.

    MJPEG is asked for, because uncompressed 640×480 and larger does not fit USB 2 at full rate;
    width, height and rate are what the camera grants, which is logged.

    Args:
        target: ``/dev/video0``, ``0`` or a path under ``/dev/v4l/by-id``.
        settings: width, height, fps, read_timeout_s.
    """

    live = True

    def __init__(self, target: str, settings: SourceSettings) -> None:
        self._path = Path(f"/dev/video{target}" if target.isdigit() else target)
        self._settings = settings
        self.name = f"v4l2:{self._path}"
        self._frames = FrameMaker(self.name)
        self._pace = Pace()
        self._capture: LiveCapture | None = None
        set_read_deadline(settings)

    def open(self, model_size: tuple[int, int] | None = None) -> None:  # noqa: ARG002
        """Acquire the camera. ``model_size`` is not used: V4L2 cannot scale.

        Raises:
            SourceNotFoundError: there is no such device, or it is no camera.
            SourcePermissionError: this user may not open it.
            SourceBusyError: another program streams from it.
        """
        self.close()
        device = self._probe()
        import cv2

        capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
        if not capture.isOpened():
            capture.release()
            raise SourceNotFoundError(
                f"{self.name}: OpenCV cannot read this camera; see what formats it has with "
                f"'v4l2-ctl -d {self._path} --list-formats-ext'"
            )
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._settings.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._settings.height)
        if self._settings.fps:
            capture.set(cv2.CAP_PROP_FPS, self._settings.fps)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, _BUFFERS)
        self._log_granted(capture)
        self._capture = LiveCapture(capture, self.name, self._settings.read_timeout_s)

    def read(self) -> Frame:
        """The next frame.

        Raises:
            SourceStalledError: the camera delivered nothing within ``read_timeout_s``.
            SourceLostError: it was unplugged.
        """
        if self._capture is None:
            raise SourceLostError(f"{self.name} is not open; open it first")
        image, moment, skipped = self._capture.read(self._pace)
        return self._frames.from_bgr(image, moment, skipped=skipped)

    def limit_rate(self, rate_fps: float | None) -> bool:
        """Read at most so many frames per second, see ``Paced``."""
        self._pace.rate_fps = rate_fps
        return True

    def close(self) -> None:
        """Release the camera."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _probe(self) -> str:
        """Find out what OpenCV would not tell; returns the path of the device node."""
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise self._explained(error) from error
        try:
            capability = videodev.query_capability(fd)
            if capability is None or not capability.is_camera:
                raise SourceNotFoundError(
                    f"{self.name} is not a camera; 'pi-detector doctor' lists the cameras"
                )
            if videodev.is_busy(fd, capability):
                raise self._busy()
        finally:
            os.close(fd)
        return str(self._path.resolve())

    def _explained(self, error: OSError) -> Exception:
        if error.errno in {errno.EACCES, errno.EPERM}:
            return SourcePermissionError(
                f"no permission to open {self._path}; add the user to the group 'video': "
                "sudo usermod -aG video $USER, then log in again"
            )
        if error.errno == errno.EBUSY:
            return self._busy()
        return SourceNotFoundError(
            f"no camera at {self._path} ({error.strerror}); plug it in, or see "
            "'pi-detector doctor' for the cameras there are"
        )

    def _busy(self) -> SourceBusyError:
        return SourceBusyError(
            f"{self.name} is in use by another program; find it with 'fuser -v {self._path}' "
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
    """Give OpenCV the deadline of its reads, for all V4L2 cameras of this process.

    OpenCV may read it when it is imported, so it is set before anybody opens a source. One that was
    inherited gives way: the setting is what the user is told to raise.
    """
    os.environ[_SELECT_TIMEOUT] = str(max(1, math.ceil(settings.read_timeout_s)))
