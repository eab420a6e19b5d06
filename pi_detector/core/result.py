"""A processed frame, as the threads of a run hand it on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pi_detector.core.boxes import BoxPx
from pi_detector.core.frame import Frame
from pi_detector.core.geometry import Detections
from pi_detector.core.looks import Look


@dataclass(frozen=True, slots=True)
class Timings:
    """What a frame cost, in milliseconds.

    Attributes:
        preprocess_ms: scaling to the model's input.
        invoke_ms: the interpreter's ``invoke()``.
        decode_ms: outputs to boxes, NMS included.
        latency_ms: from capture to the end of decoding, waiting included.
    """

    preprocess_ms: float
    invoke_ms: float
    decode_ms: float
    latency_ms: float


@dataclass(frozen=True, slots=True)
class View:
    """A frame that shows the object of an event better than any before.

    Attributes:
        event_id: of the event, whose records have it as ``id``.
        box_px: where the object is, x1, y1, x2, y2 in pixels of the frame.
        score: of its detection there, 0..1.
    """

    event_id: str
    box_px: BoxPx
    score: float


@dataclass(frozen=True, slots=True)
class Result:
    """A processed frame: what the detector hands to the sinks.

    Attributes:
        frame: the frame.
        detections: what was found in it.
        labels: class id to label, of the model.
        timings: what it cost.
        dropped: frames of this source that were replaced by newer ones before detection, so far.
        inferred: the detector ran; False for a frame that the motion gate found still, or that the
            governor skipped, and while detection is paused.
        views: the events that this frame is the best view of, so far.
        looks: what the detector was given of it; empty for the whole frame alone.
    """

    frame: Frame
    detections: Detections
    labels: Mapping[int, str]
    timings: Timings
    dropped: int = 0
    inferred: bool = True
    views: tuple[View, ...] = ()
    looks: tuple[Look, ...] = ()
