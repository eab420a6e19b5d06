"""Turns what libraries write to stderr into log messages.

FFmpeg, OpenCV, libjpeg and TFLite print lines in their own formats, FFmpeg including the addresses
that it opens with passwords, and sometimes one line per frame.
"""

from __future__ import annotations

import logging
import time
from collections import deque

from pi_detector.util.uri import redact_within

_LONGEST_LINE = 500
# Cut only beyond this: half an address would not be recognised as one.
_LONGEST_REST = 16 * 1024
_PERIOD_S = 10.0
_LINES_A_PERIOD = 20
_KEPT = 3


class RawLines:
    """Logs lines at level debug, without secrets, and no more than a few in ten seconds.

    Args:
        log: takes the messages.
        name: of what writes, which each message begins with.
    """

    def __init__(self, log: logging.Logger, name: str) -> None:
        self._log = log
        self._name = name
        self._rest = b""
        self._period_s = 0.0
        self._count = 0
        self._kept: deque[str] = deque(maxlen=_KEPT)

    @property
    def last(self) -> str:
        """The last line, without secrets; empty where there was none."""
        return self._kept[-1] if self._kept else ""

    def feed(self, data: bytes) -> None:
        """Take what was written."""
        *lines, self._rest = (self._rest + data).splitlines(keepends=True) or [b""]
        if self._rest.endswith((b"\n", b"\r")) or len(self._rest) > _LONGEST_REST:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._take(line)

    def flush(self) -> None:
        """Take the last line also without its end: nothing follows."""
        self._take(self._rest)
        self._rest = b""

    def _take(self, line: bytes) -> None:
        text = redact_text(line.decode("utf-8", "replace")).strip()[:_LONGEST_LINE]
        if not text:
            return
        self._kept.append(text)
        now_s = time.monotonic()
        if now_s - self._period_s > _PERIOD_S:
            if self._count > _LINES_A_PERIOD:
                self._log.debug("%s: %d further lines", self._name, self._count - _LINES_A_PERIOD)
            self._period_s, self._count = now_s, 0
        self._count += 1
        if self._count <= _LINES_A_PERIOD:
            self._log.log(_level(text), "%s: %s", self._name, text)


def redact_text(text: str) -> str:
    """A text without the secrets of the addresses in it, and without control characters."""
    shown = redact_within(text)
    return "".join(char if char.isprintable() else " " for char in shown)


def _level(text: str) -> int:
    # TFLite's errors say more than the exception that follows them.
    return logging.WARNING if text.startswith(("ERROR:", "FATAL:")) else logging.DEBUG
