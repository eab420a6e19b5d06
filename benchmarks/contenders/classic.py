"""The loop of the tutorials: one thread, floats around the interpreter, boxes on the picture.

It takes a raw SSD with its manifest, and a model that ends in TFLite_Detection_PostProcess.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from benchmarks.contenders.common import arguments, run
from benchmarks.contenders.plain import MIN_SCORE, RawSsd, draw


class Classic:
    """The loop's body."""

    def __init__(self, model, threads, manifest=None, labels=None):
        self._interpreter = Interpreter(model_path=model, num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._outputs = self._interpreter.get_output_details()
        _, self._height, self._width, _ = self._input["shape"]
        self._ssd = RawSsd(manifest) if manifest else None
        self._labels = Path(labels).read_text().splitlines() if labels else []
        if self._labels[:1] in (["???"], ["unlabeled"]):
            del self._labels[0]

    def step(self, frame):
        """Detect on a frame (BGR) and draw on it."""
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        resized = cv2.resize(rgb, (self._width, self._height))
        data = np.expand_dims(resized, axis=0)
        if self._input["dtype"] == np.int8:
            scale, zero_point = self._input["quantization"]
            data = (np.float32(data) - 128) / 128
            data = (data / scale + zero_point).astype(np.int8)
        self._interpreter.set_tensor(self._input["index"], data)
        self._interpreter.invoke()
        found = self._raw() if self._ssd else self._postprocessed()
        for label, score, box in found:
            draw(frame, label, score, box)
        return found

    def _raw(self):
        outputs = {details["name"]: details for details in self._outputs}
        logits = self._real(outputs[self._ssd.logits])
        boxes = self._real(outputs[self._ssd.boxes])
        found = self._ssd.detections(logits, boxes)
        return [(self._ssd.labels[number], score, box) for number, score, box in found]

    def _real(self, details):
        scale, zero_point = details["quantization"]
        stored = self._interpreter.get_tensor(details["index"])[0]
        return (stored.astype(np.float32) - zero_point) * scale

    def _postprocessed(self):
        boxes, classes, scores = (
            self._interpreter.get_tensor(details["index"])[0] for details in self._outputs[:3]
        )
        found = []
        for i in range(len(scores)):
            if MIN_SCORE < scores[i] <= 1.0:
                y1, x1, y2, x2 = boxes[i]
                found.append((self._labels[int(classes[i])], scores[i], (x1, y1, x2, y2)))
        return found


def main() -> None:
    """Run it over the clip."""
    args = arguments()
    classic = Classic(args.model, args.threads, args.manifest, args.labels)
    run(args, classic.step)


if __name__ == "__main__":
    main()
