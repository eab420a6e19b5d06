"""The control loop of the governor: reads sensors, applies rates, publishes changes."""

from __future__ import annotations

import logging
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from pi_detector.config.governor import GovernorSettings
from pi_detector.config.settings import ModelSettings, Settings
from pi_detector.core.outage import Outage
from pi_detector.core.readings import GovernorReadings
from pi_detector.core.records import StatusRecord, status_record
from pi_detector.core.states import State
from pi_detector.detector.bundle import Bundle, load_model, takes_labels
from pi_detector.errors import ConfigError
from pi_detector.governor.policy import Governor, Level, Reading
from pi_detector.pipeline.looks import LookBudget
from pi_detector.telemetry.host import names_of, read_throttling
from pi_detector.telemetry.sensors import ROOT, cpu_celsius
from pi_detector.util.rate_limit import RateLimit
from pi_detector.util.worker import Worker

log = logging.getLogger(__name__)

POLL_S = 1.0
WINDOW_S = 10.0
"""Of rates and latencies."""
_FEWEST = 5
"""Frames in the window, for a latency."""


class ControlLoop:
    """Runs the governor every second, on its own thread, because a sensor may hang.

    It sets the rate limit and the limit of looks itself; the owner of the detector applies threads
    and model.

    Args:
        settings: section `governor`.
        threads: interpreter threads at full speed.
        rate_limit: rate limit of the pipeline.
        live: whether the source is live; otherwise every frame counts, and nothing is governed.
        processed: returns the number of frames processed so far.
        publish: receives status records.
        changed: called when the level changes.
        looks: budget of looks of the pipeline; None = there are none to give up.
        root: the folder mounted as ``/``.

    Attributes:
        level: the current or next level. May be read from any thread.
    """

    def __init__(
        self,
        settings: GovernorSettings,
        threads: int,
        rate_limit: RateLimit,
        *,
        live: bool,
        processed: Callable[[], int],
        publish: Callable[[StatusRecord], None],
        changed: Callable[[], None],
        looks: LookBudget | None = None,
        root: Path = ROOT,
    ) -> None:
        self._settings, self._threads, self._rate_limit, self._live = (
            settings,
            threads,
            rate_limit,
            live,
        )
        self._processed, self._publish, self._changed = processed, publish, changed
        self._looks = looks or LookBudget()
        self._root = root
        self._governor = Governor(settings, threads)
        self._governing = threading.Lock()
        self._outage = Outage("governor", "control", publish)
        self._woken = threading.Event()
        self._stopping = False
        self._blind = False
        self._counted: tuple[float, int] | None = None
        self._busy_ms = 0.0
        self._worker: Worker | None = None
        self.level = Level(None, threads)

    @property
    def enabled(self) -> bool:
        """Whether anything is governed."""
        return self._settings.enabled and self._live

    def readings(self) -> GovernorReadings | None:
        """The level, for the performance record."""
        level = self.level
        if not self.enabled:
            return None
        return GovernorReadings(
            level.rungs, level.rate_fps, level.threads, level.small, level.looks
        )

    def start(self) -> None:
        """Begin."""
        if self._settings.enabled and not self._live:
            log.warning("governor: inactive because the source is not live and every frame counts")
        self._worker = Worker("governor", self._run)

    def apply(self, settings: GovernorSettings, threads: int) -> None:
        """Continue with other settings: at the current level, or from the top with other threads.

        Args:
            settings: section `governor`.
            threads: interpreter threads at full speed.
        """
        with self._governing:
            self._blind &= settings == self._settings
            self._settings = settings
            if threads == self._threads and self.enabled:
                self._governor.apply(settings)
            else:
                self._threads, self._governor = threads, Governor(settings, threads)
                self._set(Level(None, threads, reason="changed settings"))
        self._woken.set()

    def stop(self, deadline: float) -> None:
        """End.

        Args:
            deadline: monotonic seconds; a sensor that hangs for longer is left alone.

        Raises what ended the thread before.
        """
        self._stopping = True
        self._woken.set()
        if self._worker is not None:
            self._worker.finish(deadline)

    def _run(self) -> None:
        while not self._stopping:
            wait_s = max(POLL_S, self._outage.left_s)
            self._woken.wait(wait_s if self.enabled or self._outage.down else None)
            self._woken.clear()
            if not self._stopping:
                with self._outage.contain():
                    self._step()

    def _step(self) -> None:
        if not self.enabled:
            self._counted = None
            return
        now_s = time.monotonic()
        reading = self._read(now_s)
        with self._governing:
            if self.enabled:
                self._set(self._governor.decide(reading, now_s))

    def _read(self, now_s: float) -> Reading:
        celsius = cpu_celsius(self._root)
        throttling, _ = read_throttling(self._root)
        if celsius is None and self._settings.temperature_celsius and not self._blind:
            self._blind = True
            log.warning(
                "governor: no temperature sensor on this device; the temperature target is ignored"
            )
        costs = self._rate_limit.costs(round((now_s - WINDOW_S) * 1e9))
        latency_ms = None
        if len(costs) >= _FEWEST:
            latency_ms = statistics.quantiles([cost.latency_ms for cost in costs], n=10)[-1]
        if costs:
            self._busy_ms = statistics.median(cost.busy_ms for cost in costs)
        return Reading(
            full_fps=self._full_fps(now_s),
            celsius=celsius,
            latency_ms=latency_ms,
            # Undervoltage is not heat; if it caps the clock, that has a flag of its own.
            throttled=", ".join(names_of(msgspec.structs.replace(throttling, under_voltage=None))),
            looks=self._looks.full,
        )

    def _full_fps(self, now_s: float) -> float:
        """What the camera gives since the last reading, or the detector can do, if that is less."""
        count = self._processed()
        before, self._counted = self._counted, (now_s, count)
        if before is None or not self._busy_ms:
            return 0.0
        given = (count - before[1]) / max(now_s - before[0], 1e-3)
        return min(given, 1000 / self._busy_ms)

    def _set(self, level: Level) -> None:
        before, self.level = self.level, level
        if level == before:
            return
        self._rate_limit.rate_fps = level.rate_fps
        self._looks.limit = level.looks
        words = _words(level)
        state: State = "failed" if level.missed else "limited" if level.rungs else "live"
        log.log(
            logging.WARNING if level.missed else logging.INFO,
            "governor: %s",
            words,
            extra={"DETECTOR_EVENT": f"governor_{state}"},
        )
        self._publish(status_record("governor", "speed", state, reason=words))
        self._changed()


