"""Whatever raises whatever, wherever: detection continues, it is told once, it is over."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from failing import Broker, Run, settings_in
from waiting import until

from pi_detector.core import outage
from pi_detector.core.records import EventRecord
from pi_detector.core.result import Result
from pi_detector.daemon import service as service_module
from pi_detector.daemon.health import Health
from pi_detector.daemon.service import Service
from pi_detector.events.stage import EventStage
from pi_detector.governor import control
from pi_detector.governor.control import ControlLoop
from pi_detector.pipeline.counters import Counters
from pi_detector.sinks.collect.sink import CollectSink
from pi_detector.sinks.log import RecordLogSink
from pi_detector.sinks.mqtt.link import Link
from pi_detector.sinks.mqtt.publisher import Publisher
from pi_detector.sinks.mqtt.sink import MqttSink
from pi_detector.sinks.notify.sink import NotifySink
from pi_detector.sinks.recordings.encoder import Encoder
from pi_detector.sinks.recordings.retention import Retention
from pi_detector.sinks.recordings.sink import RecordingSink
from pi_detector.sinks.snapshots import SnapshotSink
from pi_detector.sinks.socket_lines import SocketSink
from pi_detector.sinks.textfile import TextfileSink
from pi_detector.sinks.video import VideoSink
from pi_detector.sinks.web.sink import WebSink
from pi_detector.sources.demo import DemoSource
from pi_detector.telemetry import monitor
from pi_detector.telemetry.meter import Meter
from pi_detector.telemetry.metrics import Metrics
from pi_detector.util.backoff import Backoff

ERRORS: dict[str, Callable[[], Exception]] = {
    "no thread": lambda: RuntimeError("can't start new thread"),
    "no descriptor": lambda: OSError(errno.EMFILE, "Too many open files"),
    "no memory": MemoryError,
    "a fault": lambda: KeyError("who wrote this"),
}


@pytest.fixture(scope="module")
def patched() -> Iterator[None]:
    """Delays for those who cannot wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outage, "Backoff", lambda *_: Backoff(0.02, 0.1))
        patch.setattr(service_module, "TICK_S", 0.02)
        patch.setattr(control, "POLL_S", 0.02)
        patch.setattr(monitor, "THROTTLING_POLL_S", 0.02)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, patched: None) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("run")
    broker = Broker()
    one = Run(settings_in(folder, broker), broker)
    one.start()
    yield one
    one.end()


@dataclass
class Fault:
    """A function that raises instead of being called, while it is told to."""

    error: Callable[[], Exception] | None = None

    def put_in(self, patch: pytest.MonkeyPatch, owner: type, name: str) -> Fault:
        original = getattr(owner, name)

        def call(*args: Any, **options: Any) -> Any:
            if self.error is not None:
                raise self.error()
            return original(*args, **options)

        patch.setattr(owner, name, call)
        return self


SINKS: dict[str, type] = {
    "snapshots": SnapshotSink,
    "log": RecordLogSink,
    "video": VideoSink,
    "socket": SocketSink,
    "recordings": RecordingSink,
    "collect": CollectSink,
    "metrics": Metrics,
    "meter": Meter,
    "textfile": TextfileSink,
    "mqtt": MqttSink,
    "notify": NotifySink,
    "web": WebSink,
}
# Part and name of the status records, and what fails.
CALLS: list[tuple[str, str, type, str]] = [
    *(("sink", name, kind, "handle") for name, kind in SINKS.items()),
    ("sink", "textfile", TextfileSink, "_write"),
    ("sink", "socket", SocketSink, "_attend"),
    ("sink", "recordings", Encoder, "encode"),
    ("sink", "recordings", Retention, "make_room"),
    ("sink", "mqtt", Publisher, "_exchange"),
    ("sink", "mqtt", Link, "open"),
    ("sink", "web", uvicorn.Server, "on_tick"),
    ("events", "events", EventStage, "process"),
    ("telemetry", "telemetry", monitor.PerformanceMonitor, "_tell"),
    ("telemetry", "telemetry", monitor.PerformanceMonitor, "_throttling"),
    ("governor", "control", ControlLoop, "_read"),
    ("service", "service", Health, "update"),
    ("service", "service", Service, "_govern"),
    ("source", "demo", DemoSource, "read"),
]


