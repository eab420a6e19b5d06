"""The third thread of a run: decodes inferences."""

from __future__ import annotations

import time
from collections.abc import Callable

from pi_detector.core.records import Publication, StatusRecord
from pi_detector.core.result import Result
from pi_detector.pipeline.inference import Inference, InferenceStep
from pi_detector.util.bounded_queue import BoundedQueue


class Decoding:
    """Makes results of inferences, and publishes them.

    Args:
        step: decodes.
        inferences: gives the inferences, and status records that are passed on between them.
        publish: takes the results.

    Attributes:
        last_found: label of the best detection in the last frame that had any, and when that was
            (monotonic seconds); None before the first.
    """

    def __init__(
        self,
        step: InferenceStep,
        inferences: BoundedQueue[Inference | StatusRecord],
        publish: Callable[[Publication], None],
    ) -> None:
        self.last_found: tuple[str, float] | None = None
        self._step = step
        self._inferences = inferences
        self._publish = publish

    def run(self) -> None:
        """Decode until there are no more inferences: the work of the thread ``decode``.

        Raises:
            BadLabelsError: the model gave a class that has no label.
        """
        try:
            while (item := self._inferences.get()) is not None:
                self._publish(self._decoded(item) if isinstance(item, Inference) else item)
        finally:
            self._inferences.close(discard=True)

    def _decoded(self, inference: Inference) -> Result:
        result = self._step.decode(inference)
        found = result.detections.class_id
        if len(found):
            best = int(found[0])
            self.last_found = (result.labels.get(best, str(best)), time.monotonic())
        return result
