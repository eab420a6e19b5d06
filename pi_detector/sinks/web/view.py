"""The live picture: encoded once for all viewers of a kind, and not at all without viewers.

Programs get it with boxes drawn into it; the page gets it clean, and draws the boxes itself.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from pi_detector.config.outputs import WebSettings
from pi_detector.core.records import detections_record
from pi_detector.core.result import Result
from pi_detector.sinks.draw import annotated, preview
from pi_detector.sinks.files import jpeg_of
from pi_detector.sinks.web.bell import Bell
from pi_detector.util.worker import Worker

BOUNDARY = "frame"
_IDLE_S = 1.0


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture.

    Attributes:
        jpeg: the picture.
        number: of the picture, from 1.
        at_s: monotonic time of its encoding.
        found: what was detected in it, as JSON in ASCII.
    """

    jpeg: bytes
    number: int
    at_s: float
    found: bytes = b""


@dataclass(slots=True)
class _Kind:
    """One kind of picture, and who looks at it."""

    viewers: int = 0
    encoded: Result | None = None
    picture: Picture | None = None
    encoding: threading.Lock = field(default_factory=threading.Lock)


class LiveView:
    """Encodes the newest frame, at most ``view_fps`` times per second, while there are viewers.

    Args:
        web: the settings.
        bell: rung when there is a new picture.

    Attributes:
        web: may be replaced.
    """

    def __init__(self, web: WebSettings, bell: Bell) -> None:
        self.web = web
        self._bell = bell
        self._newest: Result | None = None
        self._kinds = {True: _Kind(), False: _Kind()}
        self._changed = threading.Condition()
        self._stopping = False
        self._worker: Worker | None = None

    def start(self) -> None:
        """Begin to wait for someone who looks, unless it does already."""
        self._stopping = False
        if self._worker is None or not self._worker.running:
            self._worker = Worker("web-view", self._run)

    def stop(self, deadline: float) -> bool:
        """End by ``deadline``, in monotonic seconds. Returns whether it did."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        return self._worker is None or self._worker.join(deadline)

    @property
    def viewers(self) -> int:
        """Number of current viewers."""
        return sum(kind.viewers for kind in self._kinds.values())

    @property
    def error(self) -> BaseException | None:
        """What ended the encoder, or None."""
        return None if self._worker is None else self._worker.error

    def offer(self, result: Result) -> None:
        """A processed frame; the newest wins."""
        with self._changed:
            self._newest = result
            if self.viewers:
                self._changed.notify_all()

    def join(self, *, boxes: bool) -> bool:
        """Begin to look, at pictures with or without boxes. Returns False with too many viewers."""
        with self._changed:
            if self.viewers >= self.web.max_viewers:
                return False
            self._kinds[boxes].viewers += 1
            self._changed.notify_all()
            return True

    def leave(self, *, boxes: bool) -> None:
        """Look no longer."""
        with self._changed:
            self._kinds[boxes].viewers -= 1

    def picture(self, *, boxes: bool, at_once: bool = False) -> Picture | None:
        """The newest frame, encoded; None before the first. From any thread.

        Args:
            boxes: draw what was detected into it.
            at_once: else a picture that was encoded a moment ago will do.
        """
        kind = self._kinds[boxes]
        with kind.encoding:
            newest, recent = self._newest, kind.picture
            age_s = None if recent is None else time.monotonic() - recent.at_s
            is_recent = age_s is not None and age_s < 1 / self.web.view_fps
            if newest is None or newest is kind.encoded or (is_recent and not at_once):
                return recent
            width = self.web.view_width
            image = annotated(newest, width) if boxes else preview(newest.frame.image, width)
            number = 1 if recent is None else recent.number + 1
            found = b"" if boxes else _found(newest)
            kind.picture = Picture(jpeg_of(image, "web"), number, time.monotonic(), found)
            kind.encoded = newest
            return kind.picture

    async def stream(self, *, boxes: bool) -> AsyncIterator[bytes]:
        """The parts of a ``multipart/x-mixed-replace`` answer: JPEG after JPEG.

        A slow reader gets fewer of them. Without boxes each has a header ``X-Detections``.
        """
        seen, kind = 0, self._kinds[boxes]
        while not self._bell.closing:
            picture = kind.picture
            if picture is None or picture.number == seen:
                await self._bell.wait(_IDLE_S)
                if picture is kind.picture:
                    yield b""  # so that a reader who left is noticed
                continue
            seen = picture.number
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(picture.jpeg)}\r\n".encode()
            if picture.found:
                head += b"X-Detections: " + picture.found + b"\r\n"
            # The boundary ends a part; sent at once, it lets a browser show the picture now.
            yield head + b"\r\n" + picture.jpeg + f"\r\n--{BOUNDARY}\r\n".encode()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._wanted)
                if self._stopping:
                    return
            begun_s = time.monotonic()
            for boxes, kind in self._kinds.items():
                if kind.viewers:
                    self.picture(boxes=boxes, at_once=True)
            self._bell.ring()
            left_s = 1 / self.web.view_fps - (time.monotonic() - begun_s)
            with self._changed:
                self._changed.wait_for(lambda: self._stopping, max(0.0, left_s))

    def _wanted(self) -> bool:
        return self._stopping or any(
            kind.viewers > 0 and self._newest is not None and self._newest is not kind.encoded
            for kind in self._kinds.values()
        )


def _found(result: Result) -> bytes:
    """What was detected in a frame: time, size, and of each object label, score, number, box."""
    record = detections_record(result)
    found = [[d.label, d.score, d.track_id, *d.box] for d in record.detections]
    shown = {
        "time": record.time.isoformat(),
        "frame": [record.frame.width, record.frame.height],
        "inferred": result.inferred,
        "found": found,
    }
    return json.dumps(shown, separators=(",", ":")).encode("ascii")
