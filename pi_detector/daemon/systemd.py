"""Messages to the service manager, through systemd-python.

Source: sd_notify(3), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping

from pi_detector.errors import DependencyMissingError
from pi_detector.util.installation import how_to_install
from pi_detector.util.text import one_line
from pi_detector.util.uri import redact_within

log = logging.getLogger(__name__)


class Notifier:
    """Notifies systemd of the state of the service; does nothing without a service manager.

    Args:
        environ: environment variables; ``NOTIFY_SOCKET`` names the listener and ``WATCHDOG_USEC``
            its patience.

    Attributes:
        watchdog_s: the service is killed if it says nothing for this long; None where nobody
            watches.

    Raises:
        DependencyMissingError: systemd listens, and systemd-python is not installed.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._send = _sender() if environ.get("NOTIFY_SOCKET") else None
        self.watchdog_s = _watchdog_s(environ) if self._send else None
        self._status = ""

    @property
    def listening(self) -> bool:
        """Whether a service manager listens."""
        return self._send is not None

    def ready(self) -> None:
        """The service works, or continues after a reload."""
        self._notify("READY=1")

    def alive(self) -> None:
        """The service makes progress."""
        self._notify("WATCHDOG=1")

    def status(self, words: str) -> None:
        """How the service is, in a line for humans (``systemctl status`` shows it)."""
        words = one_line(redact_within(words))  # a line break would begin another message
        if words != self._status:
            self._status = words
            self._notify(f"STATUS={words}")

    def reloading(self) -> None:
        """Settings are read again; ``ready`` ends that."""
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._notify(f"RELOADING=1\nMONOTONIC_USEC={now_us}")

    def stopping(self) -> None:
        """The service ends."""
        self._notify("STOPPING=1")

    def _notify(self, message: str) -> None:
        if self._send is None:
            return
        try:
            self._send(message)
        except OSError as error:  # a restarting manager must not end what it manages
            log.warning("cannot notify the service manager of %r: %s", message, error.strerror)


def _sender() -> Callable[[str], object]:
    try:
        from systemd.daemon import notify
    except ImportError as error:
        raise DependencyMissingError(
            "NOTIFY_SOCKET is set, but systemd's Python package is not installed; to install it: "
            f"{how_to_install('systemd')}"
        ) from error
    send: Callable[[str], object] = notify
    return send


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    text, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not text.isdigit() or (pid and pid != str(os.getpid())):
        return None
    return int(text) / 1e6 or None
