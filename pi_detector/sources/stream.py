"""Network streams: RTSP, JPEGs over HTTP, and other video that FFmpeg reads over HTTP.

JPEGs are read by ``http_jpegs``, the rest by PyAV; where that is missing, by OpenCV's FFmpeg.
"""

from __future__ import annotations

import logging
import re
import socket
import time
from typing import TYPE_CHECKING

from pi_detector.config.settings import SourceSettings
from pi_detector.core.packets import TakePacket
from pi_detector.errors import (
    ConfigError,
    SourceLostError,
    SourceNotFoundError,
    SourceStalledError,
)
from pi_detector.sources.base import Resting
from pi_detector.sources.capture import Capture, CaptureSource
from pi_detector.sources.decoder import UndecodableError
from pi_detector.sources.ffmpeg_watch import Watch, anywhere, watched
from pi_detector.sources.http_jpegs import open_jpegs, refused
from pi_detector.sources.http_snapshots import HttpSnapshots
from pi_detector.sources.media import DEFAULT_PORTS, stream_options
from pi_detector.sources.video_decoders import has_pyav
from pi_detector.util.raw_lines import redact_text
from pi_detector.util.uri import network_uri_problem, parse_network_uri, redact

if TYPE_CHECKING:
    from pi_detector.sources.stream_av import AvStream

log = logging.getLogger(__name__)

_DIAGNOSIS_TIMEOUT_S = 2.0
_STATUS = re.compile(r"(?:failed: |HTTP error )(401|403|404|503)\b")


class StreamSource(CaptureSource):
    """A network stream.

    Args:
        uri: ``rtsp://``, ``rtsps://``, ``http://`` or ``https://``, with user and password if the
            server wants them; they never appear in names, logs or errors.
        settings: idle, playlists, read_timeout_s, transport.
    """

    def __init__(self, uri: str, settings: SourceSettings) -> None:
        self._uri = uri
        self._settings = settings
        self._still = False
        self._take_packet: TakePacket | None = None
        self._read_timeout_s = settings.read_timeout_s
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
        if self._settings.poll_s:
            self._capture = self._open_snapshots()
            return
        if self._uri.lower().startswith("http"):
            self._capture = open_jpegs(
                self._uri, self.name, self._read_timeout_s, elsewhere=self._settings.playlists
            )
            if self._capture is not None:
                log.info("%s: JPEGs over HTTP", self.name)
                return
        self._capture = self._open_video()
        self.rest(self._still)

    def rest(self, still: bool) -> None:
        """Decode keyframes alone while nothing moves, where ``source.idle`` asks for it."""
        self._still = still
        capture = self._capture
        if self._settings.idle == "keyframes" and isinstance(capture, Resting):
            capture.rest(still)

    def send_packets(self, take: TakePacket) -> None:
        """Give the packets away, see ``SendsPackets``: those in H.264 and H.265, with PyAV."""
        self._take_packet = take

    def close(self) -> None:
        """Disconnect."""
        self._release()

    def _open_snapshots(self) -> Capture:
        settings = self._settings
        snapshots = HttpSnapshots(
            self._uri,
            self.name,
            self._read_timeout_s,
            settings.poll_s,
            elsewhere=settings.playlists,
        )
        try:
            snapshots.start()
        except SourceLostError as error:
            raise self._diagnosed(0.0, Watch(anywhere)) from error
        log.info("%s: a snapshot every %g s", self.name, settings.poll_s)
        return snapshots

    def _open_video(self) -> Capture:
        # Before FFmpeg is listened to: PyAV brings a listener of its own.
        with_pyav = _av_stream() if has_pyav() else None
        started = time.monotonic()
        server = None if self._settings.playlists else (self._host, self._port)
        with watched(server) as watch:
            capture = self._with_pyav(with_pyav, watch) if with_pyav else self._with_opencv()
        if capture is None:
            raise self._diagnosed(time.monotonic() - started, watch)
        return capture

    def _with_opencv(self) -> Capture | None:
        from pi_detector.sources.stream_cv import open_with_opencv

        return open_with_opencv(self._uri, self.name, self._settings)

    def _with_pyav(self, kind: type[AvStream], watch: Watch) -> Capture | None:
        options = stream_options(self._settings)
        try:
            stream = kind(self._uri, self.name, self._read_timeout_s, options, self._take_packet)
        except UndecodableError as error:
            watch.reason = watch.reason or redact_text(str(error))
            return None
        try:
            stream.start()
        except BaseException:
            stream.release()
            raise
        log.info("%s: %s, %dx%d", self.name, stream.codec, *stream.size)
        return stream

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
        scheme, user, *_ = parse_network_uri(self._uri) or ("", "")
        if status := _STATUS.search(watch.reason):
            code, protocol = int(status[1]), scheme.rstrip("s").upper()
            return refused(self.name, code, has_password=bool(user), protocol=protocol)
        reason = f" ({watch.reason})" if watch.reason else ""
        return SourceNotFoundError(
            f"{self.name}: the server responds but sends no video{reason}; check the path, user "
            "and password"
        )


def _av_stream() -> type[AvStream]:
    from pi_detector.sources.stream_av import AvStream

    return AvStream
