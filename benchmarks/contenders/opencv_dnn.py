"""The loop of the tutorials with OpenCV's DNN module, which runs the float network from ONNX.

OpenCV 4 reads the INT8 .tflite file, but its first convolution then refuses the input; unsigned
models it does not read at all. So this is what works.
"""

from __future__ import annotations

import cv2

from benchmarks.contenders.common import arguments, run
from benchmarks.contenders.plain import RawSsd, draw


def main() -> None:
    """Run it over the clip."""
    args = arguments()
    cv2.setNumThreads(args.threads)
    network = cv2.dnn.readNetFromONNX(args.model)
    ssd = RawSsd(args.manifest)

    def step(frame):
        side = (ssd.side, ssd.side)
        blob = cv2.dnn.blobFromImage(frame, 1 / 128, side, (128, 128, 128), swapRB=True)
        network.setInput(blob)
        logits, boxes = network.forward(("logits", "boxes"))
        for number, score, box in ssd.detections(logits[0], boxes[0]):
            draw(frame, ssd.labels[number], score, box)

    run(args, step)


if __name__ == "__main__":
    main()
