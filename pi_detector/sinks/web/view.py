"""The live picture: one encoder for all who look, and none while nobody does."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from pi_detector.config.outputs import WebSettings
from pi_detector.core.result import Result
from pi_detector.sinks.draw import annotated
from pi_detector.sinks.files import jpeg_of
from pi_detector.sinks.web.bell import Bell
from pi_detector.util.worker import Worker

BOUNDARY = "frame"
_IDLE_S = 1.0


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture.

    Attributes:
        jpeg: annotated.
        number: of the picture, from 1.
        at_s: monotonic time of its encoding.
    """

    jpeg: bytes
    number: int
    at_s: float


class LiveView:
    """Encodes the newest frame, at most ``view_fps`` times per second, while there are viewers.

    Args:
        web: the settings.
        bell: rung when there is a new picture.

    Attributes:
        web: may be replaced.
        viewers: number of current viewers.
    """

    def __init__(self, web: WebSettings, bell: Bell) -> None:
        self.web = web
        self.viewers = 0
        self._bell = bell
        self._newest: Result | None = None
        self._encoded: Result | None = None
        self._picture: Picture | None = None
        self._changed = threading.Condition()
        self._encoding = threading.Lock()
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
    def error(self) -> BaseException | None:
        """What ended the encoder, or None."""
        return None if self._worker is None else self._worker.error

    def offer(self, result: Result) -> None:
        """A processed frame; the newest wins."""
        with self._changed:
            self._newest = result
            if self.viewers:
                self._changed.notify_all()

    def join(self) -> bool:
        """Begin to look. Returns False where too many do already."""
        with self._changed:
            if self.viewers >= self.web.max_viewers:
                return False
            self.viewers += 1
            self._changed.notify_all()
            return True

    def leave(self) -> None:
        """Look no longer."""
        with self._changed:
            self.viewers -= 1

    def picture(self, *, at_once: bool = False) -> Picture | None:
        """The newest frame, encoded; None before the first. From any thread.

        Args:
            at_once: else a picture that was encoded a moment ago will do.
        """
        with self._encoding:
            newest, recent = self._newest, self._picture
            age_s = None if recent is None else time.monotonic() - recent.at_s
            is_recent = age_s is not None and age_s < 1 / self.web.view_fps
            if newest is None or newest is self._encoded or (is_recent and not at_once):
                return recent
            jpeg = jpeg_of(annotated(newest, self.web.view_width), "web")
            number = 1 if recent is None else recent.number + 1
            self._picture, self._encoded = Picture(jpeg, number, time.monotonic()), newest
            return self._picture

    async def stream(self) -> AsyncIterator[bytes]:
        """The parts of a ``multipart/x-mixed-replace`` answer: JPEG after JPEG.

        A slow reader gets fewer of them.
        """
        seen = 0
        while not self._bell.closing:
            picture = self._picture
            if picture is None or picture.number == seen:
                await self._bell.wait(_IDLE_S)
                if picture is self._picture:
                    yield b""  # so that a reader who left is noticed
                continue
            seen = picture.number
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(picture.jpeg)}\r\n\r\n"
            # The boundary ends a part; sent at once, it lets a browser show the picture now.
            yield head.encode() + picture.jpeg + f"\r\n--{BOUNDARY}\r\n".encode()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._wanted)
                if self._stopping:
                    return
            begun_s = time.monotonic()
            self.picture(at_once=True)
            self._bell.ring()
            left_s = 1 / self.web.view_fps - (time.monotonic() - begun_s)
            with self._changed:
                self._changed.wait_for(lambda: self._stopping, max(0.0, left_s))

    def _wanted(self) -> bool:
        fresh = self._newest is not None and self._newest is not self._encoded
        return self._stopping or (self.viewers > 0 and fresh)
