"""Events to send messages about, and a server that takes them, or does not."""

from __future__ import annotations

import base64
import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import cv2
import msgspec
import numpy as np

from pi_detector.config.notify import NotifySettings
from pi_detector.core.frame import Frame
from pi_detector.core.geometry import Detections
from pi_detector.core.records import BestView, EventRecord, FrameSize, Transition
from pi_detector.core.result import Result, Timings, View
from pi_detector.core.states import EndReason

START = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)  # a Tuesday
START_NS = 10**12
BOX_PX = (80.0, 60.0, 160.0, 200.0)
WIDTH, HEIGHT = 320, 240
_SLOW_S = 0.1


def a_rule(**settings: Any) -> NotifySettings:
    return msgspec.convert({"urls": ["http://127.0.0.1:9/"], **settings}, NotifySettings)


def at(seconds: float) -> tuple[datetime, int]:
    """Wall time and monotonic time of the frames, so long after the start."""
    return START + timedelta(seconds=seconds), START_NS + round(seconds * 1e9)


def event(
    number: int = 1,
    at_s: float = 0.0,
    phase: Literal["new", "update", "end"] = "new",
    *,
    label: str = "person",
    revision: int = 0,
    score: float = 0.8,
    zones: tuple[str, ...] = (),
    entered: tuple[str, ...] | None = None,
    reason: EndReason | None = None,
    now: tuple[datetime, int] | None = None,
    changes: tuple[tuple[Literal["loitering", "in", "out", "entered"], str], ...] = (),
) -> EventRecord:
    """A record of the event of this number."""
    wall, now_ns = now or at(at_s)
    return EventRecord(
        id=f"20261124T120000Z-abcd-{number}",
        revision=revision,
        phase=phase,
        label=label,
        class_id=1,
        track_id=number,
        score=score,
        hits=5,
        best=BestView(number, wall, score, BOX_PX, (0.25, 0.25, 0.5, 0.83)),
        source="demo",
        sequence=number,
        time=wall,
        started=wall,
        last_seen=wall,
        clock_synchronized=True,
        monotonic_ns=now_ns,
        duration_s=4.0,
        frame=FrameSize(WIDTH, HEIGHT),
        box_px=BOX_PX,
        box=(0.25, 0.25, 0.5, 0.83),
        zones=zones,
        entered=zones if entered is None else entered,
        transitions=tuple(Transition(kind=kind, name=name, time=wall) for kind, name in changes),
        reason="gone" if phase == "end" and reason is None else reason,
    )


def now() -> tuple[datetime, int]:
    """The clocks of a frame that was just captured."""
    return datetime.now(UTC), time.monotonic_ns()


def view_of(number: int, shade: int = 90) -> Result:
    """A frame of one grey, that shows the object of an event better than those before."""
    wall, now_ns = now()
    image = np.full((HEIGHT, WIDTH, 3), shade, np.uint8)
    found = Detections(
        np.array([BOX_PX], np.float32), np.array([0.8], np.float32), np.array([1], np.int64)
    )
    return Result(
        Frame(image, number, now_ns, wall, "demo"),
        found,
        {1: "person"},
        Timings(1, 1, 1, 1),
        views=(View(f"20261124T120000Z-abcd-{number}", BOX_PX, 0.8),),
    )


class Hook:
    """A web server on loopback that takes messages; ``answers`` says how.

    Attributes:
        taken: the messages that it answered with 200, in order.
        asked: all requests.
        answers: for the next requests: a status, ``slow`` (200 after a while), ``hang`` (no
            answer), ``drop`` (closes); then 200.
    """

    def __init__(self, port: int = 0) -> None:
        self.taken: list[dict[str, Any]] = []
        self.asked: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int | Literal["slow", "hang", "drop"]] = []
        self.released = threading.Event()
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook"
        threading.Thread(target=self.server.serve_forever, args=[0.02], daemon=True).start()

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        self.asked.append((dict(request.headers), body))
        how = self.answers.pop(0) if self.answers else 200
        if how == "hang":
            self.released.wait(20)
            return
        if how == "drop":
            request.close_connection = True
            return
        if how == "slow":
            how = 200
            time.sleep(_SLOW_S)
        if how == 200:
            self.taken.append(json.loads(body) if body[:1] == b"{" else {})
        request.send_response(how)
        request.send_header("Content-Length", "0")
        if how == 429:
            request.send_header("Retry-After", "0")
        request.end_headers()

    @property
    def ids(self) -> list[str]:
        return [message["id"] for message in self.taken]

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def a_hook(port: int = 0) -> Iterator[Hook]:
    hook = Hook(port)
    try:
        yield hook
    finally:
        hook.close()


def picture_of(message: dict[str, Any]) -> np.ndarray:
    """The picture of a message, RGB."""
    data = np.frombuffer(base64.b64decode(message["image"]["base64"]), np.uint8)
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))
