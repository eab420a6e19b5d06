"""Metrics: what is counted, what has no sample, both formats, the file of them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus
from waiting import until

from pi_detector.config.settings import RecoverySettings
from pi_detector.core.clock import utc_now
from pi_detector.core.frame import Frame
from pi_detector.core.geometry import Detections
from pi_detector.core.readings import (
    FrameFlow,
    HostReadings,
    ProcessReadings,
    StageLatencies,
    ThrottlingFlags,
)
from pi_detector.core.records import PerformanceRecord, StatusRecord, status_record
from pi_detector.core.result import Result, Timings
from pi_detector.errors import SinkError
from pi_detector.sinks.supervised import SupervisedSink
from pi_detector.sinks.textfile import TextfileSink
from pi_detector.telemetry.metrics import MOST_LABELS, Metrics
from pi_detector.telemetry.monitor import FlowTotals, RunState

LABELS = {1: "person", 3: "car"}
NOTHING = HostReadings(
    *(None, None, None), ThrottlingFlags(), ThrottlingFlags(), *(None, None, None, None, None)
)
PI = HostReadings(
    temperature_celsius=61.5,
    cpu_mhz=1800.0,
    cpu_governor="ondemand",
    throttling=ThrottlingFlags(False, False, True, None),
    throttling_ever=ThrottlingFlags(True, False, True, None),
    load_1m=1.25,
    memory_available_mb=512.0,
    disk_free_mb=2000,
    wifi_dbm=-61,
    uptime_s=3600.0,
)
# A loaded machine is no failure.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# They change between two readings.
OF_THE_LIBRARY = {
    f"pi_detector_process_{name}"
    for name in ("cpu_seconds_total", "resident_memory_bytes", "virtual_memory_bytes", "open_fds")
}

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def state(**changes: object) -> RunState:
    flow = FlowTotals(100, 90, 9, {"stdout": 4, "log": 0})
    known = {
        "flow": flow,
        "source": "demo",
        "source_live": True,
        "model": "street",
        "runtime": "litert",
        "readings_interval_s": 60.0,
    }
    return RunState(**{**known, **changes})  # type: ignore[arg-type]


def metrics(detector: str = "", **changes: object) -> Metrics:
    return Metrics(detector, lambda: state(**changes))


def result(*class_ids: int, labels: dict[int, str] = LABELS, inferred: bool = True) -> Result:
    frame = Frame(np.zeros((8, 8, 3), np.uint8), 0, time.monotonic_ns(), utc_now(), "demo")
    found = Detections(
        np.zeros((len(class_ids), 4), np.float32),
        np.ones(len(class_ids), np.float32),
        np.array(class_ids, np.int64),
    )
    return Result(frame, found, labels, Timings(0.4, 70.0, 1.5, 180.0), inferred=inferred)


def performance(host: HostReadings, age_s: float = 0.0) -> PerformanceRecord:
    return PerformanceRecord(
        reason="interval",
        source="demo",
        time=utc_now(),
        clock_synchronized=True,
        monotonic_ns=time.monotonic_ns() - int(age_s * 1e9),
        interval_s=60.0,
        fps_in=1.0,
        fps_out=1.0,
        frames=FrameFlow(0, 0, 0, 0, {}),
        stages_ms=StageLatencies(None, None, None, None),
        host=host,
        process=ProcessReadings(None, {}, None, 25.0),
    )


def samples(one: Metrics) -> Samples:
    """All samples, after both formats were read and found to say the same."""
    body, content_type = one.exposition()
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")
    new, old = (
        {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in read(text.decode())
            for sample in family.samples
            if sample.name not in OF_THE_LIBRARY
        }
        for read, text in ((openmetrics, body), (prometheus, one.text()))
    )
    assert new == old
    return new


def value(one: Metrics, name: str, **labels: str) -> float | None:
    return samples(one).get((f"pi_detector_{name}", tuple(sorted(labels.items()))))


def test_frames_and_what_is_found_in_them() -> None:
    one = metrics()
    one.handle(result(1, 1, 3))
    one.handle(result(inferred=False))
    assert value(one, "frames_captured_total") == 100
    assert value(one, "frames_processed_total") == 90
    assert value(one, "frames_dropped_total") == 9
    assert value(one, "frames_inferred_total") == 1
    assert value(one, "detections_total", label="person") == 2
    assert value(one, "detections_total", label="car") == 1
    assert value(one, "events_total", label="car", phase="new") == 0


def test_latencies_in_seconds() -> None:
    one = metrics()
    one.handle(result())
    one.handle(result(inferred=False))
    assert value(one, "stage_duration_seconds_sum", stage="invoke") == pytest.approx(0.07)
    assert value(one, "stage_duration_seconds_count", stage="invoke") == 1
    assert value(one, "stage_duration_seconds_count", stage="preprocess") == 2
    assert value(one, "stage_duration_seconds_bucket", stage="invoke", le="0.05") == 0
    assert value(one, "stage_duration_seconds_bucket", stage="invoke", le="0.075") == 1
    assert value(one, "latency_seconds_sum") == pytest.approx(0.36)


def test_labels_are_bounded() -> None:
    one = metrics()
    many = {number: f"label {number}" for number in range(MOST_LABELS + 50)}
    one.handle(result(0, MOST_LABELS, MOST_LABELS + 49, 7777, labels=many))
    kept = [labels for name, labels in samples(one) if name == "pi_detector_detections_total"]
    assert len(kept) == MOST_LABELS + 1
    assert value(one, "detections_total", label="other") == 3
    assert value(one, "detections_total", label="label 0") == 1


@unhurried
@given(st.text(), st.text(), st.text(min_size=1))
def test_labels_may_hold_anything(source: str, label: str, detector: str) -> None:
    one = metrics(detector, source=source)
    one.handle(result(1, labels={1: label}))
    assert value(one, "detections_total", label=label, detector=detector) == 1
    assert value(one, "source_up", source=source, detector=detector) == 1


def test_names_that_are_not_utf8() -> None:
    name = os.fsdecode(b"images:caf\xe9")
    one = metrics(name, source=name, model=name)
    assert value(one, "source_up", source="images:caf\\udce9", detector="images:caf\\udce9") == 1


def test_a_source_that_came_back() -> None:
    one = metrics(source_live=False)
    for to in ("live", "stalled", "reopening", "live", "reopening", "live"):
        one.handle(status_record("source", "demo", to))
    assert value(one, "source_reopenings_total") == 2
    assert value(one, "source_up", source="demo") == 0


@pytest.mark.parametrize("end", ["live", "stopped"])
def test_an_output_that_failed(end: str) -> None:
    one = metrics()
    assert value(one, "output_up", output="log") == 1
    one.handle(status_record("sink", "log", "failed", reason="full", retry_s=1.0))
    assert value(one, "output_up", output="log") == 0
    assert value(one, "output_up", output="stdout") == 1
    one.handle(status_record("sink", "log", end, lost=12))  # type: ignore[arg-type]
    assert value(one, "output_up", output="log") == 1
    assert value(one, "output_dropped_total", output="log", reason="failed") == 12
    assert value(one, "output_dropped_total", output="stdout", reason="slow") == 4


def test_readings_in_base_units() -> None:
    one = metrics()
    one.handle(performance(PI))
    seen = {
        name.removeprefix("pi_detector_host_"): number
        for (name, labels), number in samples(one).items()
        if name.startswith("pi_detector_host_") and not labels
    }
    assert seen == {
        "temperature_celsius": 61.5,
        "frequency_hertz": 1.8e9,
        "load1": 1.25,
        "memory_available_bytes": 5.12e8,
        "disk_free_bytes": 2e9,
        "wifi_signal_dbm": -61,
        "uptime_seconds": 3600,
    }
    assert value(one, "process_children_resident_memory_bytes") == 2.5e7
    assert value(one, "host_throttling", condition="throttled") == 1
    assert value(one, "host_throttling", condition="under_voltage") == 0
    assert value(one, "host_throttling_ever", condition="under_voltage") == 1
    assert value(one, "host_throttling", condition="soft_temperature_limit") is None


def test_a_sensor_that_is_not_there_has_no_sample() -> None:
    one = metrics()
    assert not any("_host_" in name for name, _ in samples(one))
    one.handle(performance(NOTHING))
    assert not any("_host_" in name for name, _ in samples(one))


@pytest.mark.parametrize(("age_s", "shown"), [(140, True), (160, False)])
def test_readings_that_are_overdue_are_not_shown(age_s: float, shown: bool) -> None:
    one = metrics()
    one.handle(performance(PI, age_s))
    assert (value(one, "host_temperature_celsius") is not None) == shown


def test_a_name_is_on_every_sample() -> None:
    one = metrics("front door")
    one.handle(result(1))
    one.handle(performance(PI))
    assert all(("detector", "front door") in labels for _, labels in samples(one))
    assert b'process_cpu_seconds_total{detector="front door"}' in one.text()


def test_it_can_be_read_while_it_counts() -> None:
    one, done = metrics(), threading.Event()
    broken: list[BaseException] = []

    def read() -> None:
        while not done.is_set():
            try:
                list(openmetrics(one.exposition()[0].decode()))
            except BaseException as error:  # noqa: BLE001 - handed to the test
                broken.append(error)
                return

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(300):
        one.handle(result(1, labels={1: f"label {number % 90}"}))
    done.set()
    reader.join()
    assert broken == []
    assert value(one, "frames_inferred_total") == 300


def test_the_library_is_not_imported_without_need() -> None:
    code = (
        "import sys, threading\n"
        "from pi_detector.config.settings import Settings, SourceSettings\n"
        "from pi_detector.daemon.service import Service\n"
        "service = Service(lambda: Settings(source=SourceSettings(uri='demo:')), {})\n"
        "service.run(threading.Event(), max_frames=1)\n"
        "assert service._sink_set.exposition is None\n"
        "print([name for name in sys.modules if name.startswith('prometheus')], file=sys.stderr)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr.splitlines()[-1] == "[]"


class Filed:
    """A sink that writes a file, and what it reports."""

    def __init__(self, folder: Path, interval_s: float = 0.02) -> None:
        self.path = folder / "pi-detector.prom"
        self.reports: list[StatusRecord] = []
        self.writes = 0
        recovery = RecoverySettings(first_delay_s=0.02, longest_delay_s=0.04)
        sink = TextfileSink(self.path, interval_s, self._text)
        self.sink = SupervisedSink(sink, recovery, self.reports.append)

    def _text(self) -> bytes:
        self.writes += 1
        return b"metrics %d\n" % self.writes

    def wait_for(self, condition: Callable[[], object]) -> None:
        until(lambda: self.sink.handle(result()) in (True, False) and condition())


def test_the_file_is_there_at_once_goes_on_and_ends(tmp_path: Path) -> None:
    one = Filed(tmp_path)
    one.sink.start()
    assert one.path.read_bytes().startswith(b"metrics ")
    assert stat.S_IMODE(one.path.stat().st_mode) == 0o644
    one.wait_for(lambda: one.writes > 3)
    one.sink.close()
    assert list(tmp_path.iterdir()) == []
    assert one.reports == []


def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    one = Filed(tmp_path / "missing")
    with pytest.raises(SinkError, match="missing: cannot write: No such file"):
        one.sink.start()


def test_a_folder_that_goes_away_is_made_again(tmp_path: Path) -> None:
    folder, blocked = tmp_path / "run", tmp_path / "aside"
    folder.mkdir()
    one = Filed(folder)
    one.sink.start()
    one.wait_for(lambda: one.writes > 2)
    folder.rename(blocked)
    folder.write_text("no folder")
    one.wait_for(lambda: one.reports)
    assert [report.state for report in one.reports] == ["failed"]
    folder.unlink()
    one.wait_for(lambda: len(one.reports) == 2)
    assert one.path.exists()
    one.sink.close()
    assert [(report.name, report.state) for report in one.reports] == [
        ("textfile", "failed"),
        ("textfile", "live"),
    ]


def test_a_fault_of_the_thread_is_not_swallowed(tmp_path: Path) -> None:
    texts = iter([b"metrics\n"])
    sink = TextfileSink(tmp_path / "a.prom", 0.01, lambda: next(texts))
    sink.start()
    with pytest.raises(StopIteration):
        until(lambda: sink.handle(result()) and False)
    sink.close()
