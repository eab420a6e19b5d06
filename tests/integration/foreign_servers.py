"""Servers that send a decoder elsewhere, and one that notices when it comes."""

from __future__ import annotations

import contextlib
import socketserver
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np

USER, PASSWORD = "operator", "hunter2"


def jpeg() -> bytes:
    return cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()


def write_transport_stream(path: Path) -> None:
    """A video of the kind that playlists name."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for number in range(20):
        writer.write(np.full((48, 64, 3), 10 * number, np.uint8))
    writer.release()


class Camera(BaseHTTPRequestHandler):
    """Answers with what ``server.answers`` has for the path; /live is MJPEG."""

    protocol_version = "HTTP/1.0"

    def log_message(self, *args: object) -> None:
        """No access log."""

    def do_GET(self) -> None:
        server: Any = self.server
        server.requests.append((self.path, self.headers.get("Authorization")))
        if self.path == "/live":
            self.send_live()
            return
        status, headers, body = server.answers.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def send_live(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        picture = jpeg()
        head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
        with contextlib.suppress(ConnectionError):
            while True:
                self.wfile.write(head % len(picture) + picture + b"\r\n")
                time.sleep(0.02)


@contextlib.contextmanager
def camera(answers: dict[str, tuple[int, dict[str, str], bytes]]) -> Iterator[Any]:
    """A camera on 127.0.0.1, with ``port``, and the ``requests`` that came."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Camera) as server:
        other: Any = server
        other.daemon_threads = True
        other.answers, other.requests, other.port = answers, [], server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield other
        server.shutdown()


class Rtsp(socketserver.StreamRequestHandler):
    """Answers requests with ``server.status``; all that came is in ``server.received``."""

    def handle(self) -> None:
        server: Any = self.server
        server.connections += 1
        while head := self.read_head():
            server.received += head
            number = next(line for line in head.splitlines() if line.startswith(b"CSeq"))
            options = head.startswith(b"OPTIONS")
            answer = b"RTSP/1.0 200 OK\r\nPublic: OPTIONS, DESCRIBE" if options else server.status
            self.wfile.write(answer + b"\r\n" + number + b"\r\n\r\n")

    def read_head(self) -> bytes:
        lines = []
        while line := self.rfile.readline():
            lines.append(line)
            if not line.strip():
                return b"".join(lines)
        return b""


@contextlib.contextmanager
def rtsp(status: bytes) -> Iterator[Any]:
    """An RTSP server on 127.0.0.1, with ``port``, ``connections`` and the bytes ``received``."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Rtsp) as server:
        other: Any = server
        other.daemon_threads = True
        other.status, other.received, other.connections = status, b"", 0
        other.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield other
        server.shutdown()
