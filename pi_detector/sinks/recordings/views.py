"""The images that are kept of an event."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pi_detector.core.boxes import BoxPx
from pi_detector.core.frame import ImageArray
from pi_detector.core.geometry import Detections
from pi_detector.core.records import EventRecord
from pi_detector.core.result import Result
from pi_detector.sinks.crop import crop_around
from pi_detector.sinks.draw import annotate
from pi_detector.sinks.files import jpeg_of


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame that shows the object of an event.

    Attributes:
        jpeg: the frame, clean.
        box_px: the object, x1, y1, x2, y2 in pixels.
        score: of its detection, 0..1.
    """

    jpeg: bytes
    box_px: BoxPx
    score: float


def picture_of(result: Result, box_px: BoxPx, score: float) -> Picture:
    """The picture of a frame. Raises SinkError where it cannot be encoded."""
    frame = result.frame
    return Picture(jpeg_of(frame.image, f"a frame of {frame.source}"), box_px, score)


def drawn(picture: Picture, event: EventRecord) -> tuple[bytes, bytes]:
    """The annotated picture of an event, and a crop around its object, as JPEG."""
    import cv2

    encoded = np.frombuffer(picture.jpeg, np.uint8)
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None, "it was encoded here"
    image: ImageArray = np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
    box = Detections(
        np.array([picture.box_px], np.float32),
        np.array([picture.score], np.float32),
        np.array([event.class_id]),
    )
    labels = {event.class_id: event.label}
    return (
        jpeg_of(annotate(image, box, labels), "a best view"),
        jpeg_of(crop_around(image, picture.box_px), "a thumbnail"),
    )
