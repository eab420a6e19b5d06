"""The tables of a report: on disk, in DuckDB, so that years of records fit into any memory."""

from __future__ import annotations

import math
import multiprocessing
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb

from pi_detector.report import scan
from pi_detector.report.content import Files
from pi_detector.report.logs import LogFile

GAP_S = 120.0
GAP_INTERVALS = 2.0
"""A time without records counts as a gap beyond the longer of these."""
CLOCK_STEP_S = 2.0
_CHUNK_S = 900
_SHORT_CHUNK_S = 60
_SHORT_BYTES = 32_000_000
_MEMORY = "400MB"


@dataclass(frozen=True, slots=True)
class Period:
    """A span of time, in seconds since 1970; the end is not in it."""

    since: float = -math.inf
    until: float = math.inf


class Store:
    """The tables, and questions to them.

    Attributes:
        devices: their names; tables hold the position in it.
        files: what was read.
        periods: the report's, and the one that it is compared with.
        chunk_s: the time that a histogram in the tables is about.
    """

    def __init__(self, folder: Path, logs: Sequence[LogFile], periods: Sequence[Period]) -> None:
        """Read all logs.

        Args:
            folder: empty; for the tables.
            logs: in the order in which they were written.
            periods: none of which overlaps another.
        """
        self.periods = tuple(periods)
        self.devices = sorted({log.device for log in logs})
        size = sum(log.path.stat().st_size for log in logs)
        self.chunk_s = _SHORT_CHUNK_S if size < _SHORT_BYTES else _CHUNK_S
        scan.write_empty_tables(folder)
        self.files = self._scan(folder, logs, periods)
        self._database = duckdb.connect(folder / "report.duckdb")
        for name, value in (
            ("memory_limit", _MEMORY),
            ("temp_directory", str(folder)),
            ("preserve_insertion_order", "false"),
            ("threads", str(_processes())),
        ):
            self._database.execute(f"set {name} = '{value}'")
        self._define(folder, periods)
        for statement in (files(__package__) / "findings.sql").read_text("utf-8").split(";\n"):
            if statement.strip():
                self._database.execute(statement)

    def close(self) -> None:
        """Let go of the tables."""
        self._database.close()

    def rows(self, query: str, **values: object) -> list[dict[str, Any]]:
        """The rows that a query gives; ``$name`` in it stands for a value."""
        found = self._database.execute(query, values)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def _scan(self, folder: Path, logs: Sequence[LogFile], periods: Sequence[Period]) -> Files:
        """Read the files, several at a time."""
        numbers = {name: number for number, name in enumerate(self.devices)}
        cuts = tuple(cut for period in periods for cut in (period.since, period.until))
        records: Counter[str] = Counter()
        lines = half = 0
        faults = {}
        jobs = [
            scan.Job(log, numbers[log.device], number, cuts, self.chunk_s, folder)
            for number, log in enumerate(logs)
        ]
        for log, found in zip(logs, _all(jobs), strict=True):
            records += found.records
            lines += found.damage.lines
            half += found.damage.half_lines
            if found.damage.fault is not None:
                faults[str(log.path)] = found.damage.fault
        return Files(len(logs), dict(sorted(records.items())), lines, half, faults)

    def _define(self, folder: Path, periods: Sequence[Period]) -> None:
        for table in scan.TABLES:
            self._database.execute(
                f"create view {table} as from read_parquet('{folder / table}/*.parquet')"
            )
        cases = " ".join(
            f"when m >= '{period.since}'::double and m < '{period.until}'::double then {number}"
            for number, period in enumerate(periods)
        )
        self._database.execute(f"create macro period_of(m) as case {cases} else -1 end")
        for name, value in (
            ("gap_s", GAP_S),
            ("gap_intervals", GAP_INTERVALS),
            ("step_s", CLOCK_STEP_S),
        ):
            self._database.execute(f"set variable {name} = {value}")


def _all(jobs: Sequence[scan.Job]) -> list[scan.Scanned]:
    """The results of all jobs, in order; on all processors."""
    if len(jobs) == 1 or _processes() == 1:
        return [scan.scan(job) for job in jobs]
    # A thread of a library may hold a lock at a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(_processes(), mp_context=context) as pool:
        return list(pool.map(scan.scan, jobs))


def _processes() -> int:
    return len(os.sched_getaffinity(0))
