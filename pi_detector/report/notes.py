"""What in a report deserves attention, in words."""

from __future__ import annotations

from collections.abc import Iterator

from pi_detector.report.content import Report, Summary

HOT_CELSIUS = 75.0
LITTLE_COVERAGE = 0.98
MANY_REPLACED = 0.10
MANY_BOOTS_A_DAY = 0.5
LITTLE_DISK_MB = 1000.0
_UNSYNCHRONIZED_SHARE = 0.05


def notes(report: Report) -> list[str]:
    """A sentence for each thing that is not as it should be; devices in order."""
    found = [note for summary in report.devices for note in _of_device(summary)]
    files = report.files
    if files.damaged_lines or files.half_lines:
        found.append(
            f"{files.damaged_lines} damaged and {files.half_lines} half lines were left out"
        )
    found += [f"{path}: read up to a fault: {why}" for path, why in files.faults.items()]
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


def _of_device(summary: Summary) -> Iterator[str]:
    name, sensors = summary.name, summary.sensors
    days = max((summary.covered_s + summary.silent_s) / 86400, 1e-9)
    yield from (f"{name}: {words}" for words in _throttling(summary))
    if sensors.celsius_max is not None and sensors.celsius_max >= HOT_CELSIUS:
        yield f"{name}: up to {sensors.celsius_max:.0f} °C: a heat sink, a fan or shade helps"
    if summary.reboots >= 2 and summary.reboots / days >= MANY_BOOTS_A_DAY:
        yield f"{name}: booted {summary.reboots} times in {days:.1f} days"
    if summary.coverage < LITTLE_COVERAGE:
        yield (
            f"{name}: no records for {duration(summary.silent_s)} in all, "
            f"{_percent(1 - summary.coverage)} of the time"
        )
    if summary.replaced_share >= MANY_REPLACED:
        yield (
            f"{name}: {_percent(summary.replaced_share)} of the frames came faster than the model "
            f"({summary.fps_in:.1f} in, {summary.fps_out:.1f} out a second)"
        )
    if summary.unsynchronized_s >= _UNSYNCHRONIZED_SHARE * summary.covered_s:
        yield (
            f"{name}: clock not synchronized for {duration(summary.unsynchronized_s)}: its times "
            "may be wrong; is a time server in reach?"
        )
    if sensors.disk_mb_min is not None and sensors.disk_mb_min < LITTLE_DISK_MB:
        yield f"{name}: only {sensors.disk_mb_min:.0f} MB were free on the disk"


def _throttling(summary: Summary) -> Iterator[str]:
    for condition, words, cure in (
        ("under_voltage", "under-voltage", ": a stronger power supply or a shorter cable"),
        ("throttled", "throttled by heat", ""),
        ("soft_temperature_limit", "at the soft temperature limit", ""),
    ):
        met = summary.throttling.get(condition)
        if met is not None and met.episodes:
            times = "once" if met.episodes == 1 else f"{met.episodes} times"
            yield (
                f"{words} {times}, for {duration(met.total_s)} in all "
                f"({_percent(met.share)} of the time){cure}"
            )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"
