"""The best view of an object: the picture that is kept of its event."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pi_detector.frame import ImageArray
from pi_detector.geometry import Detections
from pi_detector.records import BoxPx, EventRecord, Result
from pi_detector.sinks.draw import annotate, preview
from pi_detector.sinks.files import jpeg_of

_THUMBNAIL_PX = 320
_EDGE_PX = 2.0  # a box this near to the frame's edge is taken to be cut off
_BETTER = 1.1  # an object that comes nearer is not encoded anew at each step


@dataclass(frozen=True, slots=True)
class View:
    """A frame that shows an object well.

    Attributes:
        whole: the object is not cut off by the frame's edge.
        merit: score times area in pixels.
        jpeg: the frame, clean.
        box: the object, as the only detection.
        labels: class id to label, of the object.
    """

    whole: bool
    merit: float
    jpeg: bytes
    box: Detections
    labels: dict[int, str]


def better_view(
    best: View | None, result: Result, event: EventRecord, box_px: BoxPx, score: float
) -> View | None:
    """The view of an object in a frame, or None where the best so far is as good.

    Args:
        best: so far.
        result: the frame.
        event: that the object belongs to, of which the label and the class count here.
        box_px: where the object is.
        score: of the object there.
    """
    x1, y1, x2, y2 = box_px
    frame = result.frame
    whole = (
        x1 > _EDGE_PX
        and y1 > _EDGE_PX
        and x2 < frame.width - _EDGE_PX
        and y2 < frame.height - _EDGE_PX
    )
    merit = score * (x2 - x1) * (y2 - y1)
    if best is not None:
        if best.whole and not whole:
            return None
        if best.whole == whole and merit < best.merit * _BETTER:
            return None
    jpeg = jpeg_of(frame.image, f"a frame of {frame.source}")
    box = Detections(
        np.array([box_px], np.float32), np.array([score], np.float32), np.array([event.class_id])
    )
    return View(whole, merit, jpeg, box, {event.class_id: event.label})


def pictures(view: View) -> tuple[bytes, bytes]:
    """The annotated picture of a view, and its thumbnail, as JPEG."""
    import cv2

    encoded = np.frombuffer(view.jpeg, np.uint8)
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None, "it was encoded here"
    image: ImageArray = np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
    small = preview(image, _THUMBNAIL_PX)
    scale = np.float32(small.shape[1] / image.shape[1])
    small_box = Detections(view.box.xyxy * scale, view.box.score, view.box.class_id)
    return (
        jpeg_of(annotate(image, view.box, view.labels), "a best view"),
        jpeg_of(annotate(small, small_box, view.labels), "a thumbnail"),
    )
