"""The sink behind the page."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pi_detector.config.owned import Check
from pi_detector.config.settings import Settings
from pi_detector.core.current import CurrentState
from pi_detector.core.frame import Frame
from pi_detector.core.records import EventRecord, Publication
from pi_detector.core.result import Result
from pi_detector.errors import SinkError
from pi_detector.sinks.web.access import Access
from pi_detector.sinks.web.app import Metrics, Site
from pi_detector.sinks.web.bell import Bell
from pi_detector.sinks.web.camera_routes import CameraRoutes
from pi_detector.sinks.web.crops import Crops
from pi_detector.sinks.web.desk import Desk
from pi_detector.sinks.web.editor import Editor
from pi_detector.sinks.web.events import Page, Query, RunEvents, recorded_page, with_unfinished
from pi_detector.sinks.web.live_video import LiveVideo
from pi_detector.sinks.web.overview import Watch
from pi_detector.sinks.web.server import Server
from pi_detector.sinks.web.setting_routes import SettingRoutes
from pi_detector.sinks.web.view import LiveView

log = logging.getLogger(__name__)

_STOP_S = 2.5
_OF_SERVER = ("host", "port", "max_viewers", "trusted_proxies")  # what moves the server


class WebSink:
    """Serves the page on its own threads; only stores what it receives.

    Args:
        settings: settings with their secrets.
        labels: labels of the model.
        recordings: folder of the recordings; None if nothing is recorded.
        drawn: file of the drawn outlines; None without a state folder.
        command: receives ``reload``, ``pause``, ``resume``; called from the server's thread.
        healthy: whether the pipeline makes progress.
        page: file of the settings changed on the page; None without a state folder.
        check: reads the settings with other texts in the place of files; None: nothing can be
            saved.
        metrics: body and content type of ``/metrics``; None for none.
        video: the camera's own video; None where the source is no network camera.

    Attributes:
        routes: addresses that are served.
    """

    name = "web"
    lossless = False

    def __init__(
        self,
        settings: Settings,
        *,
        labels: list[str],
        recordings: Path | None,
        drawn: Path | None,
        command: Callable[[str], None],
        healthy: Callable[[], bool],
        check: Check | None,
        page: Path | None = None,
        metrics: Metrics | None = None,
        video: LiveVideo | None = None,
    ) -> None:
        self._web = settings.web
        self._bell = Bell()
        self._access = Access(settings.web)
        self._view = LiveView(settings.web, self._bell)
        self._watch = Watch()
        self._run = RunEvents()
        self._crops = Crops()
        self._editor = Editor(settings, labels, drawn, check, lambda: command("reload"))
        self._recordings = recordings
        self._cameras = CameraRoutes(settings.web.cameras, self._own_events)
        self._desk = Desk(settings, page, check, lambda: command("reload"))
        site = Site(
            access=self._access,
            view=self._view,
            video=video,
            watch=self._watch,
            run=self._run,
            crops=self._crops,
            editor=self._editor,
            cameras=self._cameras,
            desk=SettingRoutes(self._desk, lambda: self._frame),
            bell=self._bell,
            recordings=recordings,
            command=command,
            healthy=healthy,
            metrics=metrics,
        )
        self.routes = site.routes()
        self._app = site.app()
        self._server: Server | None = None
        self._frame: Frame | None = None
        self._moving = threading.Lock()

    def start(self) -> None:
        """Listen, unless that works already. Raises SinkError."""
        with self._moving:
            if self._server is None or self._error is not None:
                self._halt()
                self._listen()

    def apply(self, settings: Settings, labels: list[str]) -> None:
        """Continue with other settings; only another address disturbs viewers.

        Raises:
            SinkError: the new address cannot be had; the old settings stay.
        """
        old, new = self._web, settings.web
        moved = any(getattr(old, name) != getattr(new, name) for name in _OF_SERVER)
        with self._moving:
            self._web = new
            if moved and self._server is not None:
                self._halt()
                try:
                    self._listen()
                except SinkError:
                    self._web = old
                    raise
        self._access.web = self._view.web = new
        self._cameras.apply(new.cameras)
        self._desk.settings = self._editor.settings = settings
        self._editor.labels = sorted(labels)

    def catch_up(self, now: CurrentState) -> None:
        """Show what holds already where a reload switched the page on."""
        for event in now.events.values():
            self._run.note(event)
        for status in now.statuses.values():
            self._watch.note(status)
        if now.performance is not None:
            self._watch.note(now.performance)

    def handle(self, item: Publication) -> bool:
        """Remember what was published.

        Returns:
            True: the page is served.

        Raises what ended the server.
        """
        with self._moving:
            self._see_running()
        if isinstance(item, EventRecord):
            self._crops.note(item)
            self._run.note(item)
            self._bell.ring()
            return True
        self._watch.note(item)
        if isinstance(item, Result):
            self._crops.see(item)
            self._frame = item.frame
            self._view.offer(item)
        return True

    def close(self) -> None:
        """Send all readers away."""
        with self._moving:
            self._halt()

    def _own_events(self, query: Query) -> Page:
        """A page of this detector's events. Raises SinkError where the index cannot be read."""
        run = self._run.page(query)
        if self._recordings is None:
            return run
        return with_unfinished(recorded_page(self._recordings, query), run, query)

    @property
    def _error(self) -> BaseException | None:
        """What ended the server or the encoder of the live picture, or None."""
        return (self._server.error if self._server else None) or self._view.error

    def _see_running(self) -> None:
        """Listen where that is not so. Raises what ended the server."""
        if self._server is None:
            self._listen()
        error = self._error
        if error is not None:
            self._halt()
            if isinstance(error, Exception):
                raise error
            raise RuntimeError(f"the server ended: {error!r}") from error

    def _listen(self) -> None:
        web = self._web
        self._view.start()
        self._server = Server(self._app, web, self._bell)
        host = f"[{web.host}]" if ":" in web.host else web.host
        log.info(
            "web: serving the page at http://%s:%d/",
            host,
            web.port,
            extra={"DETECTOR_EVENT": "web"},
        )

    def _halt(self) -> None:
        server, self._server = self._server, None
        if server is not None and not server.stop(time.monotonic() + _STOP_S):
            log.warning("web: the server did not stop in time")
        if not self._view.stop(time.monotonic() + _STOP_S):
            log.warning("web: the encoder of the live picture did not stop in time")
