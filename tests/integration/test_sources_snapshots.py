"""The address of a snapshot, which is requested at intervals; a video on standard input."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from isolated_sources import isolated_source, opened, write_video

from pi_detector.config.settings import SourceSettings
from pi_detector.errors import (
    BadImageError,
    ConfigError,
    PiDetectorError,
    SourceNotFoundError,
    SourcePermissionError,
)
from pi_detector.sources.registry import check_source

EVERY_S = 0.2


class Camera(BaseHTTPRequestHandler):
    """Each image is brighter than the one before."""

    def log_message(self, *args: object) -> None:
        """No access log."""

    def do_GET(self) -> None:
        server: Any = self.server
        server.requests.append(time.monotonic())
        number = len(server.requests)
        jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 10 * number % 250, np.uint8))[1].tobytes()
        body = {
            "/snapshot": jpeg,
            "/sometimes": b"" if number % 2 else jpeg,
            "/text": b"no camera",
            "/long": bytes(17 << 20),
        }.get(self.path)
        self.send_response(401 if self.path == "/private" else 200 if body is not None else 404)
        kind = "multipart/x-mixed-replace" if self.path == "/text" else "image/jpeg"
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body or b"")


@pytest.fixture
def server() -> Iterator[Any]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Camera) as httpd:
        other: Any = httpd
        other.requests = []
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield httpd
        httpd.shutdown()


def uri(server: Any, path: str) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/{path}"


def test_a_snapshot_is_requested_at_intervals(server: Any) -> None:
    with opened(isolated_source(uri(server, "snapshot"), poll_s=EVERY_S)) as source:
        frames = [source.read() for _ in range(4)]
    levels = [int(frame.image.mean()) for frame in frames if frame is not None]
    assert levels == sorted(set(levels))
    times = server.requests
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert min(gaps) >= EVERY_S * 0.9


def test_an_interval_longer_than_the_deadline_of_a_frame(server: Any) -> None:
    with opened(isolated_source(uri(server, "snapshot"), poll_s=3.0, read_timeout_s=0.5)) as source:
        assert [source.read() is not None for _ in range(2)] == [True, True]


def test_an_image_that_cannot_be_decoded_is_skipped(server: Any) -> None:
    with opened(isolated_source(uri(server, "sometimes"), poll_s=EVERY_S)) as source:
        assert source.read() is not None


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("none", SourceNotFoundError, "has no such path"),
        ("private", SourcePermissionError, "asks for user and password"),
        ("text", SourceNotFoundError, "sends a stream, not a snapshot; set source.poll_s to 0"),
        ("long", BadImageError, "more than 16 MiB"),
    ],
)
def test_what_is_no_snapshot(
    server: Any, path: str, kind: type[PiDetectorError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        isolated_source(uri(server, path), poll_s=EVERY_S).open()


def test_nobody_listens() -> None:
    with pytest.raises(SourceNotFoundError, match=r"cannot connect to 127\.0\.0\.1:9"):
        isolated_source("http://127.0.0.1:9/snapshot", poll_s=EVERY_S).open()


def test_only_an_http_address_can_be_requested() -> None:
    for address in ("rtsp://127.0.0.1/x", "demo:"):
        with pytest.raises(ConfigError, match="not the address of a snapshot"):
            check_source(SourceSettings(uri=address, poll_s=1))
    assert check_source(SourceSettings(uri="http://127.0.0.1/x", poll_s=1)) == []


@pytest.mark.parametrize("isolation", ["auto", "off"])
@pytest.mark.parametrize("piped", [True, False])
def test_a_video_on_standard_input(tmp_path: Path, isolation: str, piped: bool) -> None:
    path = write_video(tmp_path / "a.avi")
    command = [sys.executable, "-m", "pi_detector", "run", "--source", "-"]
    command += ["--set", f"source.isolation={isolation}"]
    with path.open("rb") as file:
        given: Any = {"input": file.read()} if piped else {"stdin": file}
        done = subprocess.run(command, capture_output=True, timeout=120, check=False, **given)
    assert done.returncode == 0, done.stderr.decode()
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [r["sequence"] for r in records if r["type"] == "detections"] == list(range(12))


def test_standard_input_cannot_be_looped() -> None:
    with pytest.raises(ConfigError, match=r"source\.loop: standard input"):
        check_source(SourceSettings(uri="-", loop=True))
