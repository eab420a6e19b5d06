"""The loop of the tutorials with ONNX Runtime and the network quantized to INT8 (QDQ)."""

from __future__ import annotations

import cv2
import numpy as np
import onnxruntime

from benchmarks.contenders.common import WARM_UP, Clip, Probe, arguments
from benchmarks.contenders.plain import RawSsd, draw


def main() -> None:
    """Run it over the clip."""
    args = arguments()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = onnxruntime.InferenceSession(args.model, options, providers=["CPUExecutionProvider"])
    ssd = RawSsd(args.manifest)
    clip, probe = Clip(args.clip, args.fps), Probe()
    for _ in range(WARM_UP + args.frames):
        frame, captured_ns = clip.read()
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        resized = cv2.resize(rgb, (ssd.side, ssd.side))
        data = (np.float32(resized) - 128) / 128
        data = np.expand_dims(data.transpose(2, 0, 1), axis=0)
        logits, boxes = session.run(["logits", "boxes"], {"image": data})
        for number, score, box in ssd.detections(logits[0], boxes[0]):
            draw(frame, ssd.labels[number], score, box)
        probe.frame(captured_ns)
    probe.report()


if __name__ == "__main__":
    main()
