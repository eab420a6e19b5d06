"""A sink with its queue and its thread."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress

from pi_detector.core.current import CurrentState
from pi_detector.core.records import Publication
from pi_detector.core.result import Result
from pi_detector.errors import SinkError
from pi_detector.sinks.base import CatchesUp, Sink
from pi_detector.util.bounded_queue import BoundedQueue
from pi_detector.util.worker import Worker

log = logging.getLogger(__name__)

QUEUE = 8
"""Items that wait for a sink at most."""


class SinkRunner:
    """The queue and the thread of one sink: ``start``, ``put`` from any thread, ``finish``.

    Args:
        sink: the sink.
        lossless: the giver waits while the queue is full; else the oldest frames are dropped, and
            events and status records only in need.
        origin: the sink as it was before something was put around it; ``sink`` if left out.

    Attributes:
        name: of the sink.
        origin: see above.
        stuck: the sink did not take what was left for it within its deadline.
    """

    def __init__(self, sink: Sink, *, lossless: bool, origin: Sink | None = None) -> None:
        self.name = sink.name
        self.origin = origin or sink
        self.stuck = False
        self._sink = sink
        self._items: BoundedQueue[Publication] = BoundedQueue(QUEUE, lossless, is_precious=_is_rare)
        self._worker: Worker | None = None
        self._now = CurrentState()
        self._may_publish = threading.Event()

    @property
    def dropped(self) -> int:
        """Items that the sink did not see because it was too slow, or hung when it was to end."""
        return self._items.dropped + (self._items.waiting if self.stuck else 0)

    @property
    def error(self) -> BaseException | None:
        """What ended the sink's thread, or None."""
        return None if self._worker is None else self._worker.error

    def start(self) -> None:
        """Start the sink and its thread, which waits for ``run``. Raises SinkError."""
        self._sink.start()
        try:
            self._worker = Worker(f"sink-{self.name}", self._publish)
        except RuntimeError as error:
            with suppress(Exception):  # the error above is the one to raise
                self._sink.close()
            raise SinkError(
                f"{self.name}: {error}; raise the limit of threads (TasksMax= of a service)"
            ) from error

    def run(self, now: CurrentState | None = None) -> None:
        """Begin to publish.

        Args:
            now: what holds before the first item; None for nothing, as at the start of a run.
        """
        self._now = now or CurrentState()
        self._may_publish.set()

    def put(self, item: Publication) -> None:
        """Queue an item."""
        self._items.put(item)

    def end(self) -> None:
        """Take no more; what is queued is still published."""
        self._items.close()
        self._may_publish.set()

    def finish(self, deadline: float) -> None:
        """Publish what is queued and close the sink.

        Args:
            deadline: monotonic seconds; a sink that is busy for longer is left as it is.
        """
        self.end()
        if self._worker is not None and not self._worker.join(deadline):
            self.stuck = True
            waiting = self._items.waiting
            log.warning("%s did not stop in time; %d items wait", self._worker.name, waiting)
            return
        self._sink.close()

    def _publish(self) -> None:
        self._may_publish.wait()
        try:
            if isinstance(self._sink, CatchesUp):
                self._sink.catch_up(self._now)
            while (item := self._items.get()) is not None:
                self._sink.handle(item)
        finally:
            self._items.close(discard=True)


def _is_rare(item: Publication) -> bool:
    return not isinstance(item, Result)
