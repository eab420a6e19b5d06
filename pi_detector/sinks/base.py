"""What a sink is: start, handle what is published, close."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from pi_detector.core.current import CurrentState
from pi_detector.core.records import Publication


class Sink(Protocol):
    """Where results and records go. A sink's methods are called from one thread, in order.

    Attributes:
        name: for logs and counters.
        lossless: of a file as source, never drop a result for this sink (standard output, files of
            an offline run); else, and of a live source always, a slow sink loses the oldest
            results, and they are counted.
    """

    name: str
    lossless: bool

    def start(self) -> None:
        """Open files and connections. Raises SinkError."""

    def handle(self, item: Publication) -> None:
        """Publish what concerns this sink, pass over the rest.

        Raises SinkError, after which the sink may be tried again, or BrokenPipeError for a closed
        pipe.
        """

    def close(self) -> None:
        """Flush and close."""


@runtime_checkable
class CatchesUp(Protocol):
    """A sink that shows what holds now, and so must know it when it begins in the middle of a run.

    A reload may replace a sink, or add one, while objects are in the picture that are told of again
    only when they move.
    """

    def catch_up(self, now: CurrentState) -> None:
        """Take what holds now: once, before the first item, on the thread of ``handle``.

        Everything that is published later is an item; nothing that is in ``now`` comes again.
        """
