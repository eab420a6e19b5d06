"""The picture of a message: the frame that shows an object best so far, or what is around it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import numpy as np

from pi_detector.core.boxes import BoxPx
from pi_detector.core.frame import ImageArray
from pi_detector.core.geometry import Detections
from pi_detector.core.records import EventRecord
from pi_detector.core.result import Result
from pi_detector.sinks.draw import annotate, preview
from pi_detector.sinks.files import jpeg_of
from pi_detector.sinks.recordings.views import Picture, picture_of

_MOST_EVENTS = 16
_MARGIN = 0.3  # of the larger side of a box, on each side of it
_SMALLEST_CROP_PX = 160


class Pictures:
    """The best view of each event that a message may still be sent about, as JPEG.

    A frame is encoded only where such an event is in it; of an event that is not known yet, the
    frame itself is kept until its first record comes, which is the next thing to come.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Picture | None] = OrderedDict()
        self._last: Result | None = None

    def note(self, result: Result) -> None:
        """A frame came. Raises SinkError where it cannot be encoded."""
        self._last = result if result.views else None
        for view in result.views:
            if view.event_id in self._kept:
                self._kept[view.event_id] = picture_of(result, view.box_px, view.score)

    def follow(self, event_id: str) -> None:
        """Keep the best view of an event from now on, the last frame's included."""
        if event_id in self._kept:
            return
        self._kept[event_id] = self._in_last(event_id)
        while len(self._kept) > _MOST_EVENTS:
            self._kept.popitem(last=False)

    def of(self, event_id: str) -> Picture | None:
        """The best view of an event so far; None where there is none."""
        return self._kept.get(event_id) or self._in_last(event_id)

    def forget(self, event_id: str) -> None:
        """No message is sent about an event any more."""
        self._kept.pop(event_id, None)

    def _in_last(self, event_id: str) -> Picture | None:
        if self._last is None:
            return None
        for view in self._last.views:
            if view.event_id == event_id:
                return picture_of(self._last, view.box_px, view.score)
        return None


def message_jpeg(
    picture: Picture,
    event: EventRecord,
    kind: Literal["frame", "crop"],
    *,
    annotated: bool,
    width: int,
) -> bytes:
    """The picture as a message has it, as JPEG.

    Args:
        picture: the best view.
        event: whose object it shows.
        kind: the whole frame, or what is around the object.
        annotated: draw its box.
        width: at most this wide, in pixels; 0 for no limit.

    Raises:
        SinkError: it cannot be encoded.
    """
    import cv2

    decoded = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None, "it was encoded here"
    image: ImageArray = np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
    left = top = 0
    if kind == "crop":
        left, top, right, bottom = _around(picture.box_px, image.shape[1], image.shape[0])
        image = np.ascontiguousarray(image[top:bottom, left:right])
    small = preview(image, width)
    if annotated:
        scale = np.float32(small.shape[1] / image.shape[1])
        x1, y1, x2, y2 = picture.box_px
        box = np.array([[x1 - left, y1 - top, x2 - left, y2 - top]], np.float32) * scale
        found = Detections(box, np.array([picture.score], np.float32), np.array([event.class_id]))
        small = annotate(small, found, {event.class_id: event.label})
    return jpeg_of(small, "a message's picture")


def _around(box_px: BoxPx, width: int, height: int) -> tuple[int, int, int, int]:
    """A part of the frame around a box: with a margin, not too small, inside the frame."""
    x1, y1, x2, y2 = box_px
    margin = _MARGIN * max(x2 - x1, y2 - y1)
    half_x = max((x2 - x1) / 2 + margin, _SMALLEST_CROP_PX / 2)
    half_y = max((y2 - y1) / 2 + margin, _SMALLEST_CROP_PX / 2)
    middle_x, middle_y = (x1 + x2) / 2, (y1 + y2) / 2
    left, right = max(0, round(middle_x - half_x)), min(width, round(middle_x + half_x))
    top, bottom = max(0, round(middle_y - half_y)), min(height, round(middle_y + half_y))
    return left, top, max(right, left + 1), max(bottom, top + 1)
