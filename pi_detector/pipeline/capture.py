"""The first thread of a run: reads frames from the source and prepares them for the model."""

from __future__ import annotations

from collections.abc import Callable

from pi_detector.core.records import StatusRecord, status_record
from pi_detector.core.states import State
from pi_detector.detector.detector import Prepared
from pi_detector.errors import SourceStuckError
from pi_detector.pipeline.counters import Counters
from pi_detector.pipeline.inference import InferenceStep
from pi_detector.sources.base import Adjustable, Controls, Source, interrupt, limit_rate, rest
from pi_detector.sources.supervised import SupervisedSource
from pi_detector.util.bounded_queue import BoundedQueue
from pi_detector.util.rate_limit import Pace


class Capture:
    """Reads a source to its end.

    Args:
        source: not open.
        step: prepares the frames.
        frames: takes them; closed after the last one.
        counters: of the run.
        report: takes a status record once the source is open; None for a source that needs none,
            such as a supervised one, which reports by itself.
    """

    def __init__(
        self,
        source: Source,
        step: InferenceStep,
        frames: BoundedQueue[Prepared],
        counters: Counters,
        report: Callable[[StatusRecord], None] | None,
    ) -> None:
        self._source = source
        self._supervised = source if isinstance(source, SupervisedSource) else None
        self._step = step
        self._frames = frames
        self._counters = counters
        self._report = report
        self._pace = Pace()

    @property
    def state(self) -> State:
        """State of a supervised source; else ``live``."""
        return "live" if self._supervised is None else self._supervised.state

    def check_deadlines(self) -> bool:
        """Whether the source is known to be within its deadlines; False if it has none.

        Raises:
            SourceStuckError: it exceeded one.
        """
        if self._supervised is None:
            return False
        if self._supervised.overdue:
            raise SourceStuckError(
                f"{self._source.name}: the driver hangs and releases the camera only when the "
                "process ends; restart pi-detector"
            )
        return True

    def run(self) -> None:
        """Read until the source ends or nobody takes its frames: the work of ``capture``."""
        try:
            self._source.open(self._step.detector.camera_size)
            if self._report is not None:
                self._report(status_record("source", self._source.name, "live"))
            while (frame := self._source.read()) is not None:
                if not self._pace.take(frame.captured_ns):
                    continue
                self._counters.captured += 1
                if not self._frames.put(self._step.prepare(frame)):
                    return
        finally:
            self._frames.close()

    def limit_rate(self, rate_fps: float | None) -> None:
        """Read at most so many frames per second. From any thread.

        Most sources obey before they decode a frame; of another live one, frames are dropped here.
        """
        obeys = limit_rate(self._source, rate_fps)
        self._pace.rate_fps = rate_fps if self._source.live and not obeys else None

    def rest(self, still: bool) -> None:
        """Let the source deliver less of a still scene, see ``Resting``. From any thread."""
        rest(self._source, still)

    def adjust(self, controls: Controls) -> bool:
        """Set controls of the camera, see ``Adjustable``. From any thread. Raises ConfigError."""
        return isinstance(self._source, Adjustable) and self._source.adjust(controls)

    def interrupt(self) -> None:
        """End what the source does, where it can be ended. From any thread."""
        interrupt(self._source)

    def close(self) -> None:
        """Close the source, once ``run`` has returned."""
        self._source.close()
