"""The routes of settings: the form, changes, backup, test messages."""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pi_detector.config.settings import Settings
from pi_detector.core.frame import Frame
from pi_detector.core.outage import words_of
from pi_detector.errors import PiDetectorError
from pi_detector.sinks.registry import page_address
from pi_detector.sinks.web.answers import body_of, decoded
from pi_detector.sinks.web.desk import Desk, SettingsChange
from pi_detector.sinks.web.editor import RefusedError
from pi_detector.sinks.web.operations import Tried
from pi_detector.util.text import one_line

_BACKUP = {"Content-Disposition": 'attachment; filename="pi-detector-settings.toml"'}


class SettingRoutes:
    """Answers requests about settings.

    Args:
        desk: shows and changes them.
        frame: the newest frame, for the picture of a test message; None before the first.
    """

    def __init__(self, desk: Desk, frame: Callable[[], Frame | None]) -> None:
        self._desk = desk
        self._frame = frame
        self._testing = threading.Lock()

    def routes(self) -> list[Route]:
        """Addresses, and what answers them."""
        return [
            Route("/api/settings", self._shown),
            Route("/api/settings", self._change, methods=["PATCH"]),
            Route("/api/settings/backup", self._backup),
            Route("/api/settings/backup", self._restore, methods=["PUT"]),
            Route("/api/notify/{name}/test", self._test, methods=["POST"]),
        ]

    async def _shown(self, _: Request) -> Response:
        return _json(await _asked(self._desk.shown))

    async def _change(self, request: Request) -> Response:
        wanted = decoded(await body_of(request), SettingsChange)
        return _json(await _asked(lambda: self._desk.change(wanted)))

    async def _backup(self, _: Request) -> Response:
        text = await _asked(self._desk.backup)
        return Response(text, headers=_BACKUP, media_type="application/toml")

    async def _restore(self, request: Request) -> Response:
        text = (await body_of(request)).decode("utf-8", "replace")
        return _json(await _asked(lambda: self._desk.restore(text)))

    async def _test(self, request: Request) -> Response:
        name: str = request.path_params["name"]
        settings, frame = self._desk.settings, self._frame()
        if name not in settings.notify:
            raise HTTPException(404, "no such rule; save it first")
        if frame is None:
            raise HTTPException(503, "no frame yet for the picture of the message")
        if not self._testing.acquire(blocking=False):
            raise HTTPException(409, "another test message is being sent; wait for it")
        try:
            return _json(await run_in_threadpool(send_test, settings, name, frame))
        finally:
            self._testing.release()


def send_test(settings: Settings, name: str, frame: Frame) -> list[Tried]:
    """Send a test message by a rule.

    Args:
        settings: with their secrets.
        name: of the rule.
        frame: for its picture.
    """
    from pi_detector.sinks.notify.message import message_of
    from pi_detector.sinks.notify.sample import sample_note
    from pi_detector.sinks.notify.sink import services_of

    rule = settings.notify[name]
    page = rule.link or page_address(settings.web)
    tried = []
    try:
        services = services_of(rule)
        message = message_of([sample_note(frame, rule)], name, rule, page)
    except PiDetectorError as error:
        return [Tried(name, one_line(str(error)))]
    for service in services:
        problem = None
        try:
            service.prepare()
            service.send(message)
        except PiDetectorError as error:
            problem = one_line(str(error))
        except Exception as error:  # noqa: BLE001 - of a library; the other services are tried as well
            problem = one_line(words_of(error))
        tried.append(Tried(service.name, problem))
    return tried


async def _asked(work: Callable[[], object]) -> object:
    try:
        return await run_in_threadpool(work)
    except RefusedError as refused:
        raise HTTPException(refused.status, str(refused)) from refused


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
