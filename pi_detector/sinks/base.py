"""The interface of a sink: start, handle what is published, close."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from pi_detector.config.settings import Settings
from pi_detector.core.current import CurrentState
from pi_detector.core.records import Publication


class Sink(Protocol):
    """A destination of results and records.

    Its methods never run at the same time, but may run on different threads. Whatever exception
    they raise is a failure of that sink only, which the daemon retries.

    Attributes:
        name: name for logs and counters.
        lossless: with a file as source, never drop a result for this sink (standard output, files
            of an offline run); otherwise, and always with a live source, a slow sink loses the
            oldest results, which are counted.
    """

    name: str
    lossless: bool

    def start(self) -> None:
        """Open what the sink needs: folders, files, connections.

        Called again before each retry of a failed sink: missing things, such as a deleted folder,
        are recreated; working ones, and data waiting to be written, are kept.

        Raises:
            SinkError: it cannot be opened.
        """

    def handle(self, item: Publication) -> bool:
        """Publish an item that concerns this sink, or skip it.

        An item is handed over once, even if this raises: a sink that can write it later keeps it
        itself.

        Returns:
            Whether the sink has done its work, as far as it knows: written a file, reached its
            readers. Only that ends an outage; skipping an item does not.

        Raises:
            SinkError: it cannot be written; the sink may be retried.
            ReaderGoneError: nobody reads the results of this run any more.
        """

    def close(self) -> None:
        """Flush and close."""


@runtime_checkable
class ShowsSettings(Protocol):
    """A sink that shows settings, also where a reload keeps it."""

    def show(self, settings: Settings) -> None:
        """Show settings; may be called from any thread, also before ``start``."""


@runtime_checkable
class CatchesUp(Protocol):
    """A sink that shows the current state, and so needs it when it starts in the middle of a run.

    A reload may replace or add a sink while there are objects that are only published again when
    they move.
    """

    def catch_up(self, now: CurrentState) -> None:
        """Receive the current state: once, before the first item, on the thread of ``handle``.

        Everything published later is an item; nothing in ``now`` is repeated.
        """
