"""The page of a first run: served to this device only, without a setting."""

from __future__ import annotations

import importlib.util
import socket
import sys
from collections.abc import Mapping

from pi_detector.config.outputs import WebSettings
from pi_detector.config.settings import Settings

_PACKAGES = ("h11", "starlette", "uvicorn")  # of the extra `web`
_FIRST_PORT = WebSettings().port
_PORTS = 10
_LOOPBACK = "127.0.0.1"

Beneath = Mapping[str, Mapping[str, object]]


def first_page(settings: Settings) -> Beneath | None:
    """The settings, instead of the defaults, that serve the page; None where it is not to be.

    A run at a terminal in a checkout serves it, to programs and browsers of this device, where no
    setting says anything about the page. The port is the first free one from the usual one on.

    Args:
        settings: of the run.
    """
    from pi_detector.sinks.terminal import is_terminal
    from pi_detector.util.installation import in_checkout

    if settings.web != WebSettings() or not is_terminal(sys.stdout):
        return None
    if not all(importlib.util.find_spec(package) for package in _PACKAGES) or not in_checkout():
        return None
    port = _free_port()
    return None if port is None else {"web": {"enabled": True, "host": _LOOPBACK, "port": port}}


def _free_port() -> int | None:
    for port in range(_FIRST_PORT, _FIRST_PORT + _PORTS):
        try:
            socket.create_server((_LOOPBACK, port)).close()
        except OSError:
            continue
        return port
    return None
