"""Performance records made by hand, for tests of reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pi_detector.core.readings import (
    FrameFlow,
    HostReadings,
    ProcessReadings,
    StageLatencies,
    ThrottlingFlags,
)
from pi_detector.core.records import PerformanceRecord, Record, encode
from pi_detector.telemetry.histogram import Histogram
from pi_detector.telemetry.meter import summary_of

START = datetime(2026, 11, 1, tzinfo=UTC)
BOOTED_S = -1000.0


def performance(
    at_s: float,
    *,
    interval_s: float = 60.0,
    booted_s: float = BOOTED_S,
    started_s: float = BOOTED_S + 10,
    wrong_s: float = 0.0,
    synchronized: bool = True,
    throttling: ThrottlingFlags | None = None,
    invoke_ms: Sequence[float] = (10.0,),
    replaced: int = 0,
    unseen: dict[str, int] | None = None,
    celsius: float | None = 50.0,
) -> PerformanceRecord:
    """A record, ``at_s`` seconds after START, by a clock that is ``wrong_s`` ahead."""
    histogram = Histogram()
    for value in invoke_ms:
        histogram.add(value)
    count = histogram.count
    invoke = summary_of(histogram)
    return PerformanceRecord(
        reason="interval",
        source="demo",
        time=START + timedelta(seconds=at_s + wrong_s),
        clock_synchronized=synchronized,
        monotonic_ns=round((at_s - booted_s) * 1e9),
        interval_s=interval_s,
        fps_in=(count + replaced) / interval_s,
        fps_out=count / interval_s,
        frames=FrameFlow(count + replaced, count, count, replaced, unseen or {}),
        stages_ms=StageLatencies(None, invoke, None, invoke),
        host=HostReadings(
            temperature_celsius=celsius,
            cpu_mhz=1800.0 if celsius else None,
            cpu_governor=None,
            throttling=throttling or ThrottlingFlags(),
            throttling_ever=ThrottlingFlags(),
            load_1m=1.0,
            memory_available_mb=1000.0,
            disk_free_mb=5000,
            wifi_dbm=None,
            uptime_s=at_s - booted_s,
        ),
        process=ProcessReadings(100.0, {}, 90.0, None, at_s - started_s),
    )


def write_log(path: Path, records: Iterable[Record]) -> Path:
    """Write records to a file, whose folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(map(encode, records)))
    return path
