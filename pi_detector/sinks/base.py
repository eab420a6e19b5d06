"""What a sink is: start, handle a result, close."""

from __future__ import annotations

from typing import Protocol

from pi_detector.records import Result


class Sink(Protocol):
    """Where results go. A sink's methods are called from one thread, in order.

    Attributes:
        name: for logs and counters.
        lossless: never drop a result for this sink (standard output, files of an offline run);
            else a slow sink loses the oldest results, and they are counted.
    """

    name: str
    lossless: bool

    def start(self) -> None:
        """Open files and connections. Raises SinkError."""

    def handle(self, result: Result) -> None:
        """Publish one result. Raises SinkError, or BrokenPipeError for a closed pipe."""

    def close(self) -> None:
        """Flush and close."""
