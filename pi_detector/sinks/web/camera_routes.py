"""The routes of several cameras: names, state, pictures, clips, and the events of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated

import anyio
import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from pi_detector.config.cameras import CameraSettings
from pi_detector.sinks.recordings.layout import is_media_path
from pi_detector.sinks.web.cameras import Camera, CameraAwayError, CameraCard
from pi_detector.sinks.web.events import Page, Query

_PATIENCE_S = 1.0  # with a camera, while the events of the others are there
_TYPES = {".jpg": "image/jpeg", ".mp4": "video/mp4"}


class CameraShown(msgspec.Struct, frozen=True):
    """Another detector.

    Attributes:
        name: as in the settings.
        page: address of its own page.
    """

    name: str
    page: str


class MergedEvents(msgspec.Struct, frozen=True, kw_only=True):
    """Events of all cameras, the latest first.

    Attributes:
        events: of all cameras that answer.
        missing: why cameras are not among them.
        until: asks for the events before these; null where there are none.
    """

    events: list[CameraCard]
    missing: list[str]
    until: str | None = None


class MergedQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events of all cameras are wanted.

    Attributes:
        label: events of this label.
        until: events that began at this time or earlier.
    """

    label: str | None = None
    until: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class CameraRoutes:
    """Answers requests about other detectors.

    Args:
        cameras: their addresses and tokens, by name.
        own: a page of the events of this detector.
    """

    def __init__(self, cameras: Mapping[str, CameraSettings], own: Callable[[Query], Page]) -> None:
        self._cameras: dict[str, Camera] = {}
        self._own = own
        self.apply(cameras)

    def apply(self, cameras: Mapping[str, CameraSettings]) -> None:
        """Continue with other settings; cameras that are the same stay."""
        held = self._cameras
        self._cameras = {
            name: held[name]
            if name in held and held[name].settings == settings
            else Camera(name, settings)
            for name, settings in cameras.items()
        }

    def routes(self) -> list[Route]:
        """Addresses, and what answers them."""
        return [
            Route("/api/cameras", self._list),
            Route("/api/cameras/events", self._events),
            Route("/api/cameras/{name}/overview", self._overview),
            Route("/api/cameras/{name}/view.jpg", self._picture),
            Route("/api/cameras/{name}/media/{path:path}", self._media),
        ]

    async def _list(self, _: Request) -> Response:
        return _json([CameraShown(each.name, each.settings.url) for each in self._cameras.values()])

    async def _overview(self, request: Request) -> Response:
        camera = self._named(request)
        try:
            return _json(await camera.overview())
        except CameraAwayError as away:
            raise HTTPException(502, str(away)) from away

    async def _picture(self, request: Request) -> Response:
        camera = self._named(request)
        try:
            return Response(await camera.picture(), media_type="image/jpeg")
        except CameraAwayError as away:
            raise HTTPException(502, str(away)) from away

    async def _media(self, request: Request) -> Response:
        camera, path = self._named(request), request.path_params["path"]
        if not is_media_path(path):
            raise HTTPException(404, "no such recording")
        try:
            file = await camera.media(path, request.headers.get("range"))
        except CameraAwayError as away:
            raise HTTPException(502, str(away)) from away
        kind = _TYPES[PurePosixPath(path).suffix]
        return StreamingResponse(file.chunks, file.status, file.headers, kind)

    async def _events(self, request: Request) -> Response:
        try:
            wanted = msgspec.convert(dict(request.query_params), MergedQuery)
        except msgspec.ValidationError as wrong:
            raise HTTPException(400, f"invalid filter of events: {wrong}") from wrong
        given = {name: value for name, value in request.query_params.items() if value}
        pages: list[tuple[list[CameraCard], bool]] = []
        missing: list[str] = []

        async def ask(camera: Camera) -> None:
            with anyio.move_on_after(_PATIENCE_S) as waiting:
                try:
                    pages.append(await camera.events(given))
                except CameraAwayError as away:
                    missing.append(str(away))
            if waiting.cancelled_caught:
                missing.append(f"{camera.name}: answers too late; check its network")

        async with anyio.create_task_group() as group:
            for camera in self._cameras.values():
                group.start_soon(ask, camera)
            own = await run_in_threadpool(
                self._own, Query(label=wanted.label or None, until=wanted.until)
            )
        cards = [CameraCard(**msgspec.structs.asdict(card), camera="") for card in own.events]
        return _json(merged([*pages, (cards, own.next is not None)], sorted(missing)))

    def _named(self, request: Request) -> Camera:
        camera = self._cameras.get(request.path_params["name"])
        if camera is None:
            raise HTTPException(404, "there is no such camera in web.cameras")
        return camera


def merged(pages: list[tuple[list[CameraCard], bool]], missing: list[str]) -> MergedEvents:
    """One page of several: as far back as all of them reach.

    Args:
        pages: events of each camera, and whether it has earlier ones.
        missing: why cameras are not among them.
    """
    reached = [min(card.started for card in cards) for cards, more in pages if more and cards]
    since = max(reached, default=None)
    cards = [card for cards, _ in pages for card in cards if since is None or card.started >= since]
    cards.sort(key=lambda card: card.started, reverse=True)
    until = None if since is None else since.isoformat()
    return MergedEvents(events=cards, missing=missing, until=until)


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
