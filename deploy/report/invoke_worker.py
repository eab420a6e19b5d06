"""Times ``invoke()`` of one model on orders from standard input; runs in any Python with a runtime.

It is started as a file, possibly by a Python that has nothing of this project, so it imports the
runtime and numpy only. An order is a JSON line, ``{"threads": 2, "budget_ms": 50}``; the answer is
a JSON line with the milliseconds of each ``invoke()``. Ends at the end of its input.

Usage: invoke_worker.py RUNTIME_MODULE MODEL PHOTO.npy THREADS,...
"""

import importlib
import json
import sys
import time

import numpy as np

FEWEST, MOST = 3, 25


def main() -> None:
    """Open one interpreter a number of threads, then obey."""
    runtime, model, photo, threads = sys.argv[1:]
    module = importlib.import_module(runtime)
    interpreters = {
        int(n): ready(module, model, np.load(photo), int(n)) for n in threads.split(",")
    }
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        times = burst(interpreters[order["threads"]], order["budget_ms"])
        print(json.dumps({"ms": times}), flush=True)


def ready(module, model, photo, threads):
    """An interpreter that has the photo as its input and has run once.

    Args:
        module: of the runtime.
        model: path of the .tflite file.
        photo: (h, w, 3) uint8, scaled to the model's input by the nearest pixel.
        threads: of the interpreter.
    """
    interpreter = module.Interpreter(model_path=model, num_threads=threads)
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    rows, columns = (
        np.arange(wanted) * given // wanted
        for wanted, given in zip(details["shape"][1:3], photo.shape[:2], strict=True)
    )
    real = (photo[rows][:, columns].astype(np.float32) - 128) / 128
    scale, zero_point = details["quantization"]
    kind = np.dtype(details["dtype"])
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        real = np.clip(np.rint(real / scale) + zero_point, limits.min, limits.max)
    interpreter.set_tensor(details["index"], real.astype(kind)[None])
    interpreter.invoke()
    return interpreter


def burst(interpreter, budget_ms):
    """Milliseconds of a few calls in a row, until the budget is spent."""
    times = []
    while len(times) < FEWEST or (len(times) < MOST and sum(times) < budget_ms):
        started = time.perf_counter()
        interpreter.invoke()
        times.append((time.perf_counter() - started) * 1000)
    return times


if __name__ == "__main__":
    main()
