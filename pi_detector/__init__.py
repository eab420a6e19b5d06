"""pi-detector: quantized object detection for a Raspberry Pi, as a daemon and as a library.

Importing the package is cheap: OpenCV, the runtime and the camera libraries are imported only by
the modules that need them, when they need them.

Example:
    >>> from pi_detector import Detector, open_source
    >>> detector = Detector("street")
    >>> with open_source("demo:") as source:
    ...     found = detector.detect(next(iter(source)))
    >>> found.xyxy.shape == (len(found), 4)
    True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pi_detector.core.frame import Frame
    from pi_detector.core.geometry import Detection, Detections
    from pi_detector.detector.detector import Detector
    from pi_detector.errors import PiDetectorError
    from pi_detector.library import load_model, open_source

__version__ = "0.1.0"

__all__ = [
    "Detection",
    "Detections",
    "Detector",
    "Frame",
    "PiDetectorError",
    "__version__",
    "load_model",
    "open_source",
]

_HOMES = {
    "Detection": "core.geometry",
    "Detections": "core.geometry",
    "Detector": "detector.detector",
    "Frame": "core.frame",
    "PiDetectorError": "errors",
    "load_model": "library",
    "open_source": "library",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
