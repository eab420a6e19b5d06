"""The sinks of a run across reloads: which are recreated, and which continue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from pi_detector.config.owned import Check
from pi_detector.config.settings import Settings
from pi_detector.core.packets import PacketHub
from pi_detector.core.records import StatusRecord
from pi_detector.detector.bundle import Bundle
from pi_detector.sinks.base import ShowsSettings, Sink
from pi_detector.sinks.plugin import make_plugin_sinks
from pi_detector.sinks.registry import (
    make_collect_sinks,
    make_copying,
    make_live_video,
    make_mqtt_sink,
    make_notify_sink,
    make_recording_sinks,
    make_sinks,
    make_socket_sink,
    make_textfile_sinks,
    make_web_sink,
    page_address,
)
from pi_detector.telemetry.monitor import RunState

if TYPE_CHECKING:
    from pi_detector.sinks.web.sink import WebSink
    from pi_detector.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What sinks may ask of the run and have it do, from threads of their own.

    Attributes:
        publish: takes status records.
        command: takes ``reload``, ``pause``, ``resume``.
        healthy: whether it makes progress.
        state: how the run is.
        is_on: whether one of the named schedules is on; always without names.
        packets: gives away the packets of the source.
        may_copy: whether they may be recorded and shown as they are, now.
        may_record: whether recording is switched on.
        check: reads the settings with other texts in the place of files; None: the page saves
            nothing.
    """

    publish: Callable[[StatusRecord], None]
    command: Callable[[str], None]
    healthy: Callable[[], bool]
    state: Callable[[], RunState]
    is_on: Callable[[Sequence[str]], bool]
    packets: PacketHub
    may_copy: Callable[[], bool]
    may_record: Callable[[], bool] = lambda: True
    check: Check | None = None


class SinkSet:
    """Makes the sinks of a run, and changes them when the settings change.

    A sink stays as it is where all that it was made from is the same: a connection, and those who
    read or look, are not disturbed.

    Args:
        settings: at the start.
        environ: environment variables.
        context: what the sinks ask of it.
        meter: the sink of performance records.

    Raises:
        SinkError: a path that makes no sense.
        DependencyMissingError: what a setting needs is not installed.
    """

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], context: SinkContext, meter: Sink
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._context = context
        self._meter = meter
        self._recordings = make_recording_sinks(
            settings.recording,
            environ,
            context.publish,
            lambda: context.may_record() and context.is_on(settings.recording.schedules),
            make_copying(settings, context.packets, context.may_copy),
        )
        self._video = make_live_video(settings, context.packets, context.may_copy)
        self._textfiles = make_textfile_sinks(settings.metrics, self._metrics_text)
        self._metrics: Metrics | None = None
        self._web: WebSink | None = None
        self._sinks: list[Sink] = []

    @property
    def exposition(self) -> Callable[[], tuple[bytes, str]] | None:
        """Gives the metrics for an HTTP response, body and content type, to any thread.

        None where the settings ask for no metrics.
        """
        return None if self._metrics is None else self._metrics.exposition

    def make(self, settings: Settings, bundle: Bundle) -> list[Sink]:
        """The sinks of these settings; those that stay are the same objects as before."""
        labels = [label.name for label in bundle.labels]
        self._metrics = self._metrics or self._make_metrics(settings)
        if self._web is None or not settings.web.enabled:
            self._web = self._make_web(settings, labels)
        mqtt = make_mqtt_sink(
            settings,
            self._environ,
            model=bundle.name,
            labels=labels,
            report=self._context.publish,
            command=self._context.command,
        )
        wanted: list[Sink | None] = [
            *make_sinks(settings.output, page_address(settings.web)),
            *self._recordings,
            *make_collect_sinks(settings.collect, self._environ),
            self._metrics,
            *self._textfiles,
            mqtt,
            make_notify_sink(settings, self._environ, self._context.publish),
            self._web,
            self._meter if settings.telemetry.interval_s else None,
            *make_plugin_sinks(settings.plugins),
            # Last: it takes its file from the one before it, which is too late for another's error.
            make_socket_sink(settings.output),
        ]
        self._sinks = [self._same(sink) for sink in wanted if sink is not None]
        records = settings.recording.enabled and self._context.may_record()
        recording = msgspec.structs.replace(settings.recording, enabled=records)
        shown = msgspec.structs.replace(settings, recording=recording)
        for sink in self._sinks:
            if isinstance(sink, ShowsSettings):
                sink.show(shown)
        return self._sinks

    def _same(self, wanted: Sink) -> Sink:
        """The sink from before that was made from the same, else the wanted one."""
        setup = getattr(wanted, "setup", wanted)
        for sink in self._sinks:
            if type(sink) is type(wanted) and getattr(sink, "setup", sink) == setup:
                return sink
        return wanted

    def apply(
        self,
        new: Settings,
        bundle: Bundle,
        replace: Callable[[Sequence[Sink]], None],
    ) -> None:
        """Continue with the sinks of other settings.

        Args:
            new: the settings.
            bundle: the model.
            replace: makes the pipeline publish to other sinks.

        Raises:
            SinkError: a sink cannot be started; everything stays as it was.
        """
        before = (self._metrics, self._web, self._sinks)
        labels = [label.name for label in bundle.labels]
        try:
            sinks = self.make(new, bundle)
            if self._web is not None:
                self._web.apply(new, labels)
            if sinks != before[-1]:
                replace(sinks)
        except Exception:
            self._metrics, self._web, self._sinks = before
            if self._web is not None:
                self._web.apply(self._settings, labels)
            raise
        self._settings = new

    def _make_metrics(self, settings: Settings) -> Metrics | None:
        """The metrics, where the settings want them: else their library is not even imported."""
        if not (self._textfiles or settings.web.enabled):
            return None
        from pi_detector.telemetry.metrics import Metrics

        return Metrics(settings.metrics.detector, self._context.state)

    def _metrics_text(self) -> bytes:
        assert self._metrics is not None, "a file of metrics asks for them"
        return self._metrics.text()

    def _make_web(self, settings: Settings, labels: list[str]) -> WebSink | None:
        return make_web_sink(
            settings,
            self._environ,
            labels=labels,
            command=self._context.command,
            healthy=self._context.healthy,
            check=self._context.check,
            metrics=self.exposition,
            video=self._video,
        )
