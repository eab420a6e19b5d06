"""Checks of private data: secrets, and files that a run keeps."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pi_detector.cli.findings import Finding, Level, fail, ok, warn
from pi_detector.errors import ConfigError, NoPermissionError, PiDetectorError, SinkError

if TYPE_CHECKING:
    from pi_detector.config.settings import Settings

_MOST_FILES = 1000  # per folder; a file open to all is found among the first ones


def private_findings(
    settings: Settings, file: Path | None, environ: Mapping[str, str]
) -> Iterator[Finding]:
    """Check that secrets exist, and that others cannot read them or the files of a run.

    Args:
        settings: the settings of a run, with references to secrets.
        file: the settings file; None if there is none.
        environ: environment variables.
    """
    if file is not None:
        yield settings_file(file)
    yield from secrets(settings, environ)
    yield from open_folders(settings, environ)


def settings_file(file: Path) -> Finding:
    """Check that a settings file readable by all users contains no password."""
    from pi_detector.config.load import load_settings

    held = held_secrets(load_settings(file, {}, []))
    if held and readable_by_all(file):
        return warn(
            "settings file",
            f"all users of this device can read {file}, which contains {', '.join(held)}",
            f"chmod o= {file}, or use ${{secret:NAME}} and keep the secret in a separate file",
        )
    return ok(
        "settings file",
        "contains no secret" if not held else "readable by its owner and group only",
    )


def held_secrets(settings: Settings) -> list[str]:
    """Return the names of settings that contain a secret themselves, rather than its name."""
    from pi_detector.config.notify import shown_url
    from pi_detector.config.secrets import without_references
    from pi_detector.config.settings import CONFIDENTIAL
    from pi_detector.util.uri import holds_secret

    found = [
        f"{section}.{name}"
        for section, name in sorted(CONFIDENTIAL - {("mqtt", "username")})
        if without_references(getattr(getattr(settings, section), name))
    ]
    for name, rule in settings.notify.items():
        if any(shown_url(url) != url for url in rule.urls):
            found.append(f"notify.{name}.urls")
        if without_references(rule.secret):
            found.append(f"notify.{name}.secret")
    found += [
        f"web.cameras.{name}.token"
        for name, camera in settings.web.cameras.items()
        if without_references(camera.token)
    ]
    found += [
        f"source.{name}"
        for name in ("uri", "record_uri")
        if holds_secret(without_references(getattr(settings.source, name)))
    ]
    return found


def revealed(
    settings: Settings, environ: Mapping[str, str], section: str
) -> tuple[Settings | None, list[Finding]]:
    """The settings with the secrets of a section, for a check that uses them.

    Returns:
        None where this user cannot have them; and a finding, unless ``secrets`` has it.
    """
    from pi_detector.config.secrets import with_secrets

    try:
        return with_secrets(settings, environ, section=section), []
    except NoPermissionError:
        why = "a secret that this user may not read"
        return None, [warn(section, why, "run doctor with sudo")]
    except ConfigError:
        return None, []


def secrets(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Check that each ``${secret:NAME}`` that a run needs exists and is private."""
    from pi_detector.config.secrets import references, secret_folders, with_secrets

    for section in sorted(references(settings)):
        what = f"secrets of {section}"
        try:
            with_secrets(settings, environ, section=section)
        except NoPermissionError as error:  # systemd passes them to the service
            yield Finding(Level.WARN, what, str(error))
        except PiDetectorError as error:
            yield Finding(Level.FAIL, what, str(error))
        else:
            yield ok(what, "found")
    for folder in secret_folders(environ):
        if (shown := _open_file(folder)) is not None:
            yield fail(
                "secrets", f"all users of this device can read {shown}", f"chmod -R go= {folder}"
            )


def open_folders(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Check that drawn outlines, queued messages and recordings are private."""
    from pi_detector.util.paths import recordings_folder, state_folder

    folders = set()
    for path_of, named in (
        (state_folder, ""),
        (state_folder, settings.mqtt.queue),
        (recordings_folder, settings.recording.path),
    ):
        # Where it cannot be made out here, the checks of folders report that.
        with suppress(SinkError):
            folders.add(path_of(named, environ))
    for folder in sorted(folders):
        if (shown := _open_file(folder)) is not None:
            yield warn(
                "state", f"all users of this device can read {shown}", f"chmod -R o= {folder}"
            )


def readable_by_all(path: Path) -> bool:
    """Whether any user can read a file, by its mode and the modes of its folders."""
    try:
        resolved = path.resolve()
        return bool(resolved.stat().st_mode & stat.S_IROTH) and all(
            folder.stat().st_mode & stat.S_IXOTH for folder in resolved.parents
        )
    except OSError:
        return False


def _open_file(folder: Path) -> Path | None:
    """A file in a folder that all users can read; None if there is none or access is denied."""
    try:
        with os.scandir(folder) as entries:
            files = [
                Path(entry) for entry in itertools.islice(entries, _MOST_FILES) if entry.is_file()
            ]
    except OSError:
        return None
    return next(filter(readable_by_all, sorted(files)), None)
