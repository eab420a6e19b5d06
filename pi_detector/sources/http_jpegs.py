"""Cameras that send JPEGs over HTTP: MJPEG of any make, including ESP32 cameras."""

from __future__ import annotations

import http.client
import logging
import ssl
import time
import urllib.error
import urllib.request
from collections import deque
from typing import IO
from urllib.parse import unquote, urlsplit, urlunsplit

import numpy as np

from pi_detector.core.frame import ImageArray
from pi_detector.errors import (
    BadImageError,
    PiDetectorError,
    SourceBusyError,
    SourceLostError,
    SourceNotFoundError,
    SourcePermissionError,
    SourceStalledError,
)
from pi_detector.sources.capture import Captured
from pi_detector.sources.framing import Moment
from pi_detector.sources.images import picture_size
from pi_detector.sources.jpegs import LONGEST_JPEG, JpegScanner, TooLongError
from pi_detector.util.memory import check_size
from pi_detector.util.rate_limit import Pace

log = logging.getLogger(__name__)

_CHUNK = 64 * 1024
_IMAGE_TYPES = frozenset({"image/jpeg", "image/jpg", "image/pjpeg"})
_PAGE_TYPES = frozenset({"text/html", "application/xhtml+xml", "application/json", "text/xml"})
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _GONE, _BUSY, _SERVER = 401, 403, 404, 410, 503, 500


class HttpJpegs:
    """JPEGs that a server sends one after the other.

    Args:
        response: response of the server.
        name: name of the source, for messages.
        timeout_s: deadline of a frame, in seconds.
        begin: bytes of the response that were already read.
    """

    def __init__(
        self, response: http.client.HTTPResponse, name: str, timeout_s: float, begin: bytes = b""
    ) -> None:
        self._response = response
        self._name = name
        self._timeout_s = timeout_s
        self._scanner = JpegScanner()
        self._scanner.feed(begin)
        self._ahead: deque[Captured] = deque()

    def start(self, *, single: bool) -> None:
        """Wait for the first picture.

        Args:
            single: the response announces one image: a second one shows that it is a stream.

        Raises:
            SourceNotFoundError: there is none, or just one.
            SourceStalledError: it did not come in time.
        """
        try:
            self._ahead.append(self._next(Pace()))
        except SourceLostError as error:
            raise SourceNotFoundError(
                f"{self._name}: the server responds but sends no JPEG; check the path"
            ) from error
        except SourceStalledError as error:
            raise _no_video(self._name, self._timeout_s) from error
        if not single:
            return
        try:
            self._ahead.append(self._next(Pace()))
        except SourceLostError as error:
            raise SourceNotFoundError(
                f"{self._name}: the server sends a single image, not a stream; use the address of "
                "its stream (often /stream, /mjpeg or /video), or set source.poll_s to request "
                "the image every so many seconds"
            ) from error

    def read(self, pace: Pace) -> Captured:
        """The next picture that is due; one that cannot be decoded is skipped.

        Args:
            pace: of the pictures; one that is not due is not decoded.

        Raises:
            SourceStalledError: nothing arrived within the deadline.
            SourceLostError: the server closed the connection, or sends no JPEGs any more.
        """
        while self._ahead:
            captured = self._ahead.popleft()
            if pace.take(captured.moment.monotonic_ns):
                return captured
        return self._next(pace)

    def release(self) -> None:
        """Close the connection."""
        self._response.close()

    def _next(self, pace: Pace) -> Captured:
        started = time.monotonic()
        skipped = 0
        while True:
            jpeg = self._scanner.take()
            if jpeg is None:
                self._receive(started)
                continue
            moment = Moment.now()
            if not pace.is_due(moment.monotonic_ns):
                skipped += 1
                started = time.monotonic()
                continue
            image = self._decoded(jpeg)
            if image is not None:
                pace.step(moment.monotonic_ns)
                return Captured(image, moment, skipped)
            log.debug("%s: skipped a picture that cannot be decoded", self._name)
            self._check_deadline(started)

    def _decoded(self, jpeg: bytes) -> ImageArray | None:
        try:
            return decode_jpeg(jpeg)
        except BadImageError as error:
            raise BadImageError(f"{self._name}: {error}") from error

    def _receive(self, started: float) -> None:
        self._check_deadline(started)
        try:
            data = self._response.read1(_CHUNK)
        except TimeoutError as error:
            raise self._stalled(started) from error
        except (OSError, http.client.HTTPException) as error:
            raise self._lost() from error
        if not data:
            raise self._lost()
        try:
            self._scanner.feed(data)
        except TooLongError as error:
            raise SourceLostError(
                f"{self._name}: no complete JPEG within {LONGEST_JPEG // 1024 // 1024} MiB; check "
                "the server's output"
            ) from error

    def _check_deadline(self, started: float) -> None:
        if time.monotonic() - started >= self._timeout_s:
            raise self._stalled(started)

    def _stalled(self, started: float) -> SourceStalledError:
        return SourceStalledError(
            f"{self._name}: no frame for {time.monotonic() - started:.1f} s; check the camera, or "
            "raise source.read_timeout_s if it is that slow"
        )

    def _lost(self) -> SourceLostError:
        return SourceLostError(f"{self._name}: the stream ended; check the cable or the server")


