"""Resource use of this process: processor time by thread, memory.

Source: proc_pid_stat(5), proc_pid_statm(5), proc_tid_children(5), proc_uptime(5).
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pi_detector.core.readings import ProcessReadings
from pi_detector.telemetry.sensors import ROOT, first_number, read_text

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Where utime, the 14th field, stands behind the name, the 2nd.
_UTIME = 11
_START_TIME = 19
_MAIN_THREAD = "detect"
_OTHER_THREADS = "other"


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Processor time used since the start, in seconds.

    Attributes:
        process_s: by the process, its threads that ended included; None where /proc is not there.
        threads_s: by the threads that live, by their number.
    """

    process_s: float | None = None
    threads_s: Mapping[int, float] = field(default_factory=dict)


def cpu_times(root: Path = ROOT) -> CpuTimes:
    """The processor time of this process, to 10 ms."""
    process = root / "proc/self"
    threads = {}
    for folder in (process / "task").glob("*"):
        used_s = _cpu_s(folder / "stat")
        if used_s is not None:
            threads[int(folder.name)] = used_s
    return CpuTimes(_cpu_s(process / "stat"), threads)


def read_process(
    before: CpuTimes, now: CpuTimes, seconds: float, root: Path = ROOT
) -> ProcessReadings:
    """What the process used between two moments.

    Args:
        before: of ``cpu_times``, at the first moment.
        now: at the second.
        seconds: between them.
        root: the folder that stands for ``/``.
    """
    cpu_percent = None
    if before.process_s is not None and now.process_s is not None:
        cpu_percent = _percent(now.process_s - before.process_s, seconds)
    return ProcessReadings(
        cpu_percent=cpu_percent,
        threads_cpu_percent=_by_name(before.threads_s, now.threads_s, seconds),
        rss_mb=_rss_mb(root / "proc/self"),
        children_rss_mb=_children_rss_mb(root),
        uptime_s=_uptime_s(root),
    )


def _by_name(
    before: Mapping[int, float], now: Mapping[int, float], seconds: float
) -> dict[str, float]:
    """Percent of a core by name of thread; threads that are not Python's (the runtime's) together.

    Python 3.14 is the first to pass the names of its threads to the kernel; before, /proc lacks
    them.
    """
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    main = threading.main_thread().native_id
    used: dict[str, float] = defaultdict(float)
    for number, used_s in now.items():
        name = _MAIN_THREAD if number == main else names.get(number, _OTHER_THREADS)
        used[name] += used_s - before.get(number, 0.0)
    return {name: _percent(used_s, seconds) for name, used_s in sorted(used.items())}


def _percent(used_s: float, seconds: float) -> float:
    return round(100 * max(0.0, used_s) / seconds, 1)


def _cpu_s(stat: Path) -> float | None:
    # The name, in parentheses, may hold spaces and parentheses.
    fields = (read_text(stat) or "").rpartition(")")[2].split()
    try:
        return (int(fields[_UTIME]) + int(fields[_UTIME + 1])) / _TICKS_PER_S
    except (IndexError, ValueError):  # no such file, or a thread that ended meanwhile
        return None


def _uptime_s(root: Path) -> float | None:
    fields = (read_text(root / "proc/self/stat") or "").rpartition(")")[2].split()
    now_s = first_number(root / "proc/uptime")
    if now_s is None or len(fields) <= _START_TIME:
        return None
    return round(now_s - int(fields[_START_TIME]) / _TICKS_PER_S, 1)


def _rss_mb(process: Path) -> float | None:
    try:
        pages = int((read_text(process / "statm") or "").split()[1])
    except (IndexError, ValueError):
        return None
    return round(pages * _PAGE_BYTES / 1e6, 1)


def _children_rss_mb(root: Path) -> float | None:
    """Memory of the processes that this one started; None where the kernel does not list them."""
    lists = [read_text(file) for file in (root / "proc/self/task").glob("*/children")]
    if not lists:
        return None
    sizes = (_rss_mb(root / "proc" / pid) for pid in _words(lists))
    return round(sum(size for size in sizes if size is not None), 1)


def _words(texts: list[str | None]) -> Iterator[str]:
    for text in texts:
        yield from (text or "").split()
