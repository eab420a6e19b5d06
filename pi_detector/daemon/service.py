"""The daemon: a run made from settings, its life under a service manager, its reload."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from pi_detector.config import changes
from pi_detector.config.changes import Masks, at_reload, at_restart, parts_changed
from pi_detector.config.copying import may_copy
from pi_detector.config.owned import Check, notices
from pi_detector.config.settings import Settings
from pi_detector.core.outage import Outage, words_of
from pi_detector.core.packets import PacketHub
from pi_detector.core.records import PerformanceRecord, StatusRecord, status_record
from pi_detector.core.states import State
from pi_detector.daemon.health import Health
from pi_detector.daemon.hours import Hours
from pi_detector.daemon.systemd import Notifier
from pi_detector.daemon.wishes import Wishes
from pi_detector.detector.bundle import Bundle, load_model
from pi_detector.detector.runtime import thread_count
from pi_detector.errors import PiDetectorError
from pi_detector.governor.control import ControlLoop, check_smaller_model, model_at
from pi_detector.pipeline.build import (
    growing_folder,
    make_detector,
    make_gate,
    make_looking,
    make_privacy,
    make_stage,
)
from pi_detector.pipeline.counters import Counters
from pi_detector.pipeline.looks import LookBudget
from pi_detector.pipeline.pipeline import Pipeline
from pi_detector.pipeline.second_stream import PacketFeed
from pi_detector.pipeline.sink_set import SinkContext, SinkSet
from pi_detector.pipeline.supervision import Supervision
from pi_detector.sinks.recordings.encoder import lacking
from pi_detector.sinks.recordings.feedback import keep_soon
from pi_detector.sources.registry import check_source, make_source
from pi_detector.telemetry.monitor import FlowTotals, PerformanceMonitor, RunState
from pi_detector.telemetry.sensors import ROOT
from pi_detector.util.rate_limit import RateLimit
from pi_detector.util.worker import Worker

log = logging.getLogger(__name__)

TICK_S = 1.0
# Of the time after which systemd kills a silent service.
_FEED_SHARE = 0.25
_GRACE_SHARE = 0.5
_GRACE_S = 10.0
_UNHEALTHY_S = 30.0


class Service:
    """A run of the pipeline that reports its health and can reload its settings.

    Args:
        load: reads the settings; raises ConfigError.
        environ: environment variables.
        root: the folder that stands for ``/`` where sensors are read.
        check: reads settings with other texts in the place of files; None: nothing is saved.

    Attributes:
        unstopped: names of the threads that did not end.

    Raises:
        PiDetectorError: the settings, the model or the source make no sense.
    """

    def __init__(
        self,
        load: Callable[[], Settings],
        environ: Mapping[str, str],
        *,
        root: Path = ROOT,
        check: Check | None = None,
    ) -> None:
        self._load = load
        self._environ = environ
        self._settings = settings = load()
        self._masks: Masks = settings.privacy
        self._wishes = Wishes()
        self._reload_wanted = threading.Event()
        self._ended = threading.Event()
        self._woken = threading.Event()
        self._notifier = Notifier(environ)
        source = make_source(settings.source, wait=settings.recovery.mode == "always")
        _check_source(settings)
        self._bundle = load_model(settings.model)
        check_smaller_model(settings, self._bundle)
        self._detector = make_detector(settings, self._bundle)
        self._governed = (self._detector.threads, False)
        self._model_failed = False
        rate_limit = RateLimit()
        self._looks = LookBudget(live=source.live)
        self._control_loop = ControlLoop(
            settings.governor,
            self._detector.threads,
            rate_limit,
            live=source.live,
            processed=lambda: self._pipeline.counters.processed,
            publish=self._publish,
            changed=self._woken.set,
            looks=self._looks,
            root=root,
        )
        self._monitor = PerformanceMonitor(
            settings.telemetry,
            lambda: self._pipeline.source_name,
            self._flow,
            self._publish,
            root,
            folder=lambda: growing_folder(self._settings, environ),
            governor=self._control_loop.readings,
        )
        self._hours = Hours(settings, self._publish)
        is_on, packets = self._hours.is_on, PacketHub()
        context = SinkContext(
            *(self._publish, self._command, self._healthy, self._run_state, is_on, packets),
            *(lambda: not self._masks and may_copy(self._settings), self._wishes.recording),
            check,
        )
        self._sink_set = SinkSet(settings, environ, context, self._monitor.meter)
        self._packet_feed = PacketFeed(settings, source, packets)
        self._pipeline = Pipeline(
            source,
            self._detector,
            self._sink_set.make(settings, self._bundle),
            supervision=self._supervision(),
            stage=make_stage(settings, self._detector),
            gate=make_gate(settings),
            rate_limit=rate_limit,
            privacy=make_privacy(settings),
            max_fps=settings.detection.max_fps,
            looking=make_looking(settings, self._looks),
            reports_source=True,
        )
        self._health = Health(self._notifier)
        self._outage = Outage("service", "service", self._publish)

    @property
    def unstopped(self) -> list[str]:
        """Names of the threads that did not end when they should."""
        return self._pipeline.unstopped

    def reload(self) -> None:
        """Reload the settings soon. One reload may serve several requests."""
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
        self._report_model(self._bundle)
        self._pipeline.keep_hours(self._hours.step())
        self._pipeline.report_detection()
        serving = Worker("service", self._serve)
        beside = (self._packet_feed, self._monitor, self._control_loop)
        for part in beside:
            part.start()
        try:
            return self._pipeline.run(stop, max_frames)
        finally:
            self._notifier.stopping()
            self._ended.set()
            self._woken.set()
            deadline = time.monotonic() + TICK_S
            for part in beside:
                part.stop(deadline)
            serving.finish(deadline)

    def pause(self) -> None:
        """Stop detecting until ``resume``, even across a reload; a restart detects again."""
        self._pipeline.pause()

    def resume(self) -> None:
        """Detect again."""
        self._pipeline.resume()

    def _healthy(self) -> bool:
        last_s, limit_s = self._pipeline.progressed_s, self._notifier.watchdog_s or _UNHEALTHY_S
        return last_s > 0 and time.monotonic() - last_s < limit_s

    def _command(self, command: str) -> None:
        if command.startswith("keep="):
            event_id = command.removeprefix("keep=")
            keep_soon(self._settings.recording, self._environ, event_id)
            return
        if "=" in command:
            self._wishes.add(command)
            self.reload()
            return
        {"reload": self.reload, "pause": self.pause, "resume": self.resume}[command]()

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
            read_timeout_s=self._settings.source.longest_wait_s,
            grace_s=_GRACE_S if watchdog_s is None else _GRACE_SHARE * watchdog_s,
        )

    def _serve(self) -> None:
        """Report to the service manager, and reload, on a separate thread."""
        watchdog_s = self._notifier.watchdog_s
        tick_s = TICK_S if watchdog_s is None else min(TICK_S, _FEED_SHARE * watchdog_s)
        while not self._ended.is_set():
            self._woken.wait(tick_s)
            self._woken.clear()
            # Whatever fails here must not end the thread that feeds the watchdog.
            with self._outage.contain():
                if self._reload_wanted.is_set() and self._pipeline.running.is_set():
                    self._reload_wanted.clear()
                    self._reload()
                self._govern()
                self._pipeline.keep_hours(self._hours.step())
                if not self._ended.is_set():
                    self._health.update(self._pipeline)

    def _reload(self) -> None:
        self._health.reloading()
        try:
            self._apply(self._wishes.applied(self._load()))
        except Exception as error:
            reason = "; ".join(words_of(error).splitlines())
            self._health.trouble = f"reload refused: {reason}"
            log.error(
                "reload refused, keeping the current settings: %s",
                reason,
                exc_info=None if isinstance(error, PiDetectorError) else error,
                extra={"DETECTOR_EVENT": "reload_refused"},
            )
            self._pipeline.publish(status_record("settings", "reload", "refused", reason=reason))
        else:
            self._health.trouble = ""
        finally:
            self._health.reloaded()

    def _apply(self, wanted: Settings) -> None:
        """Apply settings: all that can change in a run, or none."""
        old, new = self._settings, at_reload(self._settings, wanted)
        changed = parts_changed(old, new)
        if wanted.source != old.source:
            _check_source(wanted)
        bundle = load_model(new.model)
        check_smaller_model(new, bundle)
        detector, stage = self._detector, None
        if "detector" in changed or bundle != self._bundle:
            detector = make_detector(new, bundle)
        if "stage" in changed or detector is not self._detector:
            stage = make_stage(new, detector)
        gate, masks = make_gate(new), changes.masks_of_view(self._masks, old, wanted)
        privacy = make_privacy(new, masks)
        new = self._adjusted(new, wanted)
        try:
            self._sink_set.apply(new, bundle, self._pipeline.replace_sinks)
        except Exception:
            self._adjusted(new, old)
            raise
        self._pipeline.report_detection()
        self._monitor.apply(new.telemetry)
        self._hours.apply(new)
        self._pipeline.replace_privacy(privacy)
        self._pipeline.limit_rate(new.detection.max_fps)
        self._pipeline.replace_detector(detector)
        if stage is not None:
            self._pipeline.replace_stage(stage)
        if "gate" in changed:
            self._pipeline.replace_gate(gate, make_looking(new, self._looks))
        logging.getLogger().setLevel(new.log.level.upper())
        self._settings, self._masks = new, masks
        threads = thread_count(new.model.threads)
        if detector is not self._detector:
            self._governed = (threads, False)
            self._end_model_failure()
        self._control_loop.apply(new.governor, threads)
        is_new_model, self._bundle, self._detector = bundle != self._bundle, bundle, detector
        if is_new_model:
            self._report_model(bundle)
        self._report_reload([*at_restart(new, wanted), *changes.masks_to_go(masks, wanted)])
        for notice in notices(self._environ):
            log.info("%s", notice)
        if lack := lacking(wanted.recording):
            log.warning("recordings: %s", lack)

    def _adjusted(self, new: Settings, wanted: Settings) -> Settings:
        """Set the camera's controls, where they change. Returns the settings that hold then."""
        controls = wanted.source.controls
        if controls != new.source.controls and self._pipeline.adjust(controls):
            source = msgspec.structs.replace(new.source, controls=controls)
            new = msgspec.structs.replace(new, source=source)
        return new

    def _report_reload(self, waiting: list[str]) -> None:
        words = f"at the next restart: {', '.join(waiting)}" if waiting else ""
        log.info(
            "settings reloaded%s",
            f"; {words}" if words else "",
            extra={"DETECTOR_EVENT": "reloaded"},
        )
        self._health.waiting = words
        state: State = "limited" if waiting else "live"
        self._publish(status_record("settings", "reload", state, reason=words or None))

    def _govern(self) -> None:
        """Apply threads and model of the governor's level."""
        level = self._control_loop.level
        before, self._governed = self._governed, (level.threads, level.small)
        if self._governed == before:
            return
        try:
            model = model_at(self._settings, level)
            settings = msgspec.structs.replace(self._settings, model=model)
            bundle = load_model(settings.model) if level.small else self._bundle
            detector = make_detector(settings, bundle)
        except Exception as error:
            reason = words_of(error)
            expected = isinstance(error, PiDetectorError)
            log.error("governor: %s", reason, exc_info=None if expected else error)
            self._publish(status_record("governor", "model", "failed", reason=reason))
            self._model_failed = True
            return
        self._end_model_failure()
        self._pipeline.replace_detector(detector)
        self._detector = detector
        if level.small != before[1]:
            self._pipeline.replace_stage(make_stage(settings, detector))
            self._report_model(bundle)

    def _end_model_failure(self) -> None:
        """Report the end of a failure of the governor's model, if there was one."""
        if self._model_failed:
            self._publish(status_record("governor", "model", "live"))
            self._model_failed = False

    def _report_model(self, bundle: Bundle) -> None:
        reason = f"loaded, SHA-256 {bundle.sha256}"
        log.info(
            "model %s %s",
            bundle.name,
            reason,
            extra={"DETECTOR_EVENT": "model_live", "DETECTOR_MODEL_SHA256": bundle.sha256},
        )
        self._pipeline.publish(status_record("model", bundle.name, "live", reason=reason))


def _check_source(settings: Settings) -> None:
    """Log the settings of the source that have no effect.

    Raises:
        UnknownSchemeError, ConfigError: no source can be made of them.
    """
    for warning in check_source(settings.source):
        log.warning("%s", warning)