def open_jpegs(
    uri: str, name: str, timeout_s: float, *, elsewhere: bool = False
) -> HttpJpegs | None:
    """Connect to a server of JPEGs; return None if it sends something else, which FFmpeg may read.

    Args:
        uri: ``http://`` or ``https://``, with user and password if the server asks for them.
        name: name of the source, without them.
        timeout_s: deadline of opening and of each read, in seconds.
        elsewhere: follow redirects to other servers, without user and password.

    Raises:
        PiDetectorError: the server cannot be reached, or does not send video; the message has the
            reason.
    """
    response = connect(uri, name, timeout_s, elsewhere=elsewhere)
    if response is None:
        return None
    try:
        return _of_response(response, name, timeout_s)
    except BaseException:
        response.close()
        raise


def connect(
    uri: str, name: str, timeout_s: float, *, elsewhere: bool = False
) -> http.client.HTTPResponse | None:
    """Request an address; None if the server cannot be reached, which FFmpeg would find too.

    Args: those of ``open_jpegs``.

    Raises:
        PiDetectorError: the server refuses; the message has the reason.
    """
    started = time.monotonic()
    try:
        return _request(uri, timeout_s, elsewhere=elsewhere)
    except urllib.error.HTTPError as error:
        error.close()
        raise refused(name, error.code, has_password=bool(urlsplit(uri).username)) from error
    except _RedirectedError as error:
        raise SourceNotFoundError(
            f"{name}: the server redirects to {error}; if you trust it, set source.uri to that "
            "address, or source.playlists to true"
        ) from error
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            log.warning(
                "%s: the server's certificate is not trusted (%s); continuing without verification",
                name,
                reason.verify_message,
            )
            return None
        if isinstance(reason, TimeoutError) and time.monotonic() - started >= 0.9 * timeout_s:
            raise _no_video(name, timeout_s) from error
        return None  # FFmpeg finds the same, and its failure is diagnosed
    except (http.client.HTTPException, ValueError) as error:
        log.debug("%s: not read as JPEGs (%s)", name, type(error).__name__)
        return None


def _of_response(
    response: http.client.HTTPResponse, name: str, timeout_s: float
) -> HttpJpegs | None:
    kind = response.headers.get_content_type().lower()
    if kind in _PAGE_TYPES:
        raise SourceNotFoundError(
            f"{name}: the server responds with a page ({kind}), not with video; find on that page "
            "the address of the stream"
        )
    begin = b""
    if not (kind.startswith("multipart/") or kind in _IMAGE_TYPES):
        try:
            begin = response.read1(_CHUNK)
        except TimeoutError as error:
            raise _no_video(name, timeout_s) from error
        except (OSError, http.client.HTTPException):
            begin = b""
        if not (begin.startswith((b"--", b"\r\n--")) or b"\xff\xd8\xff" in begin[:1024]):
            response.close()
            return None
    jpegs = HttpJpegs(response, name, timeout_s, begin)
    jpegs.start(single=kind in _IMAGE_TYPES)
    return jpegs


class _RedirectedError(Exception):
    """The server names another one. The message is that one's address."""


class _SameServer(urllib.request.HTTPRedirectHandler):
    """Follows redirects within a server: user and password are for no other."""

    def redirect_request(  # noqa: PLR0917 - the signature is the base class's
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """The request to follow."""
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if (old.scheme, old.hostname, old.port) != (new.scheme, new.hostname, new.port):
            port = f":{new.port}" if new.port else ""
            raise _RedirectedError(f"{new.scheme}://{new.hostname}{port}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _request(uri: str, timeout_s: float, *, elsewhere: bool) -> http.client.HTTPResponse:
    parts = urlsplit(uri)
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    if parts.username is not None:
        user, password = unquote(parts.username), unquote(parts.password or "")
        passwords.add_password(None, address, user, password)
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),  # a camera is not behind the proxy of the environment
        urllib.request.HTTPBasicAuthHandler(passwords),
        urllib.request.HTTPDigestAuthHandler(passwords),
        urllib.request.HTTPRedirectHandler() if elsewhere else _SameServer(),
    )
    request = urllib.request.Request(address, headers={"User-Agent": "pi-detector"})
    response: http.client.HTTPResponse = opener.open(request, timeout=timeout_s)
    return response


def decode_jpeg(jpeg: bytes) -> ImageArray | None:
    """(H, W, 3) uint8 BGR; None where it cannot be decoded. Raises BadImageError: too large."""
    import cv2

    if size := picture_size(jpeg):
        check_size(*size)
    try:
        image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)


def refused(name: str, code: int, *, has_password: bool, protocol: str = "HTTP") -> PiDetectorError:
    """What a server's status means."""
    said = f"({protocol} {code})"
    if code == _UNAUTHORIZED and has_password:
        return SourcePermissionError(f"{name}: the server refuses this user and password {said}")
    if code == _UNAUTHORIZED:
        return SourcePermissionError(
            f"{name}: the server asks for user and password {said}; use "
            "SCHEME://USER:PASSWORD@HOST/PATH"
        )
    if code == _FORBIDDEN:
        return SourcePermissionError(
            f"{name}: the server forbids this path {said}; check the rights of its user"
        )
    if code in {_NOT_FOUND, _GONE}:
        return SourceNotFoundError(f"{name}: the server has no such path {said}; check the path")
    if code == _BUSY:
        return SourceBusyError(
            f"{name}: the camera is busy {said}; many serve one viewer only: close other viewers"
        )
    what = "fails" if code >= _SERVER else "refuses to send video"
    return SourceNotFoundError(f"{name}: the server {what} {said}; see its log")


def _no_video(name: str, seconds: float) -> SourceStalledError:
    return SourceStalledError(
        f"{name}: no video within {seconds:.1f} s; check the camera, or raise source.read_timeout_s"
    )
