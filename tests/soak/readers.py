"""Those who read what a daemon publishes: a program, a subscriber, a viewer who comes and goes."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Any

from paho.mqtt import client as paho

_PATIENCE_S = 20.0
_CHUNK = 16384


class Records:
    """What came out on standard output."""

    def __init__(self) -> None:
        self.detections = 0
        self.skipped = 0  # numbers of frames between those of the records
        self.events: set[tuple[str, int]] = set()  # id and revision
        self.states: Counter[str] = Counter()  # of status records, with their parts
        self._last = -1

    def read(self, stream: Any) -> None:
        """Count until the stream ends."""
        for line in stream:
            record = json.loads(line)
            if record["type"] == "detections":
                self.detections += 1
                self.skipped += record["sequence"] - self._last - 1
                self._last = record["sequence"]
            elif record["type"] == "event":
                self.events.add((record["id"], record["revision"]))
            elif record["type"] == "status":
                self.states[f"{record['part']} {record['name']} {record['state']}"] += 1


class Subscriber:
    """Reads the events from the broker.

    Args:
        port: of the broker at 127.0.0.1.
        topic: of the events.
    """

    def __init__(self, port: int, topic: str) -> None:
        self.events: set[tuple[str, int]] = set()
        self.others = 0
        self._topic = topic
        self._subscribed = threading.Event()
        self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id="soak", clean_session=False
        )
        self._client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(_PATIENCE_S)

    def _take(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        if message.topic != self._topic:
            self.others += 1
            return
        record = json.loads(message.payload)
        self.events.add((record["id"], record["revision"]))

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()


class Viewer:
    """A browser that looks at the page for half of each minute, and then leaves.

    Args:
        port: of the page at 127.0.0.1.
        token: of the page.
        period_s: from one visit to the next.
    """

    def __init__(self, port: int, token: str, period_s: float = 60.0) -> None:
        self.visits = self.pictures = self.updates = self.clips = 0
        self.errors: list[str] = []
        self._port = port
        self._headers = {"Authorization": f"Bearer {token}"}
        self._period_s = period_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._come_and_go)
        self._thread.start()

    def close(self) -> None:
        """Leave for good."""
        self._stopping.set()
        self._thread.join()

    def counts(self) -> dict[str, int]:
        """What was seen so far."""
        names = ("visits", "pictures", "updates", "clips")
        return {name: getattr(self, name) for name in names} | {"errors": len(self.errors)}

    def _come_and_go(self) -> None:
        while not self._stopping.wait(self._period_s / 2):
            until_s = time.monotonic() + self._period_s / 2
            looking = [
                threading.Thread(target=self._attempt, args=[look, until_s])
                for look in (self._look, self._follow, self._browse)
            ]
            for thread in looking:
                thread.start()
            for thread in looking:
                thread.join()
            self.visits += 1

    def _attempt(self, look: Callable[[float], None], until_s: float) -> None:
        try:
            look(until_s)
        except (OSError, http.client.HTTPException, AssertionError, ValueError) as error:
            self.errors.append(f"{look.__name__}: {type(error).__name__}: {error}")

    def _ask(self, connection: http.client.HTTPConnection, path: str) -> http.client.HTTPResponse:
        connection.request("GET", path, headers=self._headers)
        answer = connection.getresponse()
        assert answer.status in (200, 206), f"{path}: {answer.status}"
        return answer

    def _connection(self) -> closing[http.client.HTTPConnection]:
        return closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE_S))

    def _look(self, until_s: float) -> None:
        """Take the live picture."""
        with self._connection() as connection, self._ask(connection, "/view.mjpeg") as answer:
            while time.monotonic() < until_s and not self._stopping.is_set():
                piece = answer.read1(_CHUNK)
                assert piece, "the live picture ended"
                self.pictures += piece.count(b"Content-Type")

    def _follow(self, until_s: float) -> None:
        """Take the updates of the page."""
        with self._connection() as connection, self._ask(connection, "/api/live") as answer:
            while time.monotonic() < until_s and not self._stopping.is_set():
                line = answer.readline()
                assert line, "the updates ended"
                self.updates += line.startswith(b"data:")

    def _browse(self, until_s: float) -> None:
        """Open the list of events, the newest clip, the metrics."""
        with self._connection() as connection:
            for path in ("/", "/api/overview", "/metrics"):
                self._ask(connection, path).read()
            events = json.loads(self._ask(connection, "/api/events").read())["events"]
            clips = [clip["url"] for event in events for clip in event.get("clips", ())]
            if clips:
                self.clips += len(self._ask(connection, clips[0]).read()) > 0
