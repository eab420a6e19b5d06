"""Log files to tables: each line is decoded once, and what a report needs of it is kept."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
from numpy.typing import NDArray

from pi_detector.core.readings import StageLatencies
from pi_detector.core.records import PerformanceRecord, StatusRecord, UtcTime
from pi_detector.report.logs import Damage, LogFile, lines_of

STAGES = ("preprocess", "invoke", "decode", "latency")
CONDITIONS = ("under_voltage", "frequency_capped", "throttled", "soft_temperature_limit")

_ROWS_A_BATCH = 20_000
_PLACE = ("device", "file", "line", "t", "mono", "sync")
_COLUMNS = {
    "performance": (
        *_PLACE, "interval_s", "captured", "processed", "inferred", "replaced", "invoke_p50",
        "celsius", "mhz", *CONDITIONS, "up_s", "memory_mb", "disk_mb", "wifi_dbm", "cpu_percent",
        "rss_mb", "chunk",
    ),
    "status": (*_PLACE, "part", "name", "state", "lost"),
    "events": (*_PLACE, "phase", "label"),
    "unseen": ("device", "file", "line", "output", "n"),
    "stages": ("device", "file", "chunk", "line", "stage", "n", "sum_ms", "max_ms"),
    "buckets": ("device", "file", "chunk", "stage", "i", "n"),
}  # fmt: skip
"""Tables and their columns. ``t`` is the wall clock in seconds since 1970, ``mono`` the monotonic
one in seconds."""
TABLES = tuple(_COLUMNS)
_TEXTS = frozenset({"part", "name", "state", "phase", "label", "output"})


class _Event(msgspec.Struct, tag="event", tag_field="type"):
    """What a report needs of an event."""

    phase: str
    label: str
    time: UtcTime
    clock_synchronized: bool
    monotonic_ns: int


class _Detections(msgspec.Struct, tag="detections", tag_field="type"):
    """The record of a frame is counted only."""


class _Any(msgspec.Struct):
    """Any record of any version."""

    type: str
    version: int = 0


_decode = msgspec.json.Decoder(PerformanceRecord | StatusRecord | _Event | _Detections).decode
_decode_any = msgspec.json.Decoder(_Any).decode
_KNOWN = {"performance", "status", "event", "detections"}


@dataclass(frozen=True, slots=True)
class Job:
    """A file to read.

    Attributes:
        log: the file.
        device: stands for its device in the tables.
        number: of the file; those of a device are in the order in which they were written.
        cuts: moments at which a period begins or ends, seconds since 1970.
        chunk_s: histograms of records are added up in steps of so many seconds.
        out: folder of the tables.
    """

    log: LogFile
    device: int
    number: int
    cuts: tuple[float, ...]
    chunk_s: int
    out: Path


@dataclass(slots=True)
class Scanned:
    """What was in a file.

    Attributes:
        records: how many, by type.
        damage: what could not be read.
    """

    records: Counter[str] = field(default_factory=Counter)
    damage: Damage = field(default_factory=Damage)


def scan(job: Job) -> Scanned:
    """Read a file, and write the tables of what is in it as Parquet files."""
    found = Scanned()
    tables = _Tables(job)
    for line, (text, is_whole) in enumerate(lines_of(job.log.path, found.damage)):
        try:
            record = _decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            kind = _kind_of_other(text)
            if kind is not None:
                found.records[kind] += 1
            elif is_whole:
                found.damage.lines += 1
            else:
                found.damage.half_lines += 1
            continue
        found.records[str(record.__struct_config__.tag)] += 1
        tables.add(record, line)
    tables.close()
    return found


def _kind_of_other(text: bytes) -> str | None:
    """The type of a record that this version does not know; None for what is no record."""
    try:
        other = _decode_any(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    is_known = other.type in _KNOWN and other.version == 1
    return None if is_known else f"{other.type}, version {other.version}"


class _Tables:
    """Rows that wait, and the files that they go to."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._device, self._number = job.device, job.number
        self._written = 0
        self._database = duckdb.connect(config={"threads": 1})
        self._rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in _COLUMNS}
        self._chunk, self._chunk_line = 0, 0
        self._chunk_key: tuple[float, int, bool] | None = None
        self._stages: dict[int, list[float]] = {}
        self._buckets: dict[int, defaultdict[int, int]] = {}

    def add(
        self, record: PerformanceRecord | StatusRecord | _Event | _Detections, line: int
    ) -> None:
        if isinstance(record, _Detections):
            return
        place = (
            self._device, self._number, line, record.time.timestamp(),
            record.monotonic_ns / 1e9, record.clock_synchronized,
        )  # fmt: skip
        match record:
            case PerformanceRecord():
                self._add_performance(record, place)
            case StatusRecord():
                row = (record.part, record.name, record.state, record.lost)
                self._rows["status"].append((*place, *row))
            case _Event():
                self._rows["events"].append((*place, record.phase, record.label))

    def _add_performance(self, record: PerformanceRecord, place: tuple[Any, ...]) -> None:
        line, moment = place[2], place[3]
        self._choose_chunk(moment, record.clock_synchronized, line)
        self._add_stages(record.stages_ms)
        host, process, frames = record.host, record.process, record.frames
        invoke = record.stages_ms.invoke
        now = host.throttling
        self._rows["performance"].append(
            (
                *place, record.interval_s, frames.captured, frames.processed, frames.inferred,
                frames.replaced, invoke and invoke.p50, host.temperature_celsius, host.cpu_mhz,
                *(getattr(now, name) for name in CONDITIONS), process.uptime_s,
                host.memory_available_mb, host.disk_free_mb, host.wifi_dbm, process.cpu_percent,
                process.rss_mb, self._chunk,
            )
        )  # fmt: skip
        for output, n in frames.unseen.items():
            if n:
                self._rows["unseen"].append((self._device, self._number, line, output, n))
        if len(self._rows["performance"]) >= _ROWS_A_BATCH:
            self._write()

    def _choose_chunk(self, moment: float, synchronized: bool, line: int) -> None:
        """Begin a new chunk where records may belong to another period or time."""
        side = sum(moment >= cut for cut in self._job.cuts)
        key = (moment // self._job.chunk_s, side, synchronized)
        if key != self._chunk_key:
            self._end_chunk()
            self._chunk, self._chunk_key, self._chunk_line = self._chunk + 1, key, line

    def _add_stages(self, stages: StageLatencies) -> None:
        for number, name in enumerate(STAGES):
            summary = getattr(stages, name)
            if summary is None:
                continue
            total = self._stages.setdefault(number, [0, 0.0, 0.0])
            total[0] += summary.count
            total[1] += summary.count * summary.mean
            total[2] = max(total[2], summary.max)
            counts = self._buckets.setdefault(number, defaultdict(int))
            for index, count in summary.buckets:
                counts[index] += count

    def _end_chunk(self) -> None:
        place = (self._device, self._number, self._chunk)
        for stage, (n, sum_ms, max_ms) in self._stages.items():
            self._rows["stages"].append((*place, self._chunk_line, stage, n, sum_ms, max_ms))
            self._rows["buckets"] += [
                (*place, stage, index, count) for index, count in self._buckets[stage].items()
            ]
        self._stages, self._buckets = {}, {}

    def close(self) -> None:
        self._end_chunk()
        self._write()
        self._database.close()

    def _write(self) -> None:
        for table, rows in self._rows.items():
            if not rows:
                continue
            columns = _columns(table, rows)  # which DuckDB finds by its name
            chosen = ", ".join(
                name if name in _TEXTS else f"nullif({name}, 'NaN'::double) as {name}"
                for name in columns
            )
            path = self._job.out / table / f"{self._number:08d}-{self._written:06d}.parquet"
            self._database.execute(
                f"copy (select {chosen} from columns) to '{path}' (format parquet)"
            )
            rows.clear()
        self._written += 1


def _columns(table: str, rows: list[tuple[Any, ...]]) -> dict[str, NDArray[Any]]:
    """Rows as columns; None becomes NaN in those of numbers."""
    return {
        name: np.array(values, dtype=object if name in _TEXTS else np.float64)
        for name, values in zip(_COLUMNS[table], zip(*rows, strict=True), strict=True)
    }


def write_empty_tables(out: Path) -> None:
    """Make each table exist, without rows."""
    with duckdb.connect() as database:
        for table, names in _COLUMNS.items():
            (out / table).mkdir()
            columns = ", ".join(
                f"null::{'varchar' if name in _TEXTS else 'double'} as {name}" for name in names
            )
            database.execute(
                f"copy (select {columns} limit 0) to '{out / table}/empty.parquet' (format parquet)"
            )
