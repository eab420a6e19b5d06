"""Checks of the folders and files that are written: they can be, and their disk has room."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pi_detector.cli.findings import Finding, Level, fail, ok, warn
from pi_detector.errors import PiDetectorError, SinkError
from pi_detector.telemetry.sensors import free_mb
from pi_detector.util.paths import collected_folder, output_path, state_folder

if TYPE_CHECKING:
    from pi_detector.config.settings import Settings

_LEAST_MB = 50


def output_findings(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Check what the settings have written, but for the recordings."""
    output, metrics = settings.output, settings.metrics
    folders = {"output.log": output.log, "output.snapshots": output.snapshots}
    files = {
        "output.video": output.video,
        "output.socket": output.socket,
        "metrics.textfile": metrics.textfile,
    }
    for name, text in (folders | files).items():
        if not text:
            continue
        try:
            path = output_path(text)
        except SinkError as error:
            yield unnamed(name, text, error)
        else:
            yield writable(name, path.parent if name in files else path)
    if settings.mqtt.host:
        try:
            yield writable("mqtt.queue", state_folder(settings.mqtt.queue, environ))
        except SinkError as error:
            yield unnamed("mqtt.queue", settings.mqtt.queue, error)
    if settings.collect.enabled:
        try:
            yield writable("collect.path", collected_folder(settings.collect.path, environ))
        except SinkError as error:
            yield unnamed("collect.path", settings.collect.path, error)


def unnamed(name: str, text: str, error: PiDetectorError) -> Finding:
    """A path that cannot be made out here, though maybe where systemd sets the variables."""
    if "_DIRECTORY" in text:
        return warn(
            name,
            f"{text}: a variable of the service, not set in this shell",
            f"see 'systemctl show pi-detector', or write {name} in full",
        )
    return Finding(Level.FAIL, name, str(error))


def writable(what: str, folder: Path) -> Finding:
    """Whether a folder can be written, or made where it does not exist yet.

    Args:
        what: the setting that names it.
        folder: the folder.
    """
    there = nearest(folder)
    if not there.is_dir():
        return fail(what, f"{there} is a file, not a folder", f"remove it, or change {what}")
    if os.statvfs(there).f_flag & os.ST_RDONLY:
        return fail(
            what,
            f"{folder}: the file system is read-only",
            "mount it for writing ('dmesg' shows the reason), or set another folder",
        )
    if not os.access(there, os.W_OK | os.X_OK):
        return warn(
            what,
            f"{folder}: not writable by this user, which only matters if no service writes there",
            "sudo -u pi-detector pi-detector doctor",
        )
    free = free_mb(there)
    if free is not None and free < _LEAST_MB:
        return fail(what, f"{folder}: {free} MB free", "free some space, or set another folder")
    return ok(what, f"{folder} is writable")


def nearest(folder: Path) -> Path:
    """The folder, or the one nearest above it that exists."""
    return next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
