"""The daemon: the machine made from settings, its life under a service manager, its reload."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from pi_detector.config.drawn import drawn_in_force
from pi_detector.config.settings import Settings
from pi_detector.detector.bundle import Bundle, load_model
from pi_detector.detector.detector import Detector
from pi_detector.errors import PiDetectorError, SinkError
from pi_detector.events.motion import MotionGate
from pi_detector.events.stage import EventStage
from pi_detector.notify import Notifier
from pi_detector.pipeline import Counters, Pipeline, Supervision
from pi_detector.records import PerformanceRecord, StatusRecord, status_record
from pi_detector.sinks.base import Sink
from pi_detector.sinks.registry import (
    make_mqtt_sink,
    make_recording_sinks,
    make_sinks,
    make_textfile_sinks,
    make_web_sink,
)
from pi_detector.sources.registry import make_source
from pi_detector.telemetry.monitor import FlowTotals, PerformanceMonitor, RunState
from pi_detector.threads import Worker

if TYPE_CHECKING:
    from pi_detector.sinks.mqtt.sink import MqttSink
    from pi_detector.sinks.web.sink import WebSink
    from pi_detector.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

TICK_S = 1.0
STATUS_INTERVAL_S = 5.0
# Of the time after which systemd kills a silent service.
_FEED_SHARE = 0.25
_GRACE_SHARE = 0.5
_GRACE_S = 10.0
_UNHEALTHY_S = 30.0
# What these sections say is asked of a camera when it is opened, or goes on over many frames.
_AT_START_ONLY = ("source", "recovery", "recording", "metrics")
_OF_DETECTOR = {"model", "detection", "tracking"}
_OF_EVENTS = {"tracking", "events", "filters", "zones", "lines"}
_OF_SINKS = {"output", "telemetry"}


@dataclass(slots=True)
class _Pace:
    """Where the last status line left off."""

    at_s: float
    processed: int = 0


class Service:
    """A run of the pipeline that tells how it is and can be told to read its settings again.

    The watchdog is fed by progress alone: a frame went through the detector, or the source is
    within the deadlines of what it does, be it a read or a wait before the next try.

    Args:
        load: reads the settings; raises ConfigError.
        environ: environment variables.
        check_drawn: the settings that a text in the place of ``drawn.toml`` would give; raises
            ConfigError. None: the page saves nothing.

    Attributes:
        unstopped: names of the threads that did not end.

    Raises:
        PiDetectorError: the settings, the model or the source make no sense.
    """

    def __init__(
        self,
        load: Callable[[], Settings],
        environ: Mapping[str, str],
        check_drawn: Callable[[str], Settings] | None = None,
    ) -> None:
        self._load = load
        self._check_drawn = check_drawn
        self._environ = environ
        self._settings = settings = load()
        self._notifier = Notifier(environ)
        source = make_source(settings.source, wait=settings.recovery.mode == "always")
        self._bundle = load_model(settings.model)
        self._detector = make_detector(settings, self._bundle)
        self._monitor = PerformanceMonitor(
            settings.telemetry, lambda: self._pipeline.source_name, self._flow, self._publish
        )
        self._recordings = make_recording_sinks(settings.recording, environ)
        self._metrics = make_metrics(settings, self._run_state)
        self._metric_sinks: list[Sink] = []
        if self._metrics is not None:
            files = make_textfile_sinks(settings.metrics, self._metrics.text, self._publish)
            self._metric_sinks = [self._metrics, *files]
        self._mqtt: MqttSink | None = None
        self._web: WebSink | None = None
        self._pipeline = Pipeline(
            source,
            self._detector,
            self._make_sinks(settings, self._detector),
            supervision=self._supervision(),
            stage=make_stage(settings, self._detector),
            gate=make_gate(settings),
        )
        self._reload_wanted = threading.Event()
        self._ended = threading.Event()
        self._woken = threading.Event()
        self._ready = False
        self._fed_s = 0.0
        self._pace = _Pace(time.monotonic())
        self._trouble = ""

    @property
    def unstopped(self) -> list[str]:
        """Names of the threads that did not end when they should."""
        return self._pipeline.unstopped

    @property
    def exposition(self) -> Callable[[], tuple[bytes, str]] | None:
        """Gives the metrics for an HTTP response, body and content type, to any thread.

        None where the settings ask for no metrics.
        """
        return None if self._metrics is None else self._metrics.exposition

    def reload(self) -> None:
        """Have the settings read again, soon. Several wishes may be met by one reading."""
        self._reload_wanted.set()
        self._woken.set()

    def run(self, stop: threading.Event, max_frames: int | None = None) -> Counters:
        """Run until the source ends, ``stop`` is set, or ``max_frames`` are processed.

        Raises:
            PiDetectorError: the source or a sink failed for good.
            BrokenPipeError: the reader of standard output is gone.
        """
        log.info(
            "source %s, model %s (%s, %d threads)",
            self._pipeline.source_name,
            self._detector.name,
            self._detector.runtime,
            self._detector.threads,
            extra={"DETECTOR_EVENT": "started"},
        )
        self._tell_model()
        caretaker = Worker("service", self._take_care)
        self._monitor.start()
        try:
            return self._pipeline.run(stop, max_frames)
        finally:
            self._notifier.stopping()
            self._ended.set()
            self._woken.set()
            deadline = time.monotonic() + TICK_S
            self._monitor.stop(deadline)
            caretaker.join(deadline)
            if caretaker.error is not None:
                raise caretaker.error

    def _make_sinks(self, settings: Settings, detector: Detector) -> list[Sink]:
        """The sinks of the settings; those that go on over a reload are the same as before."""
        mqtt = make_mqtt_sink(
            settings,
            self._environ,
            model=detector.name,
            labels=detector.labels.values(),
            report=self._publish,
            command=self._obey,
        )
        if self._mqtt is None or mqtt is None or mqtt.setup != self._mqtt.setup:
            self._mqtt = mqtt
        if self._web is None or not settings.web.enabled:
            self._web = make_web_sink(
                msgspec.structs.replace(settings, recording=self._settings.recording),
                self._environ,
                labels=detector.labels.values(),
                command=self._obey,
                healthy=self._healthy,
                check=self._check_drawn,
                metrics=self.exposition,
            )
        sinks = [*make_sinks(settings.output), *self._recordings, *self._metric_sinks]
        if self._mqtt is not None:
            sinks.append(self._mqtt)
        if self._web is not None:
            sinks.append(self._web)
        if settings.telemetry.interval_s:
            sinks.append(self._monitor.meter)
        return sinks

    def _replace_sinks(self, new: Settings, detector: Detector, *, anyway: bool) -> None:
        """Publish to other sinks where the settings ask for others, or MQTT needs a new one."""
        before = self._mqtt, self._web
        sinks = self._make_sinks(new, detector)
        labels = list(detector.labels.values())
        try:
            if self._web is not None:
                self._web.apply(new, labels)
            if anyway or (self._mqtt, self._web) != before:
                self._pipeline.replace_sinks(sinks)
        except SinkError:
            self._mqtt, self._web = before
            if self._web is not None:
                self._web.apply(self._settings, list(self._detector.labels.values()))
            raise

    def _healthy(self) -> bool:
        limit_s = self._notifier.watchdog_s or _UNHEALTHY_S
        progressed_s = self._pipeline.progressed_s
        return progressed_s > 0 and time.monotonic() - progressed_s < limit_s

    def _obey(self, command: str) -> None:
        if command == "reload":
            self.reload()

    def _flow(self) -> FlowTotals:
        counters = self._pipeline.counters
        return FlowTotals(
            counters.captured, counters.processed, counters.dropped, self._pipeline.sink_dropped
        )

    def _run_state(self) -> RunState:
        return RunState(
            self._flow(),
            self._pipeline.source_name,
            self._pipeline.source_state == "live",
            self._detector.name,
            self._detector.runtime,
            self._settings.telemetry.interval_s,
        )

    def _publish(self, record: PerformanceRecord | StatusRecord) -> None:
        self._pipeline.publish(record)

    def _supervision(self) -> Supervision | None:
        recovery = self._settings.recovery
        if recovery.mode == "off":
            return None
        watchdog_s = self._notifier.watchdog_s
        return Supervision(
            recovery,
            read_timeout_s=self._settings.source.read_timeout_s,
            grace_s=_GRACE_S if watchdog_s is None else _GRACE_SHARE * watchdog_s,
        )

    def _take_care(self) -> None:
        """Tell the service manager how it is, and reload: on a thread of its own."""
        watchdog_s = self._notifier.watchdog_s
        tick_s = TICK_S if watchdog_s is None else min(TICK_S, _FEED_SHARE * watchdog_s)
        while not self._ended.is_set():
            self._woken.wait(tick_s)
            self._woken.clear()
            if self._reload_wanted.is_set():
                self._reload_wanted.clear()
                self._reload()
            self._tell()

    def _tell(self) -> None:
        if not self._notifier.listening or self._ended.is_set():
            return
        pipeline = self._pipeline
        if not self._ready and (
            pipeline.counters.processed or pipeline.source_state in {"stalled", "reopening"}
        ):
            self._ready = True
            self._notifier.ready()
        if pipeline.progressed_s > self._fed_s:
            self._fed_s = pipeline.progressed_s
            self._notifier.alive()
        now_s = time.monotonic()
        if now_s - self._pace.at_s >= STATUS_INTERVAL_S:
            self._notifier.status(self._status(now_s))

    def _status(self, now_s: float) -> str:
        pipeline, counters = self._pipeline, self._pipeline.counters
        rate = (counters.processed - self._pace.processed) / (now_s - self._pace.at_s)
        self._pace = _Pace(now_s, counters.processed)
        words = f"{pipeline.source_name} {pipeline.source_state}, {rate:.1f} frames/s"
        if pipeline.last_found is None:
            words += ", nothing detected yet"
        else:
            label, at_s = pipeline.last_found
            words += f", last detection {label} {now_s - at_s:.0f} s ago"
        return f"{words}; {self._trouble}" if self._trouble else words

    def _reload(self) -> None:
        self._notifier.reloading()
        try:
            self._apply(self._load())
        except PiDetectorError as error:
            reason = "; ".join(str(error).splitlines())
            self._trouble = f"reload refused: {reason}"
            log.error(
                "reload refused, the settings in force stay so: %s",
                reason,
                extra={"DETECTOR_EVENT": "reload_refused"},
            )
            self._pipeline.publish(status_record("settings", "reload", "refused", reason=reason))
        else:
            self._trouble = ""
        finally:
            if self._ready:
                self._notifier.ready()

    def _apply(self, new: Settings) -> None:
        """Bring settings into force: all that can change in a running machine, or none."""
        old = self._settings
        changed = {name for name in Settings.__struct_fields__ if differ(old, new, name)}
        bundle = load_model(new.model)
        detector, stage = self._detector, None
        if changed & _OF_DETECTOR or bundle != self._bundle:
            detector = make_detector(new, bundle)
        if changed & _OF_EVENTS or detector is not self._detector:
            stage = make_stage(new, detector)
        gate = make_gate(new) if "motion" in changed else None
        self._replace_sinks(new, detector, anyway=bool(changed & _OF_SINKS))
        self._monitor.apply(new.telemetry)
        self._pipeline.replace_detector(detector)
        if stage is not None:
            self._pipeline.replace_stage(stage)
        if "motion" in changed:
            self._pipeline.replace_gate(gate)
        logging.getLogger().setLevel(new.log.level.upper())
        self._settings = msgspec.structs.replace(
            new, **{name: getattr(old, name) for name in _AT_START_ONLY}
        )
        is_new_model, self._bundle, self._detector = bundle != self._bundle, bundle, detector
        if is_new_model:
            self._tell_model()
        waiting = differences(old, new, _AT_START_ONLY)
        log.info(
            "settings read again%s",
            f"; at the next restart: {', '.join(waiting)}" if waiting else "",
            extra={"DETECTOR_EVENT": "reloaded"},
        )
        if drawn := drawn_in_force(self._environ):
            log.info("%s", drawn)

    def _tell_model(self) -> None:
        reason = f"loaded, SHA-256 {self._bundle.sha256}"
        self._pipeline.publish(status_record("model", self._detector.name, "live", reason=reason))


def make_detector(settings: Settings, bundle: Bundle) -> Detector:
    """The detector that the settings ask for."""
    share = settings.tracking.low_score_share if settings.tracking.enabled else 1.0
    return Detector(bundle, settings.model, settings.detection, low_score_share=share)


def make_stage(settings: Settings, detector: Detector) -> EventStage:
    """The event stage that the settings ask for."""
    return EventStage(settings, detector.labels, detector.min_scores)


def make_gate(settings: Settings) -> MotionGate | None:
    """The motion gate, where the settings want one."""
    return MotionGate(settings.motion) if settings.motion.enabled else None


def make_metrics(settings: Settings, state: Callable[[], RunState]) -> Metrics | None:
    """The metrics, where the settings want them: else their library is not even imported."""
    if not (settings.metrics.textfile or settings.web.enabled):
        return None
    from pi_detector.telemetry.metrics import Metrics

    return Metrics(settings.metrics.detector, state)


def differ(old: Settings, new: Settings, section: str) -> bool:
    """Whether a section is not the same."""
    return bool(getattr(old, section) != getattr(new, section))


def differences(old: Settings, new: Settings, sections: tuple[str, ...]) -> list[str]:
    """Dotted names of the settings of these sections that are not the same."""
    return [
        f"{section}.{name}"
        for section in sections
        for name, value in msgspec.structs.asdict(getattr(new, section)).items()
        if value != getattr(getattr(old, section), name)
    ]
