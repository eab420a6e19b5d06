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

# As typing's, whose import would cost more than all else here; type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from pi_detector.config.section import Secret, Section
    from pi_detector.core.frame import Frame
    from pi_detector.core.geometry import Detection, Detections
    from pi_detector.core.records import EventRecord
    from pi_detector.core.result import Result
    from pi_detector.detector.candidates import Candidates, DecoderSpec
    from pi_detector.detector.detector import Detector
    from pi_detector.errors import PiDetectorError, SinkError, SourceLostError
    from pi_detector.library import load_model, open_source

__version__ = "0.1.0"

__all__ = [
    "Candidates",
    "DecoderSpec",
    "Detection",
    "Detections",
    "Detector",
    "EventRecord",
    "Frame",
    "PiDetectorError",
    "Result",
    "Secret",
    "Section",
    "SinkError",
    "SourceLostError",
    "__version__",
    "load_model",
    "open_source",
]

_HOMES = {
    "Candidates": "detector.candidates",
    "DecoderSpec": "detector.candidates",
    "Detection": "core.geometry",
    "Detections": "core.geometry",
    "Detector": "detector.detector",
    "EventRecord": "core.records",
    "Frame": "core.frame",
    "PiDetectorError": "errors",
    "Result": "core.records",
    "Secret": "config.section",
    "Section": "config.section",
    "SinkError": "errors",
    "SourceLostError": "errors",
    "load_model": "library",
    "open_source": "library",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
