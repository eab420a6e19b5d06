"""The camera's own video at /live.ts: what a player gets, and who is kept from it."""

from __future__ import annotations

import base64
import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from encoded_camera import GAP, Encoded
from page_client import TOKEN, Web, wait_for
from recorded import number_of

from pi_detector.core.packets import Packet
from pi_detector.sinks.web.live_video import LiveVideo

COUNT = 60


@pytest.fixture(scope="module")
def packets() -> list[Packet]:
    return Encoded().packets(COUNT)


class Camera:
    """Hands packets to the page."""

    def __init__(self) -> None:
        self.allowed = True
        self.video = LiveVideo(lambda: self.allowed)

    def send(self, packets: list[Packet]) -> None:
        for packet in packets:
            self.video.take(packet)


@pytest.fixture
def camera() -> Camera:
    return Camera()


@pytest.fixture
def page(tmp_path: Path, camera: Camera) -> Iterator[Web]:
    web = Web(tmp_path, video=camera.video, max_viewers=2)
    web.sink.start()
    yield web
    web.sink.close()


def shown(data: bytes) -> list[int]:
    """The numbers of the frames in a transport stream."""
    with av.open(io.BytesIO(data), format="mpegts") as stream:
        return [number_of(frame.to_ndarray(format="rgb24")) for frame in stream.decode(video=0)]


def test_a_player_begins_at_the_last_keyframe_and_gets_every_frame(
    page: Web, camera: Camera, packets: list[Packet]
) -> None:
    half = GAP + 5
    camera.send(packets[:half])
    with page.stream("/live.ts") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "video/mp2t"
        wait_for(lambda: camera.video.viewers == 1)
        camera.send(packets[half:])
        camera.send(Encoded(size=(320, 240)).packets(1))  # which ends the stream
        numbers = shown(answer.read())
    assert numbers[0] >= GAP
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert numbers[-1] == COUNT - 1
    wait_for(lambda: camera.video.viewers == 0)


def test_there_is_nothing_without_a_network_camera(page: Web, tmp_path: Path) -> None:
    assert page.ask("/live.ts").status == 503
    web = Web(tmp_path)
    web.sink.start()
    answer = web.ask("/live.ts")
    web.sink.close()
    assert answer.status == 503
    assert b"network camera" in answer.body


def test_masks_keep_viewers_away_and_send_them_off(
    page: Web, camera: Camera, packets: list[Packet]
) -> None:
    camera.send(packets[:GAP])
    with page.stream("/live.ts") as answer:
        wait_for(lambda: camera.video.viewers == 1)
        camera.allowed = False
        camera.send(packets[GAP:])
        while answer.read1(65536):
            continue
    assert page.ask("/live.ts").status == 503
    wait_for(lambda: camera.video.viewers == 0)


def test_viewers_are_limited(page: Web, camera: Camera, packets: list[Packet]) -> None:
    camera.send(packets)
    with page.stream("/live.ts") as first, page.stream("/live.ts") as second:
        assert first.status == second.status == 200
        wait_for(lambda: camera.video.viewers == 2)
        answer = page.ask("/live.ts")
        assert answer.status == 503
        assert b"has 2 viewers" in answer.body
    wait_for(lambda: camera.video.viewers == 0)


def test_the_token_opens_it_as_a_password(
    tmp_path: Path, camera: Camera, packets: list[Packet]
) -> None:
    web = Web(tmp_path, video=camera.video, token=TOKEN)
    web.sink.start()
    camera.send(packets)
    try:
        assert web.ask("/live.ts").status == 401
        basic = "Basic " + base64.b64encode(f"pi:{TOKEN}".encode()).decode()
        with web.stream("/live.ts", Authorization=basic) as answer:
            assert answer.status == 200
    finally:
        web.sink.close()


def test_a_viewer_who_does_not_read_holds_up_nobody(
    page: Web, camera: Camera, packets: list[Packet]
) -> None:
    camera.send(packets[:GAP])
    with page.stream("/live.ts"):
        wait_for(lambda: camera.video.viewers == 1)
        large = [
            Packet(p.track, p.data + bytes(400_000), p.keyframe, *times)
            for round_ in range(3)
            for p in packets
            for times in [(p.captured_ns + round_ * 10**10, p.shift_ns, p.captured_at)]
        ]
        started = time.monotonic()
        sender = threading.Thread(target=camera.send, args=(large,))
        sender.start()
        sender.join(20)
        assert not sender.is_alive()
        assert time.monotonic() - started < 10
        queue = camera.video._queues[0]
        assert queue._bytes <= 16 * 1024 * 1024


def test_another_format_ends_the_stream(page: Web, camera: Camera, packets: list[Packet]) -> None:
    other = Encoded(size=(320, 240)).packets(GAP)
    camera.send(packets[:GAP])
    with page.stream("/live.ts") as answer:
        wait_for(lambda: camera.video.viewers == 1)
        camera.send(other)
        while answer.read1(65536):
            continue
