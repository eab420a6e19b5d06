"""The loop of the tutorials with ONNX Runtime and the network quantized to INT8 (QDQ)."""

from __future__ import annotations

import cv2
import numpy as np
import onnxruntime

from benchmarks.contenders.common import arguments, run
from benchmarks.contenders.plain import RawSsd, draw


def main() -> None:
    """Run it over the clip."""
    args = arguments()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = onnxruntime.InferenceSession(args.model, options, providers=["CPUExecutionProvider"])
    ssd = RawSsd(args.manifest)

    def step(frame):
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        resized = cv2.resize(rgb, (ssd.side, ssd.side))
        data = (np.float32(resized) - 128) / 128
        data = np.expand_dims(data.transpose(2, 0, 1), axis=0)
        logits, boxes = session.run(["logits", "boxes"], {"image": data})
        for number, score, box in ssd.detections(logits[0], boxes[0]):
            draw(frame, ssd.labels[number], score, box)

    run(args, step)


if __name__ == "__main__":
    main()
