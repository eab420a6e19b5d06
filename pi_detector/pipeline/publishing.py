"""The last threads of a run: results become events, and both go to the sinks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from pi_detector.core.looks import TrackedBox
from pi_detector.core.records import Publication
from pi_detector.events.feed import EventFeed
from pi_detector.events.stage import EventStage
from pi_detector.pipeline.fan_out import FanOut
from pi_detector.pipeline.sink_runner import SinkRunner
from pi_detector.pipeline.supervision import Supervision
from pi_detector.sinks.base import Sink


class Publishing:
    """Takes whatever a run publishes: events follow from it, and all goes to every sink.

    Args:
        sinks: not started.
        stage: makes events of detections; None publishes detections alone.
        supervision: of the sinks and the event stage; None raises what they raise.
        live: of a live source, what is too slow loses items; of others, it makes the rest wait.

    Attributes:
        sinks: those of the run.
        feed: the event stage in front of them, or None.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        stage: EventStage | None,
        supervision: Supervision | None,
        *,
        live: bool,
    ) -> None:
        self._supervision = supervision
        self._live = live
        self.sinks = FanOut(sinks, self._runner_of)
        recovery = supervision.recovery if supervision else None
        self.feed = EventFeed(stage, self.sinks.put, recovery) if stage else None
        self._events = SinkRunner(self.feed, lossless=not live) if self.feed else None

    @property
    def busy(self) -> bool:
        """Whether something is followed that does not stand still."""
        return self.feed is not None and self.feed.busy

    @property
    def tracked(self) -> tuple[TrackedBox, ...]:
        """Where what is followed is expected."""
        return self.feed.tracked if self.feed is not None else ()

    @property
    def runners(self) -> list[SinkRunner]:
        """The events, where there are any, and the sinks: each with its queue and its thread."""
        return [*([self._events] if self._events else []), *self.sinks.runners]

    @property
    def dropped(self) -> dict[str, int]:
        """Items that a sink did not see so far, by its name; from 0 after a replacement.

        It was too slow, or hung at the end; or the events failed, and the frame with them.
        """
        dropped = {runner.name: runner.dropped for runner in self.runners}
        if self.feed is not None:
            dropped[self.feed.name] += self.feed.dropped
        return dropped

    @property
    def errors(self) -> list[BaseException]:
        """What ended threads of it."""
        return [runner.error for runner in self.runners if runner.error is not None]

    @property
    def unstopped(self) -> list[str]:
        """Names of the threads that did not end within their deadline."""
        return [f"sink-{runner.name}" for runner in self.runners if runner.stuck]

    def start(self) -> None:
        """Start the sinks, then all threads. Raises SinkError."""
        for runner in self.runners:
            runner.start()
        for runner in self.runners:
            runner.run()

    def put(self, item: Publication) -> None:
        """Queue an item for the events, and through them for all sinks. From any thread."""
        (self._events or self.sinks).put(item)

    def finish(self, deadline: float) -> None:
        """Publish what is queued, and close the sinks.

        Args:
            deadline: monotonic seconds; a sink that is busy for longer is left as it is.
        """
        with ExitStack() as closing:
            closing.callback(self.sinks.finish, deadline)
            if self._events is not None:
                self._events.finish(deadline)

    def _runner_of(self, sink: Sink) -> SinkRunner:
        if self._supervision is None:
            return SinkRunner(sink, lossless=sink.lossless and not self._live)
        supervised = self._supervision.of_sink(sink, self.put)
        return SinkRunner(supervised, lossless=False, origin=sink)
