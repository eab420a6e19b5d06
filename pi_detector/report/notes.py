"""What in a report deserves attention, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pi_detector.report.content import Report, Summary

HOT_CELSIUS = 75.0
LITTLE_COVERAGE = 0.98
MANY_REPLACED = 0.10
MANY_BOOTS_A_DAY = 0.5
LITTLE_DISK_MB = 1000.0
UNSYNCHRONIZED_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Note:
    """Something that is not as it should be, and where: the worst places first."""

    what: str
    where: list[str]


def notes(report: Report) -> list[Note]:
    """What is not as it should be; a note a kind."""
    found = []
    for kind in _KINDS:
        met = [
            (weight, f"{summary.name} ({words})")
            for summary in report.devices
            for weight, words in kind.find(summary)
        ]
        if met:
            met.sort(key=lambda pair: -pair[0])
            found.append(Note(kind.what, [words for _, words in met]))
    files = report.files
    if files.damaged_lines or files.half_lines:
        found.append(
            Note(
                "Lines that are not records were skipped",
                [f"{files.damaged_lines} damaged, {files.half_lines} cut off"],
            )
        )
    if files.faults:
        where = [f"{path} ({why})" for path, why in files.faults.items()]
        found.append(Note("Files that could only be read in part", where))
    return found


def duration(seconds: float) -> str:
    """A length of time in its two largest units, as in '3 d 4 h'."""
    rest = round(seconds)
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append((count, unit, size))
    if not parts:
        return "0 s"
    largest = parts[0][2]
    # Beside days, minutes do not matter.
    kept = [f"{count} {unit}" for count, unit, size in parts[:2] if size * 61 > largest]
    return " ".join(kept)


Findings = Iterator[tuple[float, str]]
"""How bad it is, and what to say; at most one."""


def _under_voltage(summary: Summary) -> Findings:
    return _met(summary, "under_voltage")


def _throttled(summary: Summary) -> Findings:
    return _met(summary, "throttled")


def _met(summary: Summary, condition: str) -> Findings:
    met = summary.throttling.get(condition)
    if met is not None and met.episodes:
        times = "once" if met.episodes == 1 else f"{met.episodes} times"
        yield met.share, f"{times}, {duration(met.total_s)}, {_percent(met.share)} of the time"


def _hot(summary: Summary) -> Findings:
    celsius = summary.sensors.celsius_max
    if celsius is not None and celsius >= HOT_CELSIUS:
        yield celsius, f"{celsius:.0f} °C"


def _boots(summary: Summary) -> Findings:
    days = max((summary.covered_s + summary.silent_s) / 86400, 1e-9)
    if summary.reboots >= 2 and summary.reboots / days >= MANY_BOOTS_A_DAY:
        yield summary.reboots / days, f"{summary.reboots} times in {days:.1f} days"


def _silent(summary: Summary) -> Findings:
    missing = 1 - summary.coverage
    if missing > 1 - LITTLE_COVERAGE:
        yield missing, f"{duration(summary.silent_s)}, {_percent(missing)} of the time"


def _replaced(summary: Summary) -> Findings:
    share = summary.replaced_share
    if share >= MANY_REPLACED:
        yield share, f"{summary.fps_in:.1f} frames/s in, {summary.fps_out:.1f} out"


def _unsynchronized(summary: Summary) -> Findings:
    seconds = summary.unsynchronized_s
    if seconds and seconds >= UNSYNCHRONIZED_SHARE * summary.covered_s:
        yield seconds, duration(seconds)


def _full(summary: Summary) -> Findings:
    free_mb = summary.sensors.disk_mb_min
    if free_mb is not None and free_mb < LITTLE_DISK_MB:
        yield -free_mb, f"{free_mb:.0f} MB"


@dataclass(frozen=True, slots=True)
class _Kind:
    what: str
    find: Callable[[Summary], Findings]


_KINDS = (
    _Kind("Under-voltage: a stronger power supply or a shorter cable helps", _under_voltage),
    _Kind("Throttled by heat", _throttled),
    _Kind("Hot: a heat sink, a fan or shade helps", _hot),
    _Kind("Booted often", _boots),
    _Kind("Without records", _silent),
    _Kind("The model is much slower than the camera", _replaced),
    _Kind("Clock not synchronized, so times may be wrong: check that a time server is reachable",
          _unsynchronized),
    _Kind("Disk nearly full, at some time", _full),
)  # fmt: skip


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"
