"""Extracts complete JPEGs from a byte stream, whatever comes between them."""

from __future__ import annotations

import re

LONGEST_JPEG = 16 * 1024 * 1024
"""Bytes. What is longer is no picture of a camera."""

_BEGIN = b"\xff\xd8\xff"
_BEGIN_MARKER, _END_MARKER, _SCAN_MARKER = 0xD8, 0xD9, 0xDA
# Without a length behind them: restart markers, and one for arithmetic coding.
_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD8)})
# In the data of a scan a byte FF is followed by 00 where it is data, by a restart marker, or by
# another FF that pads.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


class TooLongError(Exception):
    """There is no end of a JPEG within what one may be long."""


class JpegScanner:
    """Finds the JPEGs in what a camera sends.

    Boundaries of a multipart stream say little: cameras leave out the first one, the header of a
    part, or name another one than they send. So a JPEG is followed from marker to marker; the
    preview within its header is not taken for one. What is damaged is dropped up to the next
    beginning.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0  # where the next marker is expected; 0: no beginning was found yet
        self._in_scan = False

    def feed(self, data: bytes) -> None:
        """Take bytes that arrived.

        Raises:
            TooLongError: there is no end of a JPEG.
        """
        self._buffer += data
        if len(self._buffer) > LONGEST_JPEG + len(data):
            raise TooLongError

    def take(self) -> bytes | None:
        """The next whole JPEG; None where more bytes are needed."""
        while self._at or self._find_beginning():
            step = self._skip_scan() if self._in_scan else self._skip_segment()
            if step is None:
                return None
            if step:
                return self._cut()
        return None

    def _find_beginning(self) -> bool:
        begin = self._buffer.find(_BEGIN)
        if begin < 0:
            del self._buffer[: -len(_BEGIN) + 1]
            return False
        self._restart(begin)
        return True

    def _restart(self, begin: int) -> None:
        """Take the JPEG that begins there."""
        del self._buffer[:begin]
        self._at, self._in_scan = 2, False

    def _drop(self) -> None:
        """Leave this beginning, whose JPEG is damaged."""
        del self._buffer[:2]
        self._at, self._in_scan = 0, False

    def _cut(self) -> bytes:
        jpeg = bytes(self._buffer[: self._at])
        del self._buffer[: self._at]
        self._at, self._in_scan = 0, False
        return jpeg

    def _skip_scan(self) -> bool | None:
        """Go to the marker behind a scan. See ``_skip_segment``."""
        found = _MARKER.search(self._buffer, self._at)
        if found is None:
            self._at = max(self._at, len(self._buffer) - 1)
            return None
        self._at, self._in_scan = found.start(), False
        return False

    def _skip_segment(self) -> bool | None:
        """Go past a marker, and the segment behind it.

        Returns:
            True at the end of the JPEG, None where more bytes are needed.
        """
        head = self._buffer[self._at : self._at + 4]
        if len(head) < 2:
            return None
        marker = head[1]
        if head[0] != 0xFF:
            self._drop()
        elif marker == _BEGIN_MARKER:  # the one before was cut off
            self._restart(self._at)
        elif marker == _END_MARKER:
            self._at += 2
            return True
        elif marker == 0xFF:
            self._at += 1
        elif marker in _BARE_MARKERS:
            self._at += 2
        elif len(head) < 4:
            return None
        else:
            return self._skip_to(self._at + 2 + int.from_bytes(head[2:]), marker)
        return False

    def _skip_to(self, end: int, marker: int) -> bool | None:
        if end < self._at + 4:
            self._drop()
        elif end > len(self._buffer):
            return None
        else:
            self._at, self._in_scan = end, marker == _SCAN_MARKER
        return False
