"""The second thread of a run: infers frames, and knows whether the run makes progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from pi_detector.core.looks import TrackedBox
from pi_detector.core.records import StatusRecord, status_record
from pi_detector.core.states import State
from pi_detector.detector.detector import Prepared
from pi_detector.pipeline.counters import Counters
from pi_detector.pipeline.inference import Inference, InferenceStep
from pi_detector.util.bounded_queue import BoundedQueue

POLL_S = 0.1


class DetectionLoop:
    """Infers one frame after the other, on the thread that calls ``run``.

    Args:
        step: infers the frames.
        frames: gives them.
        inferences: takes their inferences, and status records about detection in between.
        counters: of the run.
        busy: whether something is followed that does not stand still.
        tracked: where what is followed is expected.
        rest: receives whether the scene is still, where that changes.
        wait_is_progress: whether a wait for the next frame counts as progress; may raise.

    Attributes:
        paused: detection is paused, or outside its hours.
        progressed_s: monotonic time at which the run was last known to be well: a frame was
            processed, or the source that is waited for is within its deadlines.
    """

    def __init__(
        self,
        step: InferenceStep,
        frames: BoundedQueue[Prepared],
        inferences: BoundedQueue[Inference | StatusRecord],
        counters: Counters,
        *,
        busy: Callable[[], bool],
        tracked: Callable[[], Sequence[TrackedBox]],
        rest: Callable[[bool], None],
        wait_is_progress: Callable[[], bool],
    ) -> None:
        self.paused = False
        self.progressed_s = 0.0
        self._pause_wanted = self._report_wanted = False
        self._off_wanted: str | None = None
        self._off: str | None = None
        self._step = step
        self._frames = frames
        self._inferences = inferences
        self._counters = counters
        self._busy = busy
        self._tracked = tracked
        self._rest = rest
        self._still = False
        self._wait_is_progress = wait_is_progress

    def pause(self, wanted: bool) -> None:
        """Pause or resume with the next frame. May be called from any thread."""
        self._pause_wanted = wanted

    def keep_hours(self, off: str | None) -> None:
        """Pause outside the hours of a schedule. May be called from any thread.

        Args:
            off: why detection is off, in words; None within the hours.
        """
        self._off_wanted = off

    def report(self) -> None:
        """Have a status record say whether detection is paused. May be called from any thread."""
        self._report_wanted = True

    def run(self, ended: Callable[[], bool]) -> bool:
        """Infer frames until ``ended``, or until there are no more.

        Returns:
            Whether there are no more: the source has ended.

        Raises:
            BadModelError: the runtime failed.
            PiDetectorError: of ``wait_is_progress``.
        """
        started_s = None
        while not ended():
            self._obey_pause()
            prepared = self._frames.get(POLL_S)
            if prepared is not None:
                started_s = started_s or time.monotonic()
                if not self._inferences.put(self._infer(prepared)):
                    return False
                self._counters.seconds = time.monotonic() - started_s
            elif self._frames.ended:
                return True
            elif not self._wait_is_progress():
                continue
            self.progressed_s = time.monotonic()
        return False

    def _obey_pause(self) -> None:
        # Queued behind the frames that were inferred before it.
        off = self._off_wanted
        wanted = self._pause_wanted or off is not None
        if (self.paused, self._off) != (wanted, off) or self._report_wanted:
            self.paused, self._off, self._report_wanted = wanted, off, False
            state: State = "paused" if wanted else "live"
            self._inferences.put(status_record("detection", "detection", state, reason=off))

    def _infer(self, prepared: Prepared) -> Inference:
        inference = self._step.infer(
            prepared, busy=self._busy(), tracks=self._tracked(), paused=self.paused
        )
        if inference.still is not None and inference.still != self._still:
            self._still = inference.still
            self._rest(inference.still)
        self._counters.processed += 1
        self._counters.dropped = self._frames.dropped
        return replace(inference, dropped=self._counters.dropped)
