"""What a sink is: start, handle what is published, close."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from pi_detector.core.current import CurrentState
from pi_detector.core.records import Publication


class Sink(Protocol):
    """Where results and records go. A sink's methods are called from one thread, in order.

    Whatever exception they raise is the failure of that sink, and of nothing else; the daemon
    retries it.

    Attributes:
        name: for logs and counters.
        lossless: of a file as source, never drop a result for this sink (standard output, files of
            an offline run); else, and of a live source always, a slow sink loses the oldest
            results, and they are counted.
    """

    name: str
    lossless: bool

    def start(self) -> None:
        """Open what the sink needs: folders, files, connections.

        Called again before each retry of a sink that failed: what is missing, such as a folder
        that was deleted, is made again; what works, and what waits to be written, stays.

        Raises SinkError.
        """

    def handle(self, item: Publication) -> bool:
        """Publish what concerns this sink, skip the rest.

        An item is handed over once, also where this raises: a sink that can write it later keeps
        it by itself.

        Returns:
            Whether the sink has done its work, as far as it can tell: written a file, reached its
            readers. Only that ends an outage; skipping an item does not.

        Raises:
            SinkError: it cannot be written; the sink may be tried again.
            ReaderGoneError: nobody wants the results of this run any more.
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
