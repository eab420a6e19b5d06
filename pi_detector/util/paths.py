"""Where files lie: the one rule for the state of a run, its recordings, and paths of settings.

A service keeps all in the folder that systemd gives it (``STATE_DIRECTORY``); a command by hand in
the folders of the XDG base directory specification. A setting that names a path comes first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pi_detector.errors import SinkError

SERVICE_STATE = Path("/var/lib/pi-detector")
"""The state folder of the service, for commands by hand."""
_NAME = "pi-detector"


def output_path(text: str) -> Path:
    """The path that a setting names.

    ``~`` is the home folder, and ``$NAME`` an environment variable, such as the ``STATE_DIRECTORY``
    and ``LOGS_DIRECTORY`` of a systemd service.

    Raises:
        SinkError: there is no such folder or variable.
    """
    expanded = os.path.expandvars(text)
    if "$" in expanded:
        raise SinkError(f"{text}: no such environment variable; set it, or write the path in full")
    try:
        return Path(expanded).expanduser()
    except RuntimeError as error:
        raise SinkError(f"{text}: no such home folder; write the path without '~'") from error


def state_home(environ: Mapping[str, str]) -> Path | None:
    """The folder of what must survive a restart; None without a home folder."""
    return service_state(environ) or _xdg(environ, "XDG_STATE_HOME", ".local/state")


def state_folder(path: str, environ: Mapping[str, str]) -> Path:
    """The folder of what must survive a restart, which a setting may name.

    Args:
        path: the setting; empty for none.
        environ: environment variables.

    Raises:
        SinkError: the setting names a home folder that does not exist, or there is none.
    """
    if path:
        return output_path(path)
    return state_home(environ) or output_path("~/.local/state") / _NAME


def recordings_folder(path: str, environ: Mapping[str, str]) -> Path:
    """The folder of recordings: they are data of a user, and state of a service.

    Args:
        path: the setting ``recording.path``; empty for none.
        environ: environment variables.

    Raises:
        SinkError: the setting names a home folder that does not exist, or there is none.
    """
    if path:
        return output_path(path)
    folder = service_state(environ) or _xdg(environ, "XDG_DATA_HOME", ".local/share")
    return (folder or output_path("~/.local/share") / _NAME) / "recordings"


def collected_folder(path: str, environ: Mapping[str, str]) -> Path:
    """The folder of collected frames, beside that of the recordings.

    Args:
        path: the setting ``collect.path``; empty for none.
        environ: environment variables.

    Raises:
        SinkError: the setting names a home folder that does not exist, or there is none.
    """
    return output_path(path) if path else recordings_folder("", environ).with_name("collected")


def service_state(environ: Mapping[str, str]) -> Path | None:
    """The state folder that systemd gave this process; None outside of a service."""
    # A service with several state folders has them separated by colons.
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(given) if given else None


def with_service(environ: Mapping[str, str]) -> Mapping[str, str]:
    """An environment in which a command by hand finds the state of the service, if there is one."""
    if service_state(environ) is not None or not SERVICE_STATE.is_dir():
        return environ
    return {**environ, "STATE_DIRECTORY": str(SERVICE_STATE)}


def _xdg(environ: Mapping[str, str], variable: str, default: str) -> Path | None:
    if base := environ.get(variable):
        return Path(base, _NAME)
    home = environ.get("HOME")
    return Path(home, default, _NAME) if home else None
