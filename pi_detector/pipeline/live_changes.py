"""What changes while a pipeline runs: pauses, and new parts in place of those of its start."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pi_detector.detector.detector import Detector
from pi_detector.events.motion import MotionGate
from pi_detector.events.stage import EventStage
from pi_detector.pipeline.capture import Capture
from pi_detector.pipeline.detection import DetectionLoop
from pi_detector.pipeline.inference import InferenceStep
from pi_detector.pipeline.looks import Looking
from pi_detector.pipeline.privacy import PrivacyMasks
from pi_detector.pipeline.publishing import Publishing
from pi_detector.sinks.base import Sink
from pi_detector.sources.base import Controls

STOP_DEADLINE_S = 4.0


class LiveChanges:
    """The methods of a pipeline for while it runs; all may be called from any thread."""

    _capture: Capture
    _step: InferenceStep
    _detection: DetectionLoop
    _publishing: Publishing

    def pause(self) -> None:
        """Detect nothing until ``resume``; frames are still read.

        It takes effect with the next frame: open events end, and a status record reports it.
        """
        self._detection.pause(True)

    def resume(self) -> None:
        """Detect again after a ``pause``."""
        self._detection.pause(False)

    def keep_hours(self, off: str | None) -> None:
        """Detect nothing outside the hours of a schedule, whether paused or not.

        Args:
            off: why detection is off, in words; None within the hours.
        """
        self._detection.keep_hours(off)

    def report_detection(self) -> None:
        """Have a status record say whether detection is paused."""
        self._detection.report()

    def replace_detector(self, detector: Detector) -> None:
        """Detect with another detector from the next captured frame on; no frame is lost."""
        self._step.detector = detector

    def limit_rate(self, max_fps: float | None) -> None:
        """Read at most so many frames per second from now on; None reads all."""
        self._capture.limit_rate(max_fps)

    def adjust(self, controls: Controls) -> bool:
        """Set controls of the camera; False where only a restart does. Raises ConfigError."""
        return self._capture.adjust(controls)

    def replace_privacy(self, privacy: PrivacyMasks | None) -> None:
        """Blacken other parts of the frames, from the next captured one on."""
        self._step.privacy = privacy

    def replace_gate(self, gate: MotionGate | None, looking: Looking | None = None) -> None:
        """Judge motion by another gate, or not at all, from the next frame on.

        Args:
            gate: finds the frames that are worth inference, and the regions that move.
            looking: chooses the looks by these.
        """
        self._step.gate, self._step.looking = gate, looking

    def replace_stage(self, stage: EventStage) -> None:
        """Follow objects by another stage, which takes over what the one before follows.

        Only where there was one before.
        """
        assert self._publishing.feed is not None, "the threads are those of the start"
        self._publishing.feed.replace(stage)

    def replace_sinks(self, sinks: Sequence[Sink]) -> None:
        """Publish to other sinks, see ``FanOut.replace``.

        Raises:
            SinkError: a new sink cannot be started; the old ones stay.
        """
        self._publishing.sinks.replace(sinks, time.monotonic() + STOP_DEADLINE_S)
