"""From a prepared frame to what is to be seen in it, in two halves that two threads may do."""

from __future__ import annotations

from dataclasses import dataclass

from pi_detector.core.geometry import Detections
from pi_detector.core.records import Result, Timings
from pi_detector.detector.detector import Detector, Inferred, Prepared
from pi_detector.events.motion import MotionGate
from pi_detector.util.rate_limit import RateLimit


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame that is to be decoded.

    Attributes:
        detector: that inferred it.
        prepared: the frame.
        inferred: None where the detector was spared.
        dropped: frames that newer ones replaced so far.
    """

    detector: Detector
    prepared: Prepared
    inferred: Inferred | None
    dropped: int = 0


def look(detector: Detector, prepared: Prepared, gate: MotionGate | None, *, busy: bool) -> Result:
    """What is to be seen in a frame: both halves.

    The latency of the result is the time of its stages, without any wait between them.

    Args:
        detector: finds the objects.
        prepared: the frame.
        gate: None lets all frames through.
        busy: something is followed that does not stand still, so no frame is to be left out.
    """
    return decoded(see(detector, prepared, gate, busy=busy))


def see(
    detector: Detector,
    prepared: Prepared,
    gate: MotionGate | None,
    *,
    busy: bool,
    pace: RateLimit | None = None,
    paused: bool = False,
) -> Seen:
    """The first half: pace, gate and model. Where a frame is not due, or still, the model rests.

    Args:
        detector: runs the model.
        prepared: the frame.
        gate: None lets all frames through. It is asked about those alone that the pace lets
            through, so that none which it asks for once is passed over.
        busy: something is followed that does not stand still, so no frame is to be left out.
        pace: None lets all frames through.
        paused: the model rests whatever there is to see.
    """
    captured_ns = prepared.frame.captured_ns
    if paused or (pace is not None and not pace.is_due(captured_ns)):
        return Seen(detector, prepared, None)
    if gate is not None:
        if busy:
            gate.hold(captured_ns + 1)
        if not gate.observe(prepared.staged, captured_ns).infer:
            return Seen(detector, prepared, None)
    if pace is not None:
        pace.step(captured_ns)
    return Seen(detector, prepared, detector.infer(prepared))


def decoded(seen: Seen) -> Result:
    """The second half: the objects in what the model said."""
    prepared, inferred, labels = seen.prepared, seen.inferred, seen.detector.labels
    if inferred is None:
        timings = Timings(prepared.preprocess_ms, 0.0, 0.0, latency_ms=prepared.preprocess_ms)
        return Result(prepared.frame, Detections(), labels, timings, inferred=False)
    detections, decode_ms = seen.detector.decode(inferred)
    stages_ms = (prepared.preprocess_ms, inferred.invoke_ms, decode_ms)
    timings = Timings(*stages_ms, latency_ms=sum(stages_ms))
    return Result(prepared.frame, detections, labels, timings)
