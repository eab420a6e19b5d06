"""The fan-out: every item of a run goes to all of its sinks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from pi_detector.core.current import CurrentState
from pi_detector.core.records import Publication
from pi_detector.pipeline.sink_runner import SinkRunner
from pi_detector.sinks.base import Sink


class FanOut:
    """The sinks of a run, each with a queue and a thread of its own.

    Args:
        sinks: not started.
        runner_of: gives a sink its queue and its thread.

    Attributes:
        runners: of the sinks.
    """

    def __init__(self, sinks: Sequence[Sink], runner_of: Callable[[Sink], SinkRunner]) -> None:
        self._runner_of = runner_of
        self.runners = [runner_of(sink) for sink in sinks]
        self._current = CurrentState()
        self._putting = threading.Lock()

    def put(self, item: Publication) -> None:
        """Queue an item for each sink. May be called from any thread."""
        with self._putting:
            self._current.note(item)
            for runner in self.runners:
                runner.put(item)

    def replace(self, sinks: Sequence[Sink], deadline: float) -> None:
        """Publish to other sinks. The old ones publish what is queued for them, then close.

        A sink that is among both stays as it is. A new one that catches up is given what holds
        now, so that it and its items are all that there is: nothing is missing, nothing comes
        twice.

        Args:
            sinks: the other sinks; those that are new are not started.
            deadline: of the old ones, monotonic seconds.

        Raises:
            SinkError: a new sink cannot be started; the old ones stay.
        """
        kept = [runner for runner in self.runners if runner.origin in sinks]
        known = [runner.origin for runner in kept]
        added = [self._runner_of(sink) for sink in sinks if sink not in known]
        with ExitStack() as undo:
            for runner in added:
                runner.start()
                undo.callback(runner.finish, deadline)
            undo.pop_all()
        old = [runner for runner in self.runners if runner not in kept]
        with self._putting:
            self.runners = [*added, *kept]
            now = self._current.copy()
        try:
            for runner in old:
                runner.finish(deadline)
        finally:
            for runner in added:
                runner.run(now)

    def finish(self, deadline: float) -> None:
        """Have all sinks publish what is queued for them, and close them.

        Args:
            deadline: monotonic seconds; a sink that is busy for longer is left as it is.
        """
        with ExitStack() as closing:
            for runner in reversed(self.runners):
                closing.callback(runner.finish, deadline)
            for runner in self.runners:  # at once: a slow one must not take the others' time
                runner.end()