@contextmanager
def reached(run: Run, call: str) -> Iterator[None]:
    """See to it that a call is made that waits for others."""
    if call == "open":
        run.broker.hang_up()
    if call != "_attend":
        yield
        return
    with socket.socket(socket.AF_UNIX) as reader:
        reader.connect(run.settings.output.socket)
        yield


@pytest.mark.parametrize(
    ("part", "name", "owner", "call"), CALLS, ids=[f"{c[2].__name__}.{c[3]}" for c in CALLS]
)
def test_a_part_that_raises_fails_alone_and_recovers(
    run: Run,
    part: str,
    name: str,
    owner: type,
    call: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fault = Fault().put_in(monkeypatch, owner, call)
    down = "reopening" if part == "source" else "failed"
    for error in ERRORS.values():
        caplog.clear()
        since = len(run.published)
        fault.error = error
        with reached(run, call):
            told = run.wait_for(part, name, down, since, type(error()).__name__)
        assert told.retry_s is not None
        if part != "source":
            run.goes_on()
        fault.error = None
        run.wait_for(part, name, "live", run.published.index(told))
        # A broker or a page is there for a moment before it fails again.
        if part != "source" and name not in ("mqtt", "web"):
            assert run.states(part, name, since) == ["failed", "live"]
        traced = [each for each in caplog.records if each.exc_info and each.exc_info[0]]
        assert [each.exc_info[0] for each in traced if each.exc_info] == [type(error())]


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_sinks_that_cannot_be_started_recover(
    error: Callable[[], Exception],
    tmp_path: Path,
    patched: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    faults = [Fault(error).put_in(monkeypatch, kind, "start") for kind in SINKS.values()]
    broker = Broker()
    run = Run(settings_in(tmp_path, broker), broker)
    run.start()
    for name in SINKS:
        run.wait_for("sink", name, "failed", 0, type(error()).__name__)
    run.goes_on()
    for fault in faults:
        fault.error = None
    for name in SINKS:
        run.wait_for("sink", name, "live", 0)
    run.goes_on()
    assert isinstance(run.end(), Counters)
    assert sum(bool(each.exc_info) for each in caplog.records) == len(SINKS), "one traceback each"


def test_parts_that_cannot_be_closed_are_logged_and_the_others_closed(
    tmp_path: Path,
    patched: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = Broker()
    run = Run(settings_in(tmp_path, broker), broker)
    run.start()
    until(lambda: any(isinstance(item, EventRecord) for item in run.published))
    for kind in SINKS.values():
        Fault(ERRORS["no memory"]).put_in(monkeypatch, kind, "close")
    Fault(ERRORS["a fault"]).put_in(monkeypatch, EventStage, "interrupt")
    assert isinstance(run.end(), Counters)
    failed = {getattr(each, "DETECTOR_SINK", None) for each in caplog.records if each.exc_info}
    assert failed >= set(SINKS)
    events = [item for item in run.published if isinstance(item, EventRecord)]
    ids = {event.id for event in events}
    assert ids == {event.id for event in events if event.phase == "end"}, "all have ended"


def test_events_of_a_stage_that_fails_end_and_the_next_ones_are_others(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def events(since: int) -> list[EventRecord]:
        return [item for item in run.published[since:] if isinstance(item, EventRecord)]

    fault = Fault().put_in(monkeypatch, EventStage, "process")
    feed = run.service._pipeline._publishing.feed
    until(lambda: feed is not None and feed._open)
    since = len(run.published)
    fault.error = ERRORS["a fault"]
    run.wait_for("events", "events", "failed", since)
    until(lambda: any(event.reason == "failed" for event in events(since)))
    told = len(run.published)
    run.goes_on()
    results = [item for item in run.published[told:] if isinstance(item, Result)]
    assert {result.detections.track_id is None for result in results} == {True}
    assert all((result.detections.score >= 0.3).all() for result in results), "no weak ones"
    fault.error = None
    run.wait_for("events", "events", "live", since)
    until(lambda: [event for event in events(told) if event.phase == "new"])
    ended = {event.track_id for event in events(since) if event.reason == "failed"}
    assert not ended & {event.track_id for event in events(told) if event.phase == "new"}
