"""Performance records of runs: valid, complete, kept, and made at once when throttling changes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import valid

from pi_detector.config.outputs import TelemetrySettings
from pi_detector.core.records import PerformanceRecord, StatusRecord, encode
from pi_detector.telemetry import monitor as monitor_module
from pi_detector.telemetry.histogram import Histogram
from pi_detector.telemetry.monitor import FlowTotals, PerformanceMonitor, difference

RUN = [sys.executable, "-m", "pi_detector", "run", "--source", "demo:"]
PATIENCE_S = 60.0


def performance_of(lines: bytes) -> list[dict[str, Any]]:
    return [record for record in valid.records(lines) if record["type"] == "performance"]


def run(*options: str) -> bytes:
    return subprocess.run([*RUN, *options], capture_output=True, timeout=100, check=True).stdout


def test_a_run_publishes_what_it_costs_and_logs_it(tmp_path: Path) -> None:
    out = run(
        "--frames=40", "--set=telemetry.interval_s=0.5", f"--set=output.log={tmp_path / 'log'}"
    )
    published = performance_of(out)
    assert published
    assert published == performance_of((tmp_path / "log/records-000001.jsonl").read_bytes())
    flows = [record["frames"] for record in published]
    assert 0 < sum(flow["processed"] for flow in flows) <= 40
    for record in published:
        flow = record["frames"]
        assert record["fps_out"] == pytest.approx(flow["processed"] / record["interval_s"], abs=0.1)
        assert flow["unseen"].keys() == {"events", "stdout", "log", "meter"}
        assert record["process"]["rss_mb"] > 20
    measured = [record["stages_ms"] for record in published if record["frames"]["inferred"]]
    assert measured
    for stages in measured:
        for summary in stages.values():
            assert sum(count for _, count in summary["buckets"]) == summary["count"]
            assert 0 < summary["p50"] <= summary["p90"] <= summary["p99"] <= summary["max"]
        assert stages["invoke"]["max"] <= stages["latency"]["max"]


def test_no_records_when_switched_off() -> None:
    assert performance_of(run("--frames=5", "--set=telemetry.interval_s=0")) == []


def test_the_invoke_times_of_a_log_can_be_merged() -> None:
    out = run("--frames=40", "--set=telemetry.interval_s=0.4")
    merged = Histogram()
    for record in performance_of(out):
        invoke = record["stages_ms"]["invoke"]
        if invoke:
            merged.merge(Histogram.from_buckets(invoke["buckets"], invoke["mean"], invoke["max"]))
    true = [
        record["timings_ms"]["invoke"]
        for record in map(json.loads, out.splitlines())
        if record["type"] == "detections"
    ]
    assert 0 < merged.count <= len(true)
    assert merged.max_ms <= max(true) * 1.001
    assert min(true) * 0.98 <= merged.quantile(0.5) <= max(true) * 1.02


def test_a_reload_switches_the_records_on(tmp_path: Path) -> None:
    config, out = tmp_path / "config.toml", tmp_path / "out"
    config.write_text("[telemetry]\ninterval_s = 0\n")
    with out.open("wb") as stdout:
        process = subprocess.Popen([*RUN, "--config", str(config)], stdout=stdout)
    end = time.monotonic() + PATIENCE_S
    try:
        while b"detections" not in out.read_bytes():
            assert time.monotonic() < end
            time.sleep(0.05)
        assert performance_of(whole_lines(out)) == []
        config.write_text("[telemetry]\ninterval_s = 0.3\n")
        process.send_signal(signal.SIGHUP)
        while not any(record["stages_ms"]["invoke"] for record in performance_of(whole_lines(out))):
            assert time.monotonic() < end
            time.sleep(0.05)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
    assert process.returncode == 0


def whole_lines(file: Path) -> bytes:
    return file.read_bytes().rpartition(b"\n")[0]


class Watched:
    """A monitor of a machine that a test makes."""

    def __init__(self, root: Path, interval_s: float) -> None:
        self.word = root / "sys/devices/platform/soc/soc:firmware/get_throttled"
        self.word.parent.mkdir(parents=True)
        self.word.write_text("0\n")
        self.records: list[PerformanceRecord | StatusRecord] = []
        self.flow = FlowTotals()
        self.monitor = PerformanceMonitor(
            TelemetrySettings(interval_s=interval_s),
            lambda: "demo",
            lambda: self.flow,
            self.records.append,
            root,
            folder=lambda: root,
        )

    def wait_for(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, self.records
            time.sleep(0.02)


def test_a_change_of_throttling_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor_module, "THROTTLING_POLL_S", 0.05)
    watched = Watched(tmp_path, interval_s=3600)
    watched.monitor.start()
    watched.wait_for(lambda: watched.monitor._begun)
    assert watched.records == []
    watched.word.write_text("4\n")
    watched.wait_for(lambda: watched.records)
    watched.word.write_text("0\n")
    time.sleep(0.3)
    watched.monitor.stop(time.monotonic() + PATIENCE_S)
    (record,) = watched.records  # the second change came too soon after the first one
    assert record.reason == "throttling"
    assert record.interval_s < 3600
    assert record.host.throttling.throttled is True
    assert record.host.throttling.under_voltage is False
    assert record.stages_ms.invoke is None
    valid.record(encode(record))


def test_what_was_is_remembered_although_the_kernel_forgets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor_module, "THROTTLING_POLL_S", 0.05)
    watched = Watched(tmp_path, interval_s=0.5)
    watched.monitor.start()
    watched.word.write_text("10000\n")
    watched.wait_for(lambda: watched.records)
    watched.word.write_text("0\n")
    seen = len(watched.records)
    watched.wait_for(lambda: len(watched.records) > seen + 1)
    watched.monitor.stop(time.monotonic() + PATIENCE_S)
    assert watched.records[-1].host.throttling.under_voltage is False
    assert watched.records[-1].host.throttling_ever.under_voltage is True


def test_the_interval_changes_in_a_running_machine(tmp_path: Path) -> None:
    watched = Watched(tmp_path, interval_s=0)
    watched.monitor.start()
    time.sleep(0.2)
    assert watched.records == []
    watched.monitor.apply(TelemetrySettings(interval_s=0.2))
    watched.wait_for(lambda: len(watched.records) >= 2)
    watched.monitor.apply(TelemetrySettings(interval_s=0))
    time.sleep(0.3)
    seen = len(watched.records)
    time.sleep(0.5)
    assert len(watched.records) == seen
    watched.monitor.stop(time.monotonic() + PATIENCE_S)


def test_a_fault_of_the_monitor_is_retried(tmp_path: Path) -> None:
    watched = Watched(tmp_path, interval_s=0.05)
    published = watched.records.append
    broken = threading.Event()
    broken.set()

    def publish(record: PerformanceRecord | StatusRecord) -> None:
        if broken.is_set() and isinstance(record, PerformanceRecord):
            raise ZeroDivisionError
        published(record)

    watched.monitor._publish = publish
    watched.monitor.start()
    watched.wait_for(lambda: watched.records)
    (failed,) = watched.records
    assert isinstance(failed, StatusRecord)
    assert (failed.part, failed.state) == ("telemetry", "failed")
    broken.clear()
    watched.wait_for(lambda: len(watched.records) > 2)
    watched.monitor.stop(time.monotonic() + PATIENCE_S)
    assert [record.state for record in watched.records if isinstance(record, StatusRecord)] == [
        "failed",
        "live",
    ]


def test_counters_of_a_replaced_sink_begin_at_zero() -> None:
    before = FlowTotals(100, 80, 20, {"log": 7, "stdout": 3})
    now = FlowTotals(130, 100, 29, {"log": 9, "stdout": 1, "mqtt": 4})
    flow = difference(before, now, 15)
    assert (flow.captured, flow.processed, flow.replaced, flow.inferred) == (30, 20, 9, 15)
    assert flow.unseen == {"log": 2, "stdout": 1, "mqtt": 4}
