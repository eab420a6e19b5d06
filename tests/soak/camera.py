"""A network camera: an MJPEG server that sends a video's frames at a fixed rate, over and over."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2

_QUALITY = 85
_BOUNDARY = "frame"


class Camera:
    """Sends MJPEG at 127.0.0.1, from the beginning of the video for each connection.

    Args:
        video: what it sees.
        fps: frames per second, of the video and of the camera.
    """

    def __init__(self, video: Path, fps: float) -> None:
        self.fps = fps
        self.jpegs = _jpegs(video, fps)
        self.sent = 0
        self.connections = 0
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.send_to(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self._server.server_port}/video.mjpeg"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def send_to(self, handler: BaseHTTPRequestHandler) -> None:
        """Send frames until the client leaves."""
        self.connections += 1
        handler.send_response(200)
        handler.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        handler.end_headers()
        due_s = time.monotonic()
        number = 0
        while True:
            jpeg = self.jpegs[number % len(self.jpegs)]
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n"
            try:
                handler.wfile.write(head.encode() + b"\r\n" + jpeg + b"\r\n")
            except OSError:
                return
            self.sent += 1
            number += 1
            due_s += 1 / self.fps
            time.sleep(max(0.0, due_s - time.monotonic()))

    def close(self) -> None:
        """Take no more connections."""
        self._server.shutdown()
        self._server.server_close()


def _jpegs(video: Path, fps: float) -> list[bytes]:
    """The frames of a video at a lower rate, each encoded."""
    capture = cv2.VideoCapture(str(video))
    step = max(1, round(capture.get(cv2.CAP_PROP_FPS) / fps))
    found = []
    while True:
        read, image = capture.read()
        if not read:
            break
        if int(capture.get(cv2.CAP_PROP_POS_FRAMES) - 1) % step == 0:
            encoded, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
            assert encoded
            found.append(jpeg.tobytes())
    capture.release()
    assert found, f"{video}: no frames"
    return found
