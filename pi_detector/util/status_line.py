"""A status line at the bottom of a terminal, refreshed in place; log messages appear above it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

_ERASED = b"\r\x1b[K"
_COLUMNS = 80  # of a terminal that does not say


class StatusLine:
    """The line. A process has one terminal, and so at most one of these at a time.

    Args:
        stream: that goes to a terminal; bytes, as the layer above escapes what moves the cursor.

    Raises:
        OSError: the terminal is gone; from ``show`` too.
    """

    _active: StatusLine | None = None

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._text = ""
        self._lock = threading.RLock()
        StatusLine._active = self

    def show(self, text: str) -> None:
        """Show a text that has no control characters, cut to the width of the terminal."""
        with self._lock:
            self._text = text[: self._columns() - 1]
            self._stream.write(_ERASED + self._text.encode("utf-8", "backslashreplace"))
            self._stream.flush()

    def end(self) -> None:
        """Erase the line, for good."""
        with self._lock:
            if StatusLine._active is self:
                StatusLine._active = None
            self.show("")

    @classmethod
    @contextmanager
    def set_aside(cls) -> Iterator[None]:
        """Erase the line, if there is one, and show it again behind what is written meanwhile."""
        line = cls._active
        if line is None:
            yield
            return
        with line._lock:
            text = line._text
            line.show("")
            yield
            line.show(text)

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or _COLUMNS
        except (OSError, ValueError):
            return _COLUMNS
