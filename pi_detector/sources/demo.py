"""A camera for devices without one: a moving view of a photograph.

The photograph is "camera", 512×512 in grey, by Lav Varshney, who released it into the public domain
(CC0). It shows a man behind a film camera, and ships with the package PyWavelets.
"""

from __future__ import annotations

import importlib.util
import math
import time
from pathlib import Path

import numpy as np

from pi_detector.config.settings import SourceSettings
from pi_detector.core.frame import Frame, ImageArray
from pi_detector.errors import ConfigError, DependencyMissingError, SourceLostError
from pi_detector.sources.base import SelfPaced
from pi_detector.sources.framing import FrameMaker, Moment
from pi_detector.util.installation import how_to_install

_FPS = 15.0
# Shares of the photograph. Its man stands at the left edge, his head an eighth below the top.
_SMALLEST_VIEW = 0.82
_WIDEST_PAN = 0.1
_ZOOM_PERIOD_S = 13.0
_PAN_X_PERIOD_S = 17.0
_PAN_Y_PERIOD_S = 11.0


class DemoSource(SelfPaced):
    """A view that pans and zooms slowly over the photograph, identical in every run.

    Args:
        target: empty.
        settings: width, height, fps (0 = 15).
    """

    live = True
    name = "demo"

    def __init__(self, target: str, settings: SourceSettings) -> None:
        if target:
            raise ConfigError(f"source.uri: unexpected text after 'demo:': {target}; remove it")
        super().__init__()
        self._size = (settings.width, settings.height)
        self._fps = settings.fps or _FPS
        self._frames = FrameMaker(self.name)
        self._photograph: ImageArray | None = None
        self._count = 0
        self._due_s = 0.0

    def open(self, model_size: tuple[int, int] | None = None) -> None:  # noqa: ARG002
        """Load the photograph. ``model_size`` is not used.

        Raises:
            DependencyMissingError: PyWavelets is not installed.
        """
        self._photograph = load_photograph()
        self._due_s = time.monotonic()

    def read(self) -> Frame:
        """Return the next view, when it is due."""
        if self._photograph is None:
            raise SourceLostError("demo: not open; open it first")
        moment, skipped = self._next_moment(), 0
        while not self._pace.take(moment.monotonic_ns):
            moment, skipped = self._next_moment(), skipped + 1
        image = render_view(self._photograph, self._size, (self._count - 1) / self._fps)
        return self._frames.from_rgb(image, moment, skipped=skipped)

    def _next_moment(self) -> Moment:
        """Wait until the next view is due."""
        time.sleep(max(0.0, self._due_s - time.monotonic()))
        moment = Moment.now()
        # A late reader does not receive the views that it missed.
        self._due_s = max(self._due_s, time.monotonic() - 1 / self._fps) + 1 / self._fps
        self._count += 1
        return moment

    def close(self) -> None:
        """Release the photograph."""
        self._photograph = None


def load_photograph() -> ImageArray:
    """Load the photograph, (512, 512, 3) uint8 RGB, without importing its package.

    Raises:
        DependencyMissingError: PyWavelets or its data is not installed.
    """
    spec = importlib.util.find_spec("pywt")
    folders = spec.submodule_search_locations if spec is not None else None
    path = Path(next(iter(folders or ()), "")) / "data/camera.npz"
    if spec is None or not path.is_file():
        raise DependencyMissingError(
            f"demo: PyWavelets, which ships its photograph, is missing; install it: "
            f"{how_to_install()}"
        )
    with np.load(path, allow_pickle=False) as archive:
        grey = archive["data"].astype(np.uint8)
    return np.repeat(grey[:, :, np.newaxis], 3, axis=2)


def render_view(photograph: ImageArray, size: tuple[int, int], time_s: float) -> ImageArray:
    """Render the view of the moving camera.

    The view never leaves the photograph: a mirrored second man would appear at its edges.

    Args:
        photograph: (H, W, 3) uint8.
        size: (width, height) of the view in pixels.
        time_s: seconds since the first view.

    Returns:
        (height, width, 3) uint8.
    """
    import cv2

    width, height = size
    whole_height, whole_width = photograph.shape[:2]
    scale = min(whole_width / width, whole_height / height)
    scale *= 1 - (1 - _SMALLEST_VIEW) * _swing(time_s, _ZOOM_PERIOD_S)
    # Coordinates are those of pixel centres, hence the ones.
    left = _pan(whole_width, scale * (width - 1) + 1) * _swing(time_s, _PAN_X_PERIOD_S)
    top = _pan(whole_height, scale * (height - 1) + 1) * _swing(time_s, _PAN_Y_PERIOD_S)
    matrix = np.array([[scale, 0, left], [0, scale, top]], np.float64)
    view = cv2.warpAffine(
        photograph,
        matrix,
        size,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(view, np.uint8)


def _pan(whole: float, visible: float) -> float:
    """How far the view may move, in pixels: not beyond the edge, nor past the man."""
    return min(whole - visible, _WIDEST_PAN * whole)


def _swing(time_s: float, period_s: float) -> float:
    """Smoothly from 0 to 1 and back in a period."""
    return 0.5 - 0.5 * math.cos(2 * math.pi * time_s / period_s)
