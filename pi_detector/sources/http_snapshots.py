"""Cameras that answer each request with one image: asked for it every few seconds."""

from __future__ import annotations

import http.client
import time

from pi_detector.errors import (
    BadImageError,
    SourceLostError,
    SourceNotFoundError,
    SourceStalledError,
)
from pi_detector.sources.capture import Captured
from pi_detector.sources.framing import Moment
from pi_detector.sources.http_jpegs import connect, decode_jpeg
from pi_detector.sources.jpegs import LONGEST_JPEG
from pi_detector.util.rate_limit import Pace

_FAULTS = 3


class HttpSnapshots:
    """Images of an address that is requested again and again. See ``Capture``.

    Args:
        uri: ``http://`` or ``https://``, with user and password if the server asks for them.
        name: name of the source, for messages.
        timeout_s: deadline of a request, in seconds.
        every_s: seconds between requests.
        elsewhere: follow redirects to other servers, without user and password.
    """

    def __init__(
        self, uri: str, name: str, timeout_s: float, every_s: float, *, elsewhere: bool = False
    ) -> None:
        self._uri = uri
        self._name = name
        self._timeout_s = timeout_s
        self._every_s = every_s
        self._elsewhere = elsewhere
        self._due_s = time.monotonic()
        self._ahead: Captured | None = None

    def start(self) -> None:
        """Request the first image. Raises what ``read`` raises."""
        self._ahead = self._requested()

    def read(self, pace: Pace) -> Captured:
        """The next image; one that cannot be decoded is skipped, up to three in a row.

        Raises:
            PiDetectorError: the server does not answer, or not with an image.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is not None and pace.take(ahead.moment.monotonic_ns):
            return ahead
        while True:
            captured = self._requested()
            if pace.take(captured.moment.monotonic_ns):
                return captured

    def release(self) -> None:
        """Nothing is open between requests."""

    def _requested(self) -> Captured:
        for _ in range(_FAULTS):
            time.sleep(max(0.0, self._due_s - time.monotonic()))
            self._due_s = time.monotonic() + self._every_s
            moment = Moment.now()
            jpeg = self._fetched()
            try:
                image = decode_jpeg(jpeg)
            except BadImageError as error:
                raise BadImageError(f"{self._name}: {error}") from error
            if image is not None:
                return Captured(image, moment)
        raise SourceNotFoundError(
            f"{self._name}: the server sends no image that can be decoded; check the path, and "
            "that it is the address of a snapshot"
        )

    def _fetched(self) -> bytes:
        response = connect(self._uri, self._name, self._timeout_s, elsewhere=self._elsewhere)
        if response is None:
            raise SourceLostError(f"{self._name}: the server does not respond; check the address")
        with response:
            if response.headers.get_content_maintype() == "multipart":
                raise SourceNotFoundError(
                    f"{self._name}: the server sends a stream, not a snapshot; set source.poll_s "
                    "to 0"
                )
            try:
                body = response.read(LONGEST_JPEG + 1)
            except TimeoutError as error:
                raise SourceStalledError(
                    f"{self._name}: no image within {self._timeout_s:g} s; check the camera, or "
                    "raise source.read_timeout_s"
                ) from error
            except (OSError, http.client.HTTPException) as error:
                raise SourceLostError(
                    f"{self._name}: the server closed the connection; check the cable or the server"
                ) from error
        if len(body) > LONGEST_JPEG:
            raise BadImageError(
                f"{self._name}: an image of more than {LONGEST_JPEG // 1024 // 1024} MiB; check "
                "the server's output"
            )
        return body
