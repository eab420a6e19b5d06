"""The performance record: made at intervals, and at once when throttling changes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from pi_detector.config.outputs import TelemetrySettings
from pi_detector.core.clock import clock_synchronized, utc_now
from pi_detector.core.outage import Outage
from pi_detector.core.readings import FrameFlow, GovernorReadings, ThrottlingFlags
from pi_detector.core.records import PerformanceRecord, StatusRecord
from pi_detector.telemetry.host import names_of, read_host, read_throttling
from pi_detector.telemetry.meter import Meter
from pi_detector.telemetry.process import CpuTimes, cpu_times, read_process
from pi_detector.telemetry.sensors import ROOT
from pi_detector.util.worker import Worker

log = logging.getLogger(__name__)

THROTTLING_POLL_S = 2.0
"""The kernel asks the firmware this often."""
THROTTLING_PAUSE_S = 10.0
"""Between records that are made at once: a limit that is just reached comes and goes."""


@dataclass(frozen=True, slots=True)
class FlowTotals:
    """Frames since the start of the run.

    Attributes:
        captured: read from the source.
        processed: published.
        replaced: by a newer one, before detection.
        unseen: by a slow sink, by its name; may begin at 0 again.
    """

    captured: int = 0
    processed: int = 0
    replaced: int = 0
    unseen: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunState:
    """What is asked of a run when its metrics are read.

    Attributes:
        flow: totals of frames.
        source: its name.
        source_live: whether it delivers frames.
        model: name of the model.
        runtime: what runs the model.
        readings_interval_s: a performance record comes in this time; 0 for none.
    """

    flow: FlowTotals
    source: str
    source_live: bool
    model: str
    runtime: str
    readings_interval_s: float


@dataclass(frozen=True, slots=True)
class _Begin:
    """Where the last record left off."""

    at_s: float
    flow: FlowTotals
    cpu: CpuTimes


class PerformanceMonitor:
    """Makes performance records, on a thread of its own: a sensor may hang.

    Args:
        settings: how often.
        source: returns the name of the source.
        flow: returns the totals of the run; called from the monitor's thread.
        publish: takes the records, and status records; called from the monitor's thread.
        root: the folder that stands for ``/``.
        folder: returns the folder in which files grow.
        governor: returns the current level; called from the monitor's thread.

    A failure of its own is retried, and published as status records of the part ``telemetry``.

    Attributes:
        meter: the sink whose timings the records summarize.
    """

    def __init__(
        self,
        settings: TelemetrySettings,
        source: Callable[[], str],
        flow: Callable[[], FlowTotals],
        publish: Callable[[PerformanceRecord | StatusRecord], None],
        root: Path = ROOT,
        *,
        folder: Callable[[], Path],
        governor: Callable[[], GovernorReadings | None] = lambda: None,
    ) -> None:
        self.meter = Meter()
        self._interval_s = settings.interval_s
        self._source = source
        self._flow = flow
        self._publish = publish
        self._root = root
        self._folder = folder
        self._governor = governor
        self._woken = threading.Event()
        self._stopping = False
        self._outage = Outage("telemetry", "telemetry", publish)
        self._begun: _Begin | None = None
        self._known: ThrottlingFlags | None = None
        self._told_s = -THROTTLING_PAUSE_S
        self._ever = ThrottlingFlags()
        self._worker: Worker | None = None

    def start(self) -> None:
        """Begin."""
        self._worker = Worker("telemetry", self._run)

    def apply(self, settings: TelemetrySettings) -> None:
        """Make records as often as these settings say, from now on."""
        self._interval_s = settings.interval_s
        self._woken.set()

    def stop(self, deadline: float) -> None:
        """End.

        Args:
            deadline: monotonic seconds; a sensor that hangs for longer is left alone.

        Raises what ended the thread before.
        """
        self._stopping = True
        self._woken.set()
        if self._worker is not None and not self._worker.finish(deadline):
            log.warning("a sensor of this device does not respond")

    def _run(self) -> None:
        while not self._stopping:
            with self._outage.contain():
                self._step()
            self._wait()

    def _step(self) -> None:
        """Make a record where one is due."""
        now, _ = self._throttling()
        now_s = time.monotonic()
        if self._begun is None or self._interval_s == 0:
            self._begun, self._known = self._begin(), now
            self.meter.take()
        elif now != self._known and now_s - self._told_s >= THROTTLING_PAUSE_S:
            log.warning(
                "throttling now: %s",
                ", ".join(names_of(now)) or "none",
                extra={"DETECTOR_EVENT": "throttling"},
            )
            self._begun = self._tell("throttling", self._begun)
            self._told_s, self._known = now_s, now
        elif now_s - self._begun.at_s >= self._interval_s:
            self._begun, self._known = self._tell("interval", self._begun), now

    def _wait(self) -> None:
        """Until there may be something to do."""
        left_s: float | None = self._outage.left_s
        if not left_s:
            left_s = None
            if self._interval_s and self._begun is not None:
                due_s = self._begun.at_s + self._interval_s - time.monotonic()
                left_s = min(THROTTLING_POLL_S, max(0.0, due_s))
        self._woken.wait(left_s)
        self._woken.clear()

    def _begin(self) -> _Begin:
        return _Begin(time.monotonic(), self._flow(), cpu_times(self._root))

    def _throttling(self) -> tuple[ThrottlingFlags, ThrottlingFlags]:
        """What slows the processor now, and what ever did."""
        now, lately = read_throttling(self._root)
        self._ever = either(self._ever, either(now, lately))
        return now, self._ever

    def _tell(self, reason: Literal["interval", "throttling"], begin: _Begin) -> _Begin:
        end = self._begin()
        seconds = max(end.at_s - begin.at_s, 1e-3)
        stages, looks = self.meter.take_all()
        flow = difference(begin.flow, end.flow, stages.invoke.count if stages.invoke else 0)
        host = read_host(self._root, self._folder())
        self._publish(
            PerformanceRecord(
                reason=reason,
                source=self._source(),
                time=utc_now(),
                clock_synchronized=clock_synchronized(),
                monotonic_ns=time.monotonic_ns(),
                interval_s=round(seconds, 3),
                fps_in=round(flow.captured / seconds, 2),
                fps_out=round(flow.processed / seconds, 2),
                frames=flow,
                stages_ms=stages,
                host=msgspec.structs.replace(
                    host, throttling_ever=either(self._ever, host.throttling_ever)
                ),
                process=read_process(begin.cpu, end.cpu, seconds, self._root),
                governor=self._governor(),
                looks=looks,
            )
        )
        return end


def difference(before: FlowTotals, now: FlowTotals, inferred: int) -> FrameFlow:
    """The frames of an interval.

    Args:
        before: totals at its begin.
        now: totals at its end.
        inferred: frames of it that went through the model.
    """
    unseen = {}
    for sink, total in now.unseen.items():
        earlier = before.unseen.get(sink, 0)
        unseen[sink] = total - earlier if total >= earlier else total
    return FrameFlow(
        captured=now.captured - before.captured,
        processed=now.processed - before.processed,
        inferred=inferred,
        replaced=now.replaced - before.replaced,
        unseen=unseen,
    )


def either(one: ThrottlingFlags, other: ThrottlingFlags) -> ThrottlingFlags:
    """Conditions met in either; None if neither reports them."""

    def met(first: bool | None, second: bool | None) -> bool | None:
        return second if first is None else first or bool(second)

    return ThrottlingFlags(
        under_voltage=met(one.under_voltage, other.under_voltage),
        frequency_capped=met(one.frequency_capped, other.frequency_capped),
        throttled=met(one.throttled, other.throttled),
        soft_temperature_limit=met(one.soft_temperature_limit, other.soft_temperature_limit),
    )
