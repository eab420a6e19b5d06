"""Checks of the recordings: encoder, folder, disk, index and limits."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from pi_detector.cli.doctor_folders import nearest, unnamed, writable
from pi_detector.cli.events import folder_of
from pi_detector.cli.findings import Finding, Level, fail, ok, warn
from pi_detector.config.outputs import RecordingSettings
from pi_detector.errors import PiDetectorError, RecordingNotFoundError, SinkError

_WHAT = "recordings"


def recordings(settings: RecordingSettings) -> Iterator[Finding]:
    """Check that events can be recorded as the settings ask; nothing if recording is off."""
    if not settings.enabled:
        return
    if settings.clips:
        yield _clips(settings)
    try:
        folder = folder_of(settings.path)
    except SinkError as error:
        yield unnamed("recording.path", settings.path, error)
        return
    yield writable(_WHAT, folder)
    yield from _disk(folder, settings)


def _clips(settings: RecordingSettings) -> Finding:
    from pi_detector.sinks.recordings.encoder import lacking, load_av

    lack = lacking(settings)
    if lack is not None:
        return Finding(Level.WARN, "clips", lack)
    return ok("clips", f"PyAV {load_av().__version__}")


def _disk(folder: Path, settings: RecordingSettings) -> Iterator[Finding]:
    """Check that this disk can meet the limits, given the protected recordings."""
    disk = shutil.disk_usage(nearest(folder))
    least_free = settings.min_free_mb * 1_000_000
    if disk.total - least_free < settings.largest_event_bytes:
        yield fail(
            _WHAT,
            f"the disk of {folder} has {_gb(disk.total)}: too small for one event with "
            f"recording.min_free_mb = {settings.min_free_mb} left free",
            "lower recording.min_free_mb, or set recording.path to a larger disk",
        )
        return
    if settings.max_gb * 1e9 > disk.total - least_free:
        yield warn(
            _WHAT,
            f"recording.max_gb = {settings.max_gb:g} exceeds the disk of {folder} "
            f"({_gb(disk.total)})",
            "lower it; until then recording.min_free_mb limits the recordings",
        )
    held = deletable = 0
    try:
        held, deletable = _sizes(folder)
    except RecordingNotFoundError:
        pass  # nothing has been recorded yet
    except PiDetectorError as error:
        yield Finding(Level.WARN, _WHAT, str(error))
    if settings.max_gb and held > settings.max_gb * 1e9:
        yield fail(
            _WHAT,
            f"protected and ongoing events take {_gb(held)}, more than recording.max_gb = "
            f"{settings.max_gb:g}: nothing more is recorded",
            "raise it, or unprotect some events with 'pi-detector events keep --off'",
        )
    if disk.free + deletable < least_free:
        yield fail(
            _WHAT,
            f"{_gb(disk.free)} free on the disk of {folder}, less than recording.min_free_mb = "
            f"{settings.min_free_mb} even without any recordings",
            "free space on the disk, or lower recording.min_free_mb",
        )


def _sizes(folder: Path) -> tuple[int, int]:
    """Bytes of the recordings that must not be deleted, and of the others."""
    from pi_detector.sinks.recordings.index import Index

    with closing(Index(folder)) as index:
        held = index.held_bytes()
        return held, index.total_bytes() - held


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
