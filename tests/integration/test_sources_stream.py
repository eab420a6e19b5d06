"""MJPEG over HTTP from a real server, and what happens when it is not there, stops or stalls."""

from __future__ import annotations

import base64
import logging
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from pi_detector.config.settings import SourceSettings
from pi_detector.errors import (
    SourceLostError,
    SourceNotFoundError,
    SourcePermissionError,
    SourceStalledError,
)
from pi_detector.sources.base import Source
from pi_detector.sources.registry import make_source

USER, PASSWORD = "operator", "hunter2"
TIMEOUT_S = 1.5


class Camera(BaseHTTPRequestHandler):
    """A network camera: /live goes on, /ends stops after 8 pictures, /stalls falls silent then."""

    def log_message(self, *args: object) -> None:
        """No access log."""

    def do_GET(self) -> None:
        expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.path == "/private" and self.headers.get("Authorization") != f"Basic {expected}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path == "/page":
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>no video here</html>")
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        silent = self.path == "/silent"
        number = 0
        try:
            while not silent and not self.server.stop.is_set():  # type: ignore[attr-defined]
                self.send_picture(number)
                number += 1
                if number == 8 and self.path == "/ends":
                    return
                if number == 8 and self.path == "/stalls":
                    break
                time.sleep(0.02)
            self.server.stop.wait()  # type: ignore[attr-defined]
        except ConnectionError:
            return

    def send_picture(self, number: int) -> None:
        image = np.full((48, 64, 3), (0, 0, 100 + number % 8 * 10), np.uint8)
        jpeg = cv2.imencode(".jpg", image)[1].tobytes()
        if self.path == "/damaged" and number % 2:
            jpeg = jpeg[:20] + bytes(len(jpeg) - 20)
        self.wfile.write(
            b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
        )
        self.wfile.write(jpeg + b"\r\n")
        self.wfile.flush()


@pytest.fixture
def server() -> Iterator[str]:
    """HOST:PORT of a camera."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Camera) as httpd:
        httpd.daemon_threads = True
        httpd.stop = threading.Event()  # type: ignore[attr-defined]
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{httpd.server_address[1]}"
        httpd.stop.set()  # type: ignore[attr-defined]
        httpd.shutdown()


def stream(uri: str) -> Source:
    return make_source(SourceSettings(uri=uri, read_timeout_s=TIMEOUT_S))


def read_until_error(source: Source) -> tuple[int, OSError]:
    """How many frames came, and what ended them."""
    for count in range(100):
        try:
            source.read()
        except (SourceLostError, SourceStalledError) as error:
            return count, error
    pytest.fail("the stream goes on")


def test_frames_of_a_stream(server: str) -> None:
    source = stream(f"http://{server}/live")
    source.open()
    frames = [source.read() for _ in range(10)]
    source.close()
    source.close()
    assert source.live is True
    assert source.name == f"http://{server}/live"
    for number, frame in enumerate(frames):
        assert frame is not None
        assert frame.sequence == number
        assert frame.image.shape == (48, 64, 3)
        assert not frame.image.flags.writeable
        red, green, blue = frame.image.reshape(-1, 3).mean(axis=0)
        assert 90 < red < 180
        assert max(green, blue) < 25


def test_a_damaged_picture_does_not_end_the_stream(server: str) -> None:
    source = stream(f"http://{server}/damaged")
    source.open()
    assert [frame.sequence for _ in range(4) if (frame := source.read())] == [0, 1, 2, 3]
    source.close()


def test_a_stream_that_ends_is_lost_at_once_and_can_be_reopened(server: str) -> None:
    source = stream(f"http://{server}/ends")
    source.open()
    started = time.monotonic()
    count, error = read_until_error(source)
    assert isinstance(error, SourceLostError)
    assert "the stream ended" in str(error)
    assert time.monotonic() - started < TIMEOUT_S
    assert count >= 7
    source.open()
    frame = source.read()
    source.close()
    assert frame is not None
    assert frame.sequence == count


def test_a_stream_that_falls_silent_stalls_within_the_deadline(server: str) -> None:
    source = stream(f"http://{server}/stalls")
    source.open()
    started = time.monotonic()
    count, error = read_until_error(source)
    assert isinstance(error, SourceStalledError)
    assert "no frame for" in str(error)
    assert TIMEOUT_S * 0.8 < time.monotonic() - started < TIMEOUT_S + 1.5
    assert count >= 7
    source.close()


def test_a_server_that_never_sends(server: str) -> None:
    started = time.monotonic()
    with pytest.raises(SourceStalledError, match="no video within"):
        stream(f"http://{server}/silent").open()
    assert time.monotonic() - started < TIMEOUT_S + 2


def test_a_page_that_is_no_stream(server: str) -> None:
    with pytest.raises(SourceNotFoundError, match="responds with a page"):
        stream(f"http://{server}/page").open()


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_nobody_listens(scheme: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(SourceNotFoundError, match=f"cannot connect to 127.0.0.1:{port}"):
            stream(f"{scheme}://127.0.0.1:{port}/live").open()


def test_password_opens_and_never_shows(
    server: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    source = stream(f"http://{USER}:{PASSWORD}@{server}/private")
    with caplog.at_level(logging.DEBUG):
        source.open()
        frame = source.read()
        source.close()
    assert frame is not None
    wrong = stream(f"http://{USER}:wr0ng@{server}/private")
    with caplog.at_level(logging.DEBUG), pytest.raises(SourcePermissionError) as caught:
        wrong.open()
    gone = stream(f"http://{USER}:{PASSWORD}@127.0.0.1:9/private")
    with caplog.at_level(logging.DEBUG), pytest.raises(SourceNotFoundError) as refused:
        gone.open()
    written = capfd.readouterr()
    shown = [source.name, frame.source, caplog.text, str(caught.value), str(refused.value)]
    for text in (*shown, written.out, written.err):
        assert PASSWORD not in text
        assert "wr0ng" not in text
        assert USER not in text
