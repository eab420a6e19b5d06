"""Which recorded events were reviewed: ranges of their numbers, in a file of the folder.

A file and not a column: the index can be rebuilt from the sidecars, which say nothing about it, and
a thousand events that are marked at once are one write.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec

from pi_detector.sinks.files import write_whole
from pi_detector.sinks.recordings import confined

NAME = "reviewed.json"

_MOST_BYTES = 4 * 1024 * 1024
_Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Range = tuple[_Number, _Number]
"""First and last number."""
_RANGES = msgspec.json.Decoder(list[Range])


class Reviewed:
    """Numbers of events.

    Args:
        ranges: first and last number of each range, in any order.
    """

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._ranges = _joined(ranges)

    @classmethod
    def read(cls, root: Path) -> Reviewed:
        """Those of a folder of recordings; none where the file is missing or damaged."""
        try:
            with confined.open_file(root, NAME) as file:
                return cls(_RANGES.decode(file.read(_MOST_BYTES)))
        except (OSError, msgspec.MsgspecError, ValueError):
            return cls()

    def write(self, root: Path) -> None:
        """Write them to a folder of recordings. Raises SinkError."""
        write_whole(root / NAME, msgspec.json.encode(self._ranges))

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._ranges, (number, 2**53)) - 1
        return at >= 0 and self._ranges[at][0] <= number <= self._ranges[at][1]

    def marked(self, numbers: Iterable[int], reviewed: bool) -> Reviewed:
        """These numbers with others added, or taken away."""
        singles = [(number, number) for number in numbers]
        if reviewed:
            return Reviewed([*self._ranges, *singles])
        ranges = list[Range]()
        for first, last in self._ranges:
            start = first
            for number in sorted(number for number, _ in singles if first <= number <= last):
                ranges.append((start, number - 1))
                start = number + 1
            ranges.append((start, last))
        return Reviewed(each for each in ranges if each[0] <= each[1])


def _joined(ranges: Iterable[Range]) -> list[Range]:
    """Ranges in order, those that meet or overlap as one."""
    joined: list[Range] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined
