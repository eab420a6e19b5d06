"""The HTTP routes of the page."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, get_args
from urllib.parse import parse_qs, urlencode

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from pi_detector.errors import PiDetectorError
from pi_detector.sinks.recordings.layout import is_media_path
from pi_detector.sinks.web import assets
from pi_detector.sinks.web.access import SESSION_S, Access, TooManyTriesError
from pi_detector.sinks.web.answers import body_of, json_answer
from pi_detector.sinks.web.archive import Archive
from pi_detector.sinks.web.bell import Bell
from pi_detector.sinks.web.camera_routes import CameraRoutes
from pi_detector.sinks.web.crops import Crops
from pi_detector.sinks.web.editor import Editor, RefusedError
from pi_detector.sinks.web.event_routes import EventRoutes
from pi_detector.sinks.web.events import Query, RunEvents, live, recorded_page, with_unfinished
from pi_detector.sinks.web.guard import (
    Guard,
    address_of,
    admits,
    error,
    page_after_login,
    too_many,
)
from pi_detector.sinks.web.live_video import MEDIA_TYPE, LiveVideo
from pi_detector.sinks.web.media import MediaResponse
from pi_detector.sinks.web.openapi import openapi
from pi_detector.sinks.web.operations import Command, CommandName, EventsQuery
from pi_detector.sinks.web.overview import Watch, as_json
from pi_detector.sinks.web.setting_routes import SettingRoutes
from pi_detector.sinks.web.stream import EndlessResponse
from pi_detector.sinks.web.versions import allowed, versioned
from pi_detector.sinks.web.view import BOUNDARY, LiveView

log = logging.getLogger(__name__)

# All that is answered without a token: no pictures, no events, no state.
_OPEN_PATHS = ("/healthz", "/login", "/logout", "/sw.js", "/manifest.webmanifest", "/offline")
# Addresses of the views, which scripts of the page put together.
_VIEWS = ("/", "/review", "/events/{id}", "/zones")
_OVERVIEW_AGE_S = 0.5

_NAMES = ("id", "label", "zone")
_Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Metrics = Callable[[], tuple[bytes, str]]


class Site:
    """Everything the page shows and does.

    Args:
        access: checks access.
        view: the live view.
        video: the camera's own video; None where the source is no network camera.
        watch: the state of the detector.
        run: the events of this run.
        crops: pictures of these events.
        editor: zones, lines and masks.
        desk: answers requests about settings.
        cameras: answers requests about other detectors.
        bell: rung when an event changes.
        recordings: folder of the recordings; None if nothing is recorded.
        command: receives ``reload``, ``pause``, ``resume``.
        healthy: whether the pipeline makes progress.
        metrics: body and content type of ``/metrics``; None for none.
    """

    def __init__(
        self,
        *,
        access: Access,
        view: LiveView,
        video: LiveVideo | None,
        watch: Watch,
        run: RunEvents,
        crops: Crops,
        editor: Editor,
        desk: SettingRoutes,
        cameras: CameraRoutes,
        bell: Bell,
        recordings: Path | None,
        command: Callable[[str], None],
        healthy: Callable[[], bool],
        metrics: Metrics | None,
    ) -> None:
        self._access = access
        self._view = view
        self._video = video
        self._watch = watch
        self._run = run
        self._editor = editor
        self._desk = desk
        self._cameras = cameras
        self._bell = bell
        self._recordings = recordings
        self._command = command
        self._healthy = healthy
        self._metrics = metrics
        self._overview = (0.0, b"")
        self._event_routes = EventRoutes(Archive(recordings, run), crops).routes()

    def app(self) -> ASGIApp:
        """The ASGI application, guarded."""
        app = Starlette(
            routes=self.routes(),
            exception_handlers={
                HTTPException: _refused,
                PiDetectorError: _failed,
                Exception: _crashed,
            },
        )
        # A redirection to the path with or without "/" at its end would repeat the Host header.
        app.router.redirect_slashes = False
        static = [f"/static/{name}" for name in assets.names()]
        return Guard(app, self._access, [*_OPEN_PATHS, *static])

    def routes(self) -> list[BaseRoute]:
        """The addresses, and what answers them; those of the API with their version too."""
        return versioned(
            [
                *(Route(path, assets.asset("index.html")) for path in _VIEWS),
                Route("/login", assets.asset("login.html")),
                Route("/offline", assets.asset("offline.html")),
                Route("/sw.js", assets.asset("sw.js")),
                Route("/manifest.webmanifest", assets.asset("manifest.webmanifest")),
                *(Route(f"/static/{name}", assets.asset(name)) for name in assets.names()),
                Route("/login", self._log_in, methods=["POST"]),
                Route("/logout", self._log_out, methods=["POST"]),
                Route("/healthz", self._health),
                Route("/metrics", self._exposition),
                Route("/view.mjpeg", self._stream),
                Route("/view.jpg", self._picture),
                Route("/live.ts", self._live_video),
                Route("/api/openapi.json", self._document),
                Route("/api/overview", self._state),
                Route("/api/live", self._live),
                Route("/api/events", self._events),
                *self._event_routes,
                Route("/api/places", self._places),
                Route("/api/places", self._save, methods=["PUT"]),
                Route("/api/command", self._obey, methods=["POST"]),
                Route("/settings", assets.asset("settings.html")),
                *self._desk.routes(),
                Route("/cameras", assets.asset("cameras.html")),
                *self._cameras.routes(),
                Route("/media/{path:path}", self._media),
            ]
        )

    async def _log_in(self, request: Request) -> Response:
        form = parse_qs((await body_of(request)).decode("utf-8", "replace"))
        token = form.get("token", [""])[0]
        wanted = page_after_login(form.get("next", [""])[0])
        try:
            if not self._access.accepts(token, address_of(request)):
                again = "" if wanted == "/" else f"&{urlencode({'next': wanted})}"
                return RedirectResponse(f"/login?wrong{again}", 303)
        except TooManyTriesError as many:
            response = too_many(many)
            if "text/html" not in request.headers.get("accept", ""):
                return response
            page = assets.answer(request, "wait.html", 429)
            page.headers["Retry-After"] = response.headers["Retry-After"]
            return page
        answer = RedirectResponse(wanted, 303)
        answer.set_cookie(
            self._access.cookie_name,
            self._access.begin_session(),
            max_age=SESSION_S,
            secure=_is_encrypted(request),
            httponly=True,
            samesite="strict",
        )
        return answer

    async def _log_out(self, request: Request) -> Response:
        self._access.end_session(request.cookies.get(self._access.cookie_name, ""))
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(
            self._access.cookie_name,
            secure=_is_encrypted(request),
            httponly=True,
            samesite="strict",
        )
        return answer

    async def _health(self, _: Request) -> Response:
        well = self._healthy()
        words = "ok\n" if well else "no progress\n"
        return Response(words, 200 if well else 503, media_type="text/plain")

    async def _exposition(self, _: Request) -> Response:
        if self._metrics is None:
            raise HTTPException(404, "metrics are not available")
        body, media_type = await run_in_threadpool(self._metrics)
        return Response(body, headers={"Content-Type": media_type})

    async def _stream(self, request: Request) -> Response:
        boxes = _with_boxes(request)
        if not self._view.join(boxes=boxes):
            most = self._view.web.max_viewers
            raise HTTPException(503, f"the live view already has {most} viewers (web.max_viewers)")
        return EndlessResponse(
            self._view.stream(boxes=boxes),
            f"multipart/x-mixed-replace; boundary={BOUNDARY}",
            lambda: self._view.leave(boxes=boxes),
            lambda: admits(self._access, request),
            first=f"--{BOUNDARY}\r\n".encode(),
        )

    async def _live_video(self, request: Request) -> Response:
        video, most = self._video, self._view.web.max_viewers
        if video is None or not video.available:
            raise HTTPException(503, "no video of a network camera that may be shown as it is")
        queue = video.join(self._view.web)
        if queue is None:
            raise HTTPException(503, f"the video already has {most} viewers (web.max_viewers)")
        return EndlessResponse(
            video.stream(queue, self._bell),
            MEDIA_TYPE,
            lambda: video.leave(queue),
            lambda: admits(self._access, request),
        )

    async def _picture(self, request: Request) -> Response:
        boxes = _with_boxes(request)
        picture = await run_in_threadpool(lambda: self._view.picture(boxes=boxes))
        if picture is None:
            raise HTTPException(503, "no image yet")
        return Response(picture.jpeg, media_type="image/jpeg")

    async def _document(self, request: Request) -> Response:
        return json_answer(request, as_json(await run_in_threadpool(openapi)))

    async def _state(self, request: Request) -> Response:
        return json_answer(request, self._state_json())

    async def _live(self, request: Request) -> Response:
        last = request.headers.get("last-event-id", "")
        number = int(last) if last.isdecimal() else None
        chunks = live(self._run, self._bell, self._state_json, number)
        return EndlessResponse(
            chunks, "text/event-stream", lambda: None, lambda: admits(self._access, request)
        )

    async def _events(self, request: Request) -> Response:
        query = _query(request)
        if self._recordings is None:
            return json_answer(request, as_json(self._run.page(query)))
        page = await run_in_threadpool(recorded_page, self._recordings, query)
        page = with_unfinished(page, self._run.page(query), query)
        return json_answer(request, as_json(page))

    async def _places(self, request: Request) -> Response:
        return json_answer(request, as_json(self._editor.shown()))

    async def _save(self, request: Request) -> Response:
        body = await body_of(request)
        try:
            version = await run_in_threadpool(self._editor.save, body)
        except RefusedError as refused:
            raise HTTPException(refused.status, str(refused)) from refused
        return json_answer(request, as_json({"version": version}))

    async def _obey(self, request: Request) -> Response:
        command = _command(request, await body_of(request))
        if command != "reload" and not self._watch.pausable():
            raise HTTPException(409, "detection cannot be paused in this run")
        log.info("web: command: %s", command, extra={"DETECTOR_EVENT": "command"})
        self._command(command)
        return json_answer(request, b'{"done": true}')

    async def _media(self, request: Request) -> Response:
        path: str = request.path_params["path"]
        if self._recordings is None or not is_media_path(path):
            raise HTTPException(404, "no such recording")
        try:
            return await run_in_threadpool(MediaResponse, self._recordings, path)
        except OSError as missing:
            raise HTTPException(404, "this recording was deleted") from missing

    def _state_json(self) -> bytes:
        """The overview, made at most twice per second for all viewers."""
        at_s, encoded = self._overview
        now_s = time.monotonic()
        if not encoded or now_s - at_s > _OVERVIEW_AGE_S:
            encoded = as_json(
                self._watch.overview(
                    name=self._access.web.name,
                    viewers=self._view.viewers,
                    max_viewers=self._view.web.max_viewers,
                    places=self._editor.version,
                    login=bool(self._access.web.token),
                )
            )
            self._overview = now_s, encoded
        return encoded


def _with_boxes(request: Request) -> bool:
    """Whether the live picture is wanted with boxes: all that is not the page cannot draw them."""
    return request.query_params.get("boxes") != "off"


def _is_encrypted(request: Request) -> bool:
    """Whether the browser speaks TLS, as a proxy of ``web.trusted_proxies`` says."""
    return bool(request.scope["scheme"] == "https")


def _command(request: Request, body: bytes) -> CommandName:
    """The command in a body, which is JSON or the bare word. Raises HTTPException."""
    try:
        if request.headers.get("content-type", "").startswith("application/json"):
            return msgspec.json.decode(body, type=Command).command
        word: CommandName = msgspec.convert(body.decode("utf-8", "replace").strip(), CommandName)
    except msgspec.MsgspecError as wrong:
        words = ", ".join(get_args(CommandName))
        raise HTTPException(400, f"unknown command; use one of {words}") from wrong
    return word


def _query(request: Request) -> Query:
    """Which events the address asks for. Raises HTTPException."""
    given = {
        name: value
        for name, value in request.query_params.items()
        if value or name not in _NAMES  # an empty name stands for all
    }
    try:
        asked = msgspec.convert(given, EventsQuery)
        before = None
        if asked.before is not None:
            at, _, number = asked.before.rpartition(",")
            before = (_moment(at), msgspec.convert(int(number), _Number))
        return Query(
            id=asked.id,
            label=asked.label,
            zone=asked.zone,
            since=asked.since,
            until=asked.until,
            before=before,
        )
    except (ValueError, msgspec.ValidationError) as wrong:  # no ValueError in msgspec 0.19
        raise HTTPException(400, f"invalid filter of events: {wrong}") from wrong


def _moment(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text}: has no time zone")
    return at


async def _refused(request: Request, refused: Exception) -> Response:
    assert isinstance(refused, HTTPException)
    answer = error(refused.status_code, refused.detail)
    if refused.status_code == 405:
        answer.headers["Allow"] = allowed(request)
    return answer


async def _failed(_: Request, failure: Exception) -> Response:
    log.warning("web: %s", failure)
    return error(500, str(failure))


async def _crashed(request: Request, crash: Exception) -> Response:
    log.error("web: %r: %r", request.scope["path"], crash, exc_info=crash)
    return error(500, "internal error of pi-detector; see its log")
