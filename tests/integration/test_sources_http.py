"""HTTP cameras as they are: ESP32's MJPEG, a single image, refusals, redirects, digest."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from pi_detector.config.settings import SourceSettings
from pi_detector.errors import (
    PiDetectorError,
    SourceBusyError,
    SourceLostError,
    SourceNotFoundError,
    SourcePermissionError,
    SourceStalledError,
)
from pi_detector.sources.http_jpegs import open_jpegs
from pi_detector.sources.registry import make_source

TIMEOUT_S = 2.0
MULTIPART = "multipart/x-mixed-replace"
JPEG = cv2.imencode(".jpg", np.full((48, 64, 3), (0, 0, 200), np.uint8))[1].tobytes()
FRAMES = 6

Writer = Callable[[BaseHTTPRequestHandler], None]


def parts(
    first: bytes = b"", before: bytes = b"", after: bytes = b"", frames: int = FRAMES
) -> Writer:
    def write(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(first)
        for _ in range(frames):
            handler.wfile.write(before + JPEG + after)
            handler.wfile.flush()

    return write


def silent_after(writer: Writer) -> Writer:
    def write(handler: BaseHTTPRequestHandler) -> None:
        writer(handler)
        handler.server.stop.wait()  # type: ignore[attr-defined]

    return write


HEADER = b"Content-Type: image/jpg\r\nContent-Length: %d\r\n\r\n" % len(JPEG)
# path: (content type, what is written).
STREAMS: dict[str, tuple[str, Writer]] = {
    # The first part comes without the boundary that stands between the others.
    "esp32": (f"{MULTIPART};boundary=123456789000000000000987654321",
              parts(before=HEADER, after=b"\r\n--123456789000000000000987654321\r\n")),
    "other-boundary": (f"{MULTIPART}; boundary=frame",
                       parts(before=b"\r\n--myboundary\r\n" + HEADER, after=b"\r\n")),
    "no-boundary": (MULTIPART, parts(before=b"--x\r\n" + HEADER)),
    "no-part-headers": (f"{MULTIPART}; boundary=x", parts(before=b"--x\r\n\r\n", after=b"\r\n")),
    "no-type": ("application/octet-stream", parts(before=b"--x\r\n" + HEADER)),
    "bare": ("video/x-motion-jpeg", parts()),
    "image-that-goes-on": ("image/jpg", parts()),
}  # fmt: skip


class Camera(BaseHTTPRequestHandler):
    """Answers by the path."""

    def log_message(self, *args: object) -> None:
        """No access log."""

    def do_GET(self) -> None:
        path = self.path.strip("/").partition("?")[0]
        self.server.seen.append((path, dict(self.headers)))  # type: ignore[attr-defined]
        if path.isdigit():
            self.send_response(int(path))
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path.startswith("to-"):
            self.send_response(302)
            port = self.server.server_address[1]  # type: ignore[attr-defined]
            here = f"http://127.0.0.1:{port}/esp32"
            self.send_header("Location", here if path == "to-here" else "http://localhost:9/x")
            self.end_headers()
        elif path == "digest" and not self.is_authorized():
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Digest realm="cam", nonce="abc", qop="auth"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.answer(path)

    def answer(self, path: str) -> None:
        fixed = {
            "digest": STREAMS["bare"],
            "single": ("image/jpeg", parts(frames=1)),
            "empty": (f"{MULTIPART}; boundary=x", parts(frames=0)),
            "page": ("text/html; charset=utf-8", parts(first=b"<html>", frames=0)),
            "stalls": ("image/jpeg", silent_after(parts())),
            "never": (MULTIPART, silent_after(parts(frames=0))),
            "endless": (MULTIPART, silent_after(parts(first=JPEG[:-2] + bytes(17 << 20)))),
        }
        kind, write = (STREAMS | fixed)[path]
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        try:
            write(self)
        except ConnectionError:
            return

    def is_authorized(self) -> bool:
        given = self.headers.get("Authorization", "")
        if not given.startswith("Digest "):
            return False
        fields = dict(item.strip().replace('"', "").split("=", 1) for item in given[7:].split(", "))

        def md5(text: str) -> str:
            return hashlib.md5(text.encode()).hexdigest()

        known = md5("o p:cam:s@cret")
        wanted = ":".join(
            [known, "abc", fields["nc"], fields["cnonce"], "auth", md5(f"GET:{fields['uri']}")]
        )
        return fields["response"] == md5(wanted)


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Camera) as httpd:
        httpd.daemon_threads = True
        httpd.stop = threading.Event()  # type: ignore[attr-defined]
        httpd.seen = []  # type: ignore[attr-defined]
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield httpd
        httpd.stop.set()  # type: ignore[attr-defined]
        httpd.shutdown()


def uri(server: ThreadingHTTPServer, path: str, user: str = "") -> str:
    return f"http://{user}127.0.0.1:{server.server_address[1]}/{path}"


def read_to_the_end(address: str) -> tuple[int, PiDetectorError]:
    """How many frames a source gives, and what ends it."""
    source = make_source(SourceSettings(uri=address, read_timeout_s=TIMEOUT_S, isolation="off"))
    source.open()
    for count in range(1000):
        try:
            frame = source.read()
        except PiDetectorError as error:
            source.close()
            return count, error
        assert frame is not None
        assert frame.image.shape == (48, 64, 3)
        assert frame.image[0, 0, 0] > 180
        assert frame.sequence == count
    pytest.fail("the stream does not end")


@pytest.mark.parametrize("path", STREAMS)
def test_streams_of_jpegs(server: ThreadingHTTPServer, path: str) -> None:
    count, error = read_to_the_end(uri(server, path))
    assert count == FRAMES
    assert isinstance(error, SourceLostError)
    assert "the stream ended" in str(error)


def test_in_a_process_of_its_own(server: ThreadingHTTPServer) -> None:
    source = make_source(SourceSettings(uri=uri(server, "esp32"), read_timeout_s=TIMEOUT_S))
    source.open()
    assert [frame.sequence for _ in range(3) if (frame := source.read())] == [0, 1, 2]
    source.close()


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("401", SourcePermissionError, r"asks for user and password \(HTTP 401\)"),
        ("403", SourcePermissionError, r"forbids this path \(HTTP 403\)"),
        ("404", SourceNotFoundError, r"has no such path \(HTTP 404\)"),
        ("503", SourceBusyError, r"is busy \(HTTP 503\)"),
        ("500", SourceNotFoundError, r"the server fails \(HTTP 500\)"),
        ("single", SourceNotFoundError, "a single image, not a stream"),
        ("empty", SourceNotFoundError, "sends no JPEG"),
        ("page", SourceNotFoundError, r"a page \(text/html\), not"),
        ("to-elsewhere", SourceNotFoundError, "redirects to http://localhost:9; if you trust it"),
        ("never", SourceStalledError, "no video within"),
        ("endless", SourceNotFoundError, "sends no JPEG"),
    ],
)
def test_each_refusal_has_its_own_message(
    server: ThreadingHTTPServer, path: str, kind: type[PiDetectorError], message: str
) -> None:
    started = time.monotonic()
    with pytest.raises(kind, match=message):
        open_jpegs(uri(server, path), "camera", TIMEOUT_S)
    assert time.monotonic() - started < TIMEOUT_S + 2


def test_a_redirect_within_the_server(server: ThreadingHTTPServer) -> None:
    assert read_to_the_end(uri(server, "to-here"))[0] == FRAMES


def test_a_stream_that_falls_silent(server: ThreadingHTTPServer) -> None:
    count, error = read_to_the_end(uri(server, "stalls"))
    assert count == FRAMES
    assert isinstance(error, SourceStalledError)
    assert "no frame for" in str(error)


def test_digest_and_what_the_server_is_sent(
    server: ThreadingHTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert read_to_the_end(uri(server, "digest", "o%20p:s%40cret@"))[0] == FRAMES
        with pytest.raises(SourcePermissionError, match="refuses this user and password"):
            open_jpegs(uri(server, "digest", "o%20p:wrong@"), "camera", TIMEOUT_S)
    assert "cret" not in caplog.text
    assert "wrong" not in caplog.text
    hosts = {headers["Host"] for _, headers in server.seen}  # type: ignore[attr-defined]
    assert hosts == {f"127.0.0.1:{server.server_address[1]}"}


def test_the_proxy_of_the_environment_is_not_used(
    server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert read_to_the_end(uri(server, "bare"))[0] == FRAMES


def test_what_is_no_jpeg_is_left_to_ffmpeg(server: ThreadingHTTPServer) -> None:
    STREAMS["video"] = ("video/mp2t", parts(first=b"\x47" + bytes(187), frames=0))
    try:
        assert open_jpegs(uri(server, "video"), "camera", TIMEOUT_S) is None
    finally:
        del STREAMS["video"]
