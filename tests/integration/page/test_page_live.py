"""The live picture, the state of the machine, events as they come."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Iterator
from contextlib import closing

import cv2
import numpy as np
from page_client import Web, messages, wait_for

from pi_detector.core.records import status_record


def parts(stream: http.client.HTTPResponse) -> Iterator[bytes]:
    """The pictures of a multipart stream."""
    assert stream.readline() == b"--frame\r\n"
    while True:
        length = 0
        while (line := stream.readline().strip()) != b"":
            name, _, value = line.partition(b": ")
            length = int(value) if name == b"Content-Length" else length
        yield stream.read(length)
        assert stream.readline() == b"\r\n"
        assert stream.readline() == b"--frame\r\n"


def test_the_stream_shows_the_newest_frame(web: Web) -> None:
    with web.stream("/view.mjpeg") as stream:
        assert stream.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=frame"
        pictures = parts(stream)
        seen = []
        for _ in range(3):
            web.camera.frame()
            seen.append(next(pictures))

    images = [cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) for jpeg in seen]
    assert all(image.shape == (120, 160, 3) for image in images)
    assert len(set(seen)) == 3


def test_nothing_is_encoded_while_nobody_looks(web: Web) -> None:
    for _ in range(20):
        web.camera.frame()

    assert web.sink._view._kinds[True].picture is None
    assert web.ask("/view.jpg").body.startswith(b"\xff\xd8")
    assert web.sink._view._kinds[True].picture.number == 1


def test_one_encoding_serves_all_who_look(web: Web) -> None:
    with web.stream("/view.mjpeg") as one, web.stream("/view.mjpeg") as other:
        wait_for(lambda: web.sink._view.viewers == 2)
        web.camera.frame()
        assert next(parts(one)) == next(parts(other))
    assert web.sink._view._kinds[True].picture.number == 1


def test_viewers_are_bounded_and_leave_their_place(make: Callable[..., Web]) -> None:
    web = make(max_viewers=1)
    with web.stream("/view.mjpeg"):
        assert web.ask("/view.mjpeg").status == 503
        assert web.ask("/api/overview").json()["viewers"] == 1

    wait_for(lambda: web.ask("/view.mjpeg").status == 200)
    wait_for(lambda: web.sink._view.viewers == 0)


def test_who_does_not_read_slows_nobody(web: Web) -> None:
    with closing(socket.create_connection(("127.0.0.1", web.port))) as silent:
        silent.sendall(b"GET /view.mjpeg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        with web.stream("/view.mjpeg") as stream:
            pictures = parts(stream)
            for _ in range(100):
                web.camera.frame()
                next(pictures)


def test_before_the_first_frame_there_is_no_picture(web: Web) -> None:
    assert web.ask("/view.jpg").status == 503


def test_what_is_not_known_is_null(web: Web) -> None:
    found = web.ask("/api/overview").json()

    unknown = ("source", "source_state", "fps", "latency_ms", "dropped", "frame", "host", "model")
    assert all(found[name] is None for name in unknown)


def test_the_state_is_told(web: Web) -> None:
    web.camera.objects[1] = (40, 50, 80, 100)
    for _ in range(5):
        web.camera.frame()
    web.sink.handle(status_record("source", "demo", "stalled", reason="nothing came"))
    web.sink.handle(status_record("sink", "mqtt", "failed", reason="no broker"))

    found = web.ask("/api/overview").json()

    assert (found["source"], found["source_state"]) == ("demo", "stalled")
    assert found["latency_ms"] == {"p50": 3.0, "p90": 3.0, "p99": 3.0}
    assert found["found"] == {"person": 1}
    assert found["dropped"] == 0
    assert [trouble["name"] for trouble in found["troubles"]] == ["demo", "mqtt"]


def test_an_event_arrives_at_once_and_none_twice(web: Web) -> None:
    with web.stream("/api/live") as stream:
        told = messages(stream)
        assert next(told)[0] == "overview"
        web.camera.tell("first", "new")
        kind, number, event = next(message for message in told if message[0] == "event")
        assert (event["id"], event["going_on"]) == ("first", True)
    web.camera.tell("second", "new")

    with web.stream("/api/live", **{"Last-Event-ID": str(number)}) as stream:
        kind, _, event = next(messages(stream))
    assert (kind, event["id"]) == ("event", "second")


def test_without_recordings_the_events_of_this_run_are_listed(web: Web) -> None:
    for number in range(300):
        web.camera.tell(f"event-{number}", "end", label="car" if number % 2 else "person")

    page = web.ask("/api/events").json()
    assert not page["recorded"]
    assert len(page["events"]) == 200
    assert page["events"][0]["id"] == "event-299"
    cars = web.ask("/api/events?label=car").json()["events"]
    assert {event["label"] for event in cars} == {"car"}
