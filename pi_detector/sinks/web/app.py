"""The HTTP routes of the page."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, get_args
from urllib.parse import parse_qs

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from pi_detector.errors import PiDetectorError
from pi_detector.sinks.recordings.layout import is_media_path
from pi_detector.sinks.web.access import SESSION_S, Access, TooManyTriesError
from pi_detector.sinks.web.bell import Bell
from pi_detector.sinks.web.editor import Editor, RefusedError
from pi_detector.sinks.web.events import Query, RunEvents, live, recorded_page, with_unfinished
from pi_detector.sinks.web.guard import (
    MOST_BODY_BYTES,
    Guard,
    address_of,
    admits,
    error,
    too_many,
)
from pi_detector.sinks.web.media import MediaResponse
from pi_detector.sinks.web.openapi import openapi
from pi_detector.sinks.web.operations import Command, CommandName, EventsQuery
from pi_detector.sinks.web.overview import Watch, as_json
from pi_detector.sinks.web.stream import EndlessResponse
from pi_detector.sinks.web.versions import allowed, versioned
from pi_detector.sinks.web.view import BOUNDARY, LiveView

log = logging.getLogger(__name__)

STATIC = Path(__file__).with_name("static")
# All that is answered without a token: no pictures, no events, no state.
_OPEN_PATHS = ("/healthz", "/login", "/logout")
_OVERVIEW_AGE_S = 0.5

_NAMES = ("id", "label", "zone")
_Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Metrics = Callable[[], tuple[bytes, str]]


class Site:
    """Everything the page shows and does.

    Args:
        access: checks access.
        view: the live view.
        watch: the state of the detector.
        run: the events of this run.
        editor: zones, lines and masks.
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
        watch: Watch,
        run: RunEvents,
        editor: Editor,
        bell: Bell,
        recordings: Path | None,
        command: Callable[[str], None],
        healthy: Callable[[], bool],
        metrics: Metrics | None,
    ) -> None:
        self._access = access
        self._view = view
        self._watch = watch
        self._run = run
        self._editor = editor
        self._bell = bell
        self._recordings = recordings
        self._command = command
        self._healthy = healthy
        self._metrics = metrics
        self._overview = (0.0, b"")

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
        static = [f"/static/{file.name}" for file in STATIC.iterdir()]
        return Guard(app, self._access, [*_OPEN_PATHS, *static])

    def routes(self) -> list[BaseRoute]:
        """The addresses, and what answers them; those of the API with their version too."""
        return versioned(
            [
                Route("/", _page("index.html")),
                Route("/login", _page("login.html")),
                Route("/login", self._log_in, methods=["POST"]),
                Route("/logout", self._log_out, methods=["POST"]),
                Route("/healthz", self._health),
                Route("/metrics", self._exposition),
                Route("/view.mjpeg", self._stream),
                Route("/view.jpg", self._picture),
                Route("/api/openapi.json", self._document),
                Route("/api/overview", self._state),
                Route("/api/live", self._live),
                Route("/api/events", self._events),
                Route("/api/places", self._places),
                Route("/api/places", self._save, methods=["PUT"]),
                Route("/api/command", self._obey, methods=["POST"]),
                Route("/media/{path:path}", self._media),
                Mount("/static", StaticFiles(directory=STATIC)),
            ]
        )

    async def _log_in(self, request: Request) -> Response:
        token = parse_qs((await _body(request)).decode("utf-8", "replace")).get("token", [""])[0]
        try:
            if not self._access.accepts(token, address_of(request)):
                return RedirectResponse("/login?wrong", 303)
        except TooManyTriesError as many:
            response = too_many(many)
            if "text/html" not in request.headers.get("accept", ""):
                return response
            page = FileResponse(STATIC / "wait.html", 429)
            page.headers["Retry-After"] = response.headers["Retry-After"]
            return page
        answer = RedirectResponse("/", 303)
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
        if not self._view.join():
            most = self._view.web.max_viewers
            raise HTTPException(503, f"the live view already has {most} viewers (web.max_viewers)")
        return EndlessResponse(
            self._view.stream(),
            f"multipart/x-mixed-replace; boundary={BOUNDARY}",
            self._view.leave,
            lambda: admits(self._access, request),
            first=f"--{BOUNDARY}\r\n".encode(),
        )

    async def _picture(self, _: Request) -> Response:
        picture = await run_in_threadpool(self._view.picture)
        if picture is None:
            raise HTTPException(503, "no image yet")
        return Response(picture.jpeg, media_type="image/jpeg")

    async def _document(self, _: Request) -> Response:
        return _json(as_json(await run_in_threadpool(openapi)))

    async def _state(self, _: Request) -> Response:
        return _json(self._state_json())

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
            return _json(as_json(self._run.page(query)))
        page = await run_in_threadpool(recorded_page, self._recordings, query)
        return _json(as_json(with_unfinished(page, self._run.page(query), query)))

    async def _places(self, _: Request) -> Response:
        return _json(as_json(self._editor.shown()))

    async def _save(self, request: Request) -> Response:
        body = await _body(request)
        try:
            version = await run_in_threadpool(self._editor.save, body)
        except RefusedError as refused:
            raise HTTPException(refused.status, str(refused)) from refused
        return _json(as_json({"version": version}))

    async def _obey(self, request: Request) -> Response:
        command = _command(request, await _body(request))
        if command != "reload" and not self._watch.pausable():
            raise HTTPException(409, "detection cannot be paused in this run")
        log.info("web: command: %s", command, extra={"DETECTOR_EVENT": "command"})
        self._command(command)
        return _json(b'{"done": true}')

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
                    viewers=self._view.viewers,
                    max_viewers=self._view.web.max_viewers,
                    places=self._editor.version,
                    login=bool(self._access.web.token),
                )
            )
            self._overview = now_s, encoded
        return encoded


def _page(name: str) -> Callable[[Request], FileResponse]:
    return lambda _: FileResponse(STATIC / name, headers={"Cache-Control": "no-cache"})


def _is_encrypted(request: Request) -> bool:
    """Whether the browser speaks TLS, as a proxy of ``web.trusted_proxies`` says."""
    return bool(request.scope["scheme"] == "https")


async def _body(request: Request) -> bytes:
    """The body of a request, which may be shorter than announced, never longer."""
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BODY_BYTES:
                raise HTTPException(413, "too large")
    except ClientDisconnect as left:
        raise HTTPException(400, "the body is incomplete") from left
    return body


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


def _json(encoded: bytes) -> Response:
    return Response(encoded, media_type="application/json")


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