def _words(level: Level) -> str:
    words = "full speed"
    if level.rungs:
        rate = "all frames" if level.rate_fps is None else f"{level.rate_fps:g} frames/s"
        model = ", the smaller model" if level.small else ""
        looks = "" if level.looks is None else f", looks {level.looks}"
        words = f"{rate}{looks}, threads {level.threads}{model}"
    if level.missed:
        words += f"; target missed with nothing left to lower: {', '.join(level.missed)}"
    return f"{words} ({level.reason})" if level.reason else words


def model_at(settings: Settings, level: Level) -> ModelSettings:
    """Which model runs at a level, and how."""
    model = msgspec.structs.replace(settings.model, threads=level.threads)
    if not level.small:
        return model
    path = settings.governor.model
    labels = model.labels if takes_labels(path) else ""
    return msgspec.structs.replace(model, path=path, labels=labels)


def check_smaller_model(settings: Settings, bundle: Bundle) -> None:
    """See that the governor's model, where there is one, can take the place of the other.

    Raises:
        ConfigError: its labels are others.
        PiDetectorError: it cannot be read.
    """
    if not (settings.governor.enabled and settings.governor.model):
        return
    smaller = load_model(model_at(settings, Level(None, 1, small=True)))
    if smaller.labels != bundle.labels:
        raise ConfigError(
            f"governor.model: {smaller.name} has other labels than {bundle.name}; use a model with "
            "the same labels"
        )
