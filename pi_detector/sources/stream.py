"""Network streams: RTSP, JPEGs over HTTP, and other video that FFmpeg reads over HTTP."""

from __future__ import annotations

import logging
import socket
import time
from typing import TYPE_CHECKING

from pi_detector.config.settings import SourceSettings
from pi_detector.errors import (
    BadImageError,
    ConfigError,
    SourceNotFoundError,
    SourceStalledError,
)
from pi_detector.sources.capture import CaptureSource, LiveCapture
from pi_detector.sources.decoder import opencv_faults
from pi_detector.sources.ffmpeg_watch import Watch, watched
from pi_detector.sources.http_jpegs import open_jpegs
from pi_detector.sources.media import DEFAULT_PORTS, opencv_options
from pi_detector.util.memory import check_size
from pi_detector.util.uri import network_uri_problem, parse_network_uri, redact, split_uri

if TYPE_CHECKING:
    import cv2

log = logging.getLogger(__name__)

_DIAGNOSIS_TIMEOUT_S = 2.0


class StreamSource(CaptureSource):
    """A stream, read by OpenCV's FFmpeg; JPEGs over HTTP are read by ``http_jpegs``.

    RTSP goes over TCP, which is OpenCV's default.

    Args:
        uri: ``rtsp://``, ``rtsps://``, ``http://`` or ``https://``, with user and password if the
            server wants them; they never appear in names, logs or errors.
        settings: read_timeout_s, playlists.
    """

    def __init__(self, uri: str, settings: SourceSettings) -> None:
        self._uri = uri
        self._read_timeout_s = settings.read_timeout_s
        self._playlists = settings.playlists
        super().__init__(redact(uri))
        self._host, self._port = self._address()

    def open(self, model_size: tuple[int, int] | None = None) -> None:  # noqa: ARG002
        """Connect. ``model_size`` is not used: a server does not scale.

        Raises:
            SourceNotFoundError: nothing answers there, or it sends no video.
            SourceStalledError: it did not start to send within the deadline.
            BadImageError: its frames are too large.
            SourcePermissionError, SourceBusyError: an HTTP server says so.
        """
        self.close()
        if self._uri.lower().startswith("http"):
            self._capture = open_jpegs(
                self._uri, self.name, self._read_timeout_s, elsewhere=self._playlists
            )
            if self._capture is not None:
                log.info("%s: JPEGs over HTTP", self.name)
                return
        import cv2

        if faults := opencv_faults():
            log.warning(
                "%s: decoded by OpenCV %s, with a fault: %s", self.name, cv2.__version__, faults
            )
        started = time.monotonic()
        options = opencv_options(split_uri(self._uri)[0], playlists=self._playlists)
        with options, watched(None if self._playlists else (self._host, self._port)) as watch:
            capture = self._connect()
        if not capture.isOpened():
            capture.release()
            raise self._diagnosed(time.monotonic() - started, watch)
        size = [int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)]
        try:
            check_size(*size)
        except BadImageError as error:
            capture.release()
            raise BadImageError(f"{self.name}: {error}") from error
        log.info("%s: %dx%d", self.name, *size)
        self._capture = LiveCapture(capture, self.name, self._read_timeout_s)

    def close(self) -> None:
        """Disconnect."""
        self._release()

    def _connect(self) -> cv2.VideoCapture:
        import cv2

        deadline_ms = max(1, round(self._read_timeout_s * 1000))
        options = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            deadline_ms,
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            deadline_ms,
            # Several decoding threads hold back a frame each, so that pictures are late and a
            # stall is seen late; and the cores are the interpreter's.
            cv2.CAP_PROP_N_THREADS,
            1,
        ]
        return cv2.VideoCapture(self._uri, cv2.CAP_FFMPEG, options)

    def _address(self) -> tuple[str, int]:
        parsed = parse_network_uri(self._uri)
        if parsed is None:
            raise ConfigError(network_uri_problem(self._uri))
        return parsed.host, parsed.port or DEFAULT_PORTS[parsed.scheme]

    def _diagnosed(self, elapsed_s: float, watch: Watch) -> Exception:
        """Why the stream did not open: FFmpeg only says that it did not."""
        try:
            socket.create_connection((self._host, self._port), _DIAGNOSIS_TIMEOUT_S).close()
        except OSError as error:
            return SourceNotFoundError(
                f"{self.name}: cannot connect to {self._host}:{self._port} "
                f"({error.strerror or error}); check the address, and that the camera is on"
            )
        if elapsed_s >= self._read_timeout_s * 0.9:
            return SourceStalledError(
                f"{self.name}: no video within {elapsed_s:.1f} s; check the camera, or raise "
                "source.read_timeout_s"
            )
        if watch.playlist:
            return SourceNotFoundError(
                f"{self.name}: the server sends a playlist ({watch.playlist}), which may name "
                "other servers; set source.playlists to true if you trust it"
            )
        reason = f" ({watch.reason})" if watch.reason else ""
        return SourceNotFoundError(
            f"{self.name}: the server responds but sends no video{reason}; check the path, user "
            "and "
            "password"
        )
