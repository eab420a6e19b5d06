"""Tables of a flatbuffer, read by hand: each offset is checked, nothing is read recursively.

A damaged buffer raises one of ``DAMAGE``. Source: the flatbuffers internals document.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

DAMAGE = (struct.error, IndexError, ValueError, StopIteration)
"""What reading a damaged buffer raises."""


class Table:
    """A table of a flatbuffer.

    Args:
        data: the whole buffer.
        position: of the table.
    """

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._position = position
        self._fields = position - read_number(data, position, "<i")
        self._size = read_number(data, self._fields, "<H")

    def number(self, field: int, kind: str) -> int:
        """A number that lies in the table; 0, the schema's default, where it is left out."""
        at = self._at(field)
        return read_number(self._data, at, kind) if at else 0

    def bytes(self, field: int) -> bytes:
        """A string or a vector of bytes."""
        start, length = self._vector(field, 1)
        return self._data[start : start + length]

    def ints(self, field: int) -> tuple[int, ...]:
        """A vector of int32."""
        start, length = self._vector(field, 4)
        return struct.unpack_from(f"<{length}i", self._data, start) if length else ()

    def floats(self, field: int) -> tuple[float, ...]:
        """A vector of float32."""
        start, length = self._vector(field, 4)
        return struct.unpack_from(f"<{length}f", self._data, start) if length else ()

    def table(self, field: int) -> Table:
        """A table. Raises ValueError where it is left out."""
        at = self._at(field)
        if not at:
            raise ValueError("a table is missing")
        return Table(self._data, at + read_unsigned(self._data, at))

    def tables(self, field: int) -> Iterator[Table]:
        """A vector of tables."""
        start, length = self._vector(field, 4)
        for at in range(start, start + 4 * length, 4):
            yield Table(self._data, at + read_unsigned(self._data, at))

    def _at(self, field: int) -> int:
        """Where a field lies, or 0 where it is left out."""
        slot = 4 + 2 * field
        if slot + 2 > self._size:
            return 0
        offset = read_number(self._data, self._fields + slot, "<H")
        return self._position + offset if offset else 0

    def _vector(self, field: int, width: int) -> tuple[int, int]:
        """Where a vector's items begin, and how many there are."""
        at = self._at(field)
        if not at:
            return 0, 0
        start = at + read_unsigned(self._data, at)
        length = read_unsigned(self._data, start)
        if start + 4 + length * width > len(self._data):
            raise ValueError("a vector reaches beyond the end of the file")
        return start + 4, length


def read_number(data: bytes, position: int, kind: str) -> int:
    """A number at a position; ``kind`` as of ``struct``."""
    if position < 0:  # would count from the end
        raise ValueError("an offset points before the beginning of the file")
    return int(struct.unpack_from(kind, data, position)[0])


def read_unsigned(data: bytes, position: int) -> int:
    """An unsigned number of 32 bits at a position."""
    return read_number(data, position, "<I")
