"""The source ``auto``: any available camera."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from pi_detector.config.settings import SourceSettings
from pi_detector.core.frame import Frame
from pi_detector.errors import SourceLostError, SourceNotFoundError
from pi_detector.sources.base import Adjustable, Controls, Source, interrupt, limit_rate
from pi_detector.sources.discover import CameraInfo, find_cameras
from pi_detector.sources.v4l2 import set_read_deadline

log = logging.getLogger(__name__)


class AutoSource:
    """The first camera available at opening time; for a service, which waits for one.

    Args:
        settings: settings for the camera's own source; ``uri`` is not used.
        make: creates that source.

    Attributes:
        name: name of the camera's source; ``auto`` until one was found.
    """

    live = True

    def __init__(self, settings: SourceSettings, make: Callable[[SourceSettings], Source]) -> None:
        self.name = "auto"
        self._settings = settings
        self._make = make
        self._source: Source | None = None
        self._rate_fps: float | None = None
        self._interrupted = False
        set_read_deadline(settings)

    def open(self, model_size: tuple[int, int] | None = None) -> None:
        """Find a camera, and open it.

        Raises:
            SourceNotFoundError: there is none.
            PiDetectorError: an error of its source.
        """
        self.close()
        camera = first_camera()
        if camera is None:
            raise SourceNotFoundError(
                "auto: no camera found; plug one in, or set source.uri ('pi-detector doctor' lists "
                "the cameras)"
            )
        # The source of the same camera continues its sequence numbers.
        if self._source is None or self._settings.uri != camera.uri:
            self._settings = msgspec.structs.replace(self._settings, uri=camera.uri)
            self._source = self._make(self._settings)
            limit_rate(self._source, self._rate_fps)
            if self._interrupted:
                interrupt(self._source)
        self._source.open(model_size)
        self.name = self._source.name

    def read(self) -> Frame | None:
        """The next frame. Raises what the camera's source raises."""
        if self._source is None:
            raise SourceLostError("auto: not open; open it first")
        return self._source.read()

    def limit_rate(self, rate_fps: float | None) -> bool:
        """Read at most so many frames per second, see ``Paced``; every camera can."""
        self._rate_fps = rate_fps
        if self._source is not None:
            limit_rate(self._source, rate_fps)
        return True

    def adjust(self, controls: Controls) -> bool:
        """Set controls of the camera, see ``Adjustable``."""
        source = self._source
        if source is not None and not (isinstance(source, Adjustable) and source.adjust(controls)):
            return False
        self._settings = msgspec.structs.replace(self._settings, controls=dict(controls))
        return True

    def interrupt(self) -> None:
        """End what the camera's source does, where it can be ended, see ``Interruptible``."""
        self._interrupted = True
        if self._source is not None:
            interrupt(self._source)

    def close(self) -> None:
        """Release the camera. Raises what its source raises."""
        if self._source is not None:
            self._source.close()


def first_camera() -> CameraInfo | None:
    """The first camera that may be opened, else the first one, else None."""
    cameras = sorted(find_cameras(), key=lambda camera: not camera.permitted)
    if not cameras:
        return None
    log.info("auto: %s (%s)", cameras[0].uri, cameras[0].description)
    return cameras[0]
