"""The limit: ``invoke()`` alone, on one frame of the clip, which is not read again."""

from __future__ import annotations

import time

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from benchmarks.contenders.common import WARM_UP, Clip, Probe, RateLimit, arguments


def main() -> None:
    """Run it."""
    args = arguments()
    interpreter = Interpreter(model_path=args.model, num_threads=args.threads)
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    frame, _ = Clip(args.clip, 0).read()
    _, height, width, _ = details["shape"]
    resized = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), (width, height))
    data = (resized.astype(np.int16) - 128).astype(np.int8)
    interpreter.set_tensor(details["index"], data[np.newaxis])
    pace, probe = RateLimit(args.fps), Probe()
    for _ in range(WARM_UP + args.frames):
        pace.wait()
        started_ns = time.monotonic_ns()
        interpreter.invoke()
        probe.frame(started_ns)
    probe.report()


if __name__ == "__main__":
    main()
