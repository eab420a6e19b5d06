"""Other detectors: their state, picture, events and clips, fetched for the page.

A browser may ask its own server alone (the policy of content), and the tokens of the others stay on
the server. Each camera has its own few threads and gives up soon, so that a dead one delays none.
"""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TypeVar
from urllib.parse import quote, urlencode

import anyio
import anyio.to_thread
import msgspec

from pi_detector.config.cameras import CameraSettings
from pi_detector.errors import PiDetectorError
from pi_detector.sinks.web.events import Card, Page
from pi_detector.sinks.web.overview import Overview
from pi_detector.util.uri import parse_network_uri

_TIMEOUT_S = 3.0
_REST_S = 5.0  # after a failure, in which nobody waits for the camera again
_THREADS = 3
_FRESH_S = 0.8  # an answer that is this recent serves other viewers too
_LARGEST = 4 * 1024 * 1024
_CHUNK = 64 * 1024
_PASSED_ON = ("Content-Type", "Content-Length", "Content-Range", "Accept-Ranges")
_T = TypeVar("_T")


class CameraAwayError(PiDetectorError):
    """Another detector cannot be reached, or refuses."""


class CameraCard(Card, frozen=True, kw_only=True):
    """An event of one of several cameras.

    Attributes:
        camera: name of the camera; empty for this one.
    """

    camera: str


class Clipping(msgspec.Struct, frozen=True):
    """A file of another detector that is being read.

    Attributes:
        status: of HTTP.
        headers: those that are passed on.
        chunks: its content.
    """

    status: int
    headers: dict[str, str]
    chunks: Iterator[bytes]


class Camera:
    """Another detector.

    Args:
        name: as in the settings.
        settings: its address and token.
    """

    def __init__(self, name: str, settings: CameraSettings) -> None:
        address = parse_network_uri(settings.url)
        assert address is not None, "the settings are checked"
        self.name = name
        self.settings = settings
        self._address = address
        self._limiter = anyio.CapacityLimiter(_THREADS)
        self._away: tuple[float, str] | None = None
        self._kept: dict[str, tuple[float, bytes]] = {}

    async def overview(self) -> Overview:
        """Its state. Raises CameraAwayError."""
        return self._decoded(await self._fresh("/api/v1/overview"), Overview)

    async def picture(self) -> bytes:
        """Its newest frame, as JPEG. Raises CameraAwayError."""
        return await self._fresh("/view.jpg")

    async def events(self, wanted: Mapping[str, str]) -> tuple[list[CameraCard], bool]:
        """A page of its events, and whether there are earlier ones. Raises CameraAwayError.

        Args:
            wanted: parameters of the address.
        """
        path = f"/api/v1/events?{urlencode(wanted)}"
        page = self._decoded(await self._run(partial(self._get, path)), Page)
        return [self._card(card) for card in page.events], page.next is not None

    async def media(self, path: str, range_: str | None) -> Clipping:
        """A clip or image. Raises CameraAwayError."""
        headers = {} if range_ is None else {"Range": range_}
        return await self._run(partial(self._open, f"/media/{quote(path)}", headers))

    async def _fresh(self, path: str) -> bytes:
        at_s, held = self._kept.get(path, (0.0, b""))
        if held and time.monotonic() - at_s < _FRESH_S:
            return held
        found = await self._run(partial(self._get, path))
        self._kept[path] = time.monotonic(), found
        return found

    async def _run(self, work: Callable[[], _T]) -> _T:
        """Do work on one of this camera's threads."""
        return await anyio.to_thread.run_sync(
            partial(self._tried, work), abandon_on_cancel=True, limiter=self._limiter
        )

    def _tried(self, work: Callable[[], _T]) -> _T:
        """Do work, unless the camera did not answer a moment ago."""
        if self._away is not None and time.monotonic() - self._away[0] < _REST_S:
            raise CameraAwayError(self._away[1])
        try:
            found = work()
        except (OSError, http.client.HTTPException) as error:
            words = f"{self.name}: does not answer: {_words(error)}; check its power and network"
            self._away = time.monotonic(), words
            raise CameraAwayError(words) from error
        self._away = None
        return found

    def _request(
        self, path: str, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        host, port = self._address.host, self._address.port
        line: http.client.HTTPConnection
        if self._address.scheme == "https":
            context = ssl.create_default_context()
            line = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)
        else:
            line = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
        sent = dict(headers)
        if self.settings.token:
            sent["Authorization"] = f"Bearer {self.settings.token}"
        try:
            line.request("GET", path, headers=sent)
            return line, line.getresponse()
        except BaseException:
            line.close()
            raise

    def _get(self, path: str) -> bytes:
        line, answer = self._request(path, {})
        try:
            body = answer.read(_LARGEST + 1)
        finally:
            line.close()
        self._judge(answer.status)
        if len(body) > _LARGEST:
            raise CameraAwayError(f"{self.name}: answers more than it should; check its address")
        return body

    def _open(self, path: str, headers: Mapping[str, str]) -> Clipping:
        line, answer = self._request(path, headers)
        if answer.status not in {200, 206}:
            line.close()
            self._judge(answer.status)
        passed = {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
        return Clipping(answer.status, passed, _chunks(line, answer))

    def _judge(self, status: int) -> None:
        if status == 401:
            raise CameraAwayError(f"{self.name}: refuses the token; correct web.cameras")
        if status != 200:
            raise CameraAwayError(f"{self.name}: answers with status {status}; see its log")

    def _decoded(self, body: bytes, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError as error:
            raise CameraAwayError(
                f"{self.name}: answers in another version; upgrade the older one of both"
            ) from error

    def _card(self, card: Card) -> CameraCard:
        """A card whose files are fetched through this server."""
        fields = msgspec.structs.asdict(card)
        for name in ("thumbnail", "picture"):
            fields[name] = self._through(fields[name])
        clips = [(clip, self._through(clip.url)) for clip in card.clips]
        fields["clips"] = tuple(
            msgspec.structs.replace(clip, url=url) for clip, url in clips if url is not None
        )
        return CameraCard(**fields, camera=self.name)

    def _through(self, url: str | None) -> str | None:
        if url is None or not url.startswith("/media/"):
            return None
        return f"/api/v1/cameras/{quote(self.name)}{url}"


def _chunks(line: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := answer.read(_CHUNK):
            yield chunk
    finally:
        line.close()


def _words(error: Exception) -> str:
    strerror = error.strerror if isinstance(error, OSError) else None
    return strerror or str(error) or type(error).__name__
