"""The inference step: a frame in, its detections out, in three parts for three threads.

    Frame -> prepare -> Prepared -> infer -> Inference -> decode -> Result
          (capture)        (the thread that detects)   (decode)

Everything about how a frame meets the model is decided here: which frames, and what of them. The
threads around it only carry the values along.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pi_detector.core.frame import Frame
from pi_detector.core.geometry import Detections
from pi_detector.core.looks import Look, TrackedBox
from pi_detector.core.result import Result, Timings
from pi_detector.detector.detector import Detector, Prepared
from pi_detector.detector.looking import decode_looks, infer_looks
from pi_detector.detector.tensors import OutputCopies
from pi_detector.events.motion import MotionGate
from pi_detector.pipeline.looks import Looking
from pi_detector.pipeline.privacy import PrivacyMasks
from pi_detector.util.rate_limit import Cost, RateLimit


@dataclass(frozen=True, slots=True)
class Inference:
    """A frame with the model's outputs, not decoded yet.

    Attributes:
        prepared: the frame.
        outputs: of the model, look by look; empty where the frame was not inferred.
        looks: of a frame that was looked at several times, or in parts; else empty.
        scale_ms: what scaling the crops took.
        invoke_ms: what the calls of ``invoke()`` took, input included.
        dropped: frames that newer ones replaced before detection, so far.
        still: whether the gate found the scene still; None of a frame that was not due.
    """

    prepared: Prepared
    outputs: Sequence[OutputCopies] = ()
    looks: tuple[Look, ...] = ()
    scale_ms: float = 0.0
    invoke_ms: float = 0.0
    dropped: int = 0
    still: bool | None = None


class InferenceStep:
    """Decides which frames the model infers, infers them, and decodes its outputs.

    Args:
        detector: runs the model.
        gate: finds the frames that are worth inference; None takes all.
        rate_limit: limits the rate of inference; None does not.
        looking: chooses the looks at a frame; None looks at the whole frame alone.
        privacy: blackens parts of every frame; None blackens nothing.

    Attributes:
        detector: of the frames that are prepared from now on; may be set from any thread. A frame
            is inferred and decoded by the detector that prepared it.
        gate: of the frames that are inferred from now on; may be set from any thread.
        looking: of the same frames; may be set from any thread.
        privacy: of the frames that are prepared from now on; may be set from any thread.

    Example:
        >>> from pi_detector import Detector, open_source
        >>> step = InferenceStep(Detector("street"))
        >>> with open_source("demo:") as source:
        ...     result = step.run(next(iter(source)))
        >>> result.inferred
        True
    """

    def __init__(
        self,
        detector: Detector,
        gate: MotionGate | None = None,
        rate_limit: RateLimit | None = None,
        looking: Looking | None = None,
        privacy: PrivacyMasks | None = None,
    ) -> None:
        self.detector = detector
        self.gate = gate
        self.looking = looking
        self.privacy = privacy
        self._rate_limit = rate_limit

    def prepare(self, frame: Frame) -> Prepared:
        """Blacken what is private, and scale the frame to the model's size."""
        privacy = self.privacy
        return self.detector.prepare(frame if privacy is None else privacy.cover(frame))

    def infer(
        self,
        prepared: Prepared,
        *,
        busy: bool = False,
        tracks: Sequence[TrackedBox] = (),
        paused: bool = False,
    ) -> Inference:
        """Run the model on a frame that is due, and not still.

        Args:
            prepared: the frame.
            busy: something is followed that does not stand still, so no frame is to be left out.
            tracks: objects that are followed.
            paused: the model rests, whatever the frame shows.

        Raises:
            BadModelError: the runtime failed.
        """
        captured_ns, limit, gate = prepared.frame.captured_ns, self._rate_limit, self.gate
        if paused or (limit is not None and not limit.is_due(captured_ns)):
            return Inference(prepared)
        # The gate judges only frames within the rate limit: one that it wants is never left out.
        motion = None
        if gate is not None:
            if busy:
                gate.hold(captured_ns + 1)
            motion = gate.observe(prepared.content, captured_ns)
            if gate.enabled and not motion.infer:
                return Inference(prepared, still=True)
        if limit is not None:
            limit.step(captured_ns)
        looking, detector = self.looking, prepared.detector
        looks = looking.choose(prepared, motion, tracks) if looking is not None else ()
        if not looks:
            output, invoke_ms = detector.infer(prepared.staged)
            return Inference(prepared, (output,), invoke_ms=invoke_ms, still=False)
        outputs, scale_ms, invoke_ms = infer_looks(
            detector, prepared.frame.image, looks, prepared.staged
        )
        return Inference(prepared, outputs, looks, scale_ms, invoke_ms, still=False)

    def decode(self, inference: Inference) -> Result:
        """The detections of a frame; its latency is from capture until now.

        Raises:
            BadLabelsError: the model gave a class that has no label.
        """
        result = self._decoded(inference)
        captured_ns = result.frame.captured_ns
        latency_ms = (time.monotonic_ns() - captured_ns) / 1e6
        timings = replace(result.timings, latency_ms=latency_ms)
        if result.inferred:
            busy_ms = inference.scale_ms + timings.invoke_ms + timings.decode_ms
            if self.looking is not None:
                self.looking.note(len(inference.outputs), busy_ms)
            if self._rate_limit is not None:
                self._rate_limit.note(Cost(captured_ns, busy_ms, latency_ms))
        return replace(result, timings=timings)

    def run(self, frame: Frame, *, busy: bool = False, tracks: Sequence[TrackedBox] = ()) -> Result:
        """All three parts on one thread, for a frame whose clock may be another one's.

        Its latency is the time of its stages, without any wait between them.

        Args:
            frame: the frame.
            busy: as of ``infer``.
            tracks: as of ``infer``.

        Raises:
            BadModelError: the runtime failed.
            BadLabelsError: the model gave a class that has no label.
        """
        return self._decoded(self.infer(self.prepare(frame), busy=busy, tracks=tracks))

    def _decoded(self, inference: Inference) -> Result:
        prepared, outputs = inference.prepared, inference.outputs
        frame, detector = prepared.frame, prepared.detector
        detections, decode_ms = Detections(), 0.0
        size, looks = (frame.width, frame.height), inference.looks
        if looks:
            detections, decode_ms = decode_looks(detector, outputs, looks, size)
        elif outputs:
            detections, decode_ms = detector.decode(outputs[0], *size)
        preprocess_ms = prepared.preprocess_ms + inference.scale_ms
        stages_ms = (preprocess_ms, inference.invoke_ms, decode_ms)
        return Result(
            frame,
            detections,
            detector.labels,
            Timings(*stages_ms, latency_ms=sum(stages_ms)),
            dropped=inference.dropped,
            inferred=bool(outputs),
            looks=looks,
        )
