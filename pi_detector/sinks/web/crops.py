"""Pictures of the events of this run, cropped around their objects, before any is recorded."""

from __future__ import annotations

import threading
from collections import OrderedDict

from pi_detector.core.boxes import BoxPx
from pi_detector.core.records import EventRecord
from pi_detector.core.result import Result
from pi_detector.sinks.crop import crop_around
from pi_detector.sinks.files import jpeg_of

MOST_CROPS = 200
"""Number of events whose picture is kept in memory."""


class Crops:
    """The best view of each of the latest events, as a small JPEG."""

    def __init__(self) -> None:
        self._crops: OrderedDict[str, bytes] = OrderedDict()
        self._last: Result | None = None
        self._lock = threading.Lock()

    def see(self, result: Result) -> None:
        """A processed frame, which may be the best view of some events. Raises SinkError."""
        self._last = result
        for view in result.views:
            self._keep(view.event_id, result, view.box_px)

    def note(self, event: EventRecord) -> None:
        """An event began: its first frame came before it. Raises SinkError."""
        last = self._last
        if last is None or event.id in self._crops or last.frame.sequence != event.sequence:
            return
        self._keep(event.id, last, event.box_px)

    def of(self, event_id: str) -> bytes | None:
        """The picture of an event as JPEG, or None. From any thread."""
        with self._lock:
            return self._crops.get(event_id)

    def _keep(self, event_id: str, result: Result, box_px: BoxPx) -> None:
        jpeg = jpeg_of(crop_around(result.frame.image, box_px), "a crop")
        with self._lock:
            self._crops[event_id] = jpeg
            self._crops.move_to_end(event_id)
            while len(self._crops) > MOST_CROPS:
                self._crops.popitem(last=False)
