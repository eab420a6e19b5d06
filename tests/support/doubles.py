"""Rooms of a pipeline that keep to the protocols but cost nothing."""

import time

import numpy as np

from pi_detector.core.clock import utc_now
from pi_detector.core.frame import Frame
from pi_detector.core.geometry import Detections
from pi_detector.core.result import Result
from pi_detector.detector.detector import Prepared
from pi_detector.detector.resize import Stretch

IMAGE = np.zeros((8, 8, 3), np.uint8)


class CountingSource:
    def __init__(self, frames=None, live=False, interval_s=0.0, error=None, block=None):
        self.name, self.live = "counting", live
        self.frames, self.interval_s, self.error, self.block = frames, interval_s, error, block
        self.next, self.opened, self.closed = 0, None, 0

    def open(self, model_size=None):
        self.opened = model_size

    def read(self):
        if self.block is not None and self.next:
            self.block.wait()
        if self.next == self.frames:
            if self.error:
                raise self.error
            return None
        time.sleep(self.interval_s)
        self.next += 1
        return Frame(IMAGE, self.next - 1, time.monotonic_ns(), utc_now(), self.name)

    def close(self):
        self.closed += 1


class SleepingDetector:
    """Like an interpreter: it releases the GIL for a fixed time. An input is a frame's number."""

    camera_size, labels, resize = (8, 8), {1: "person"}, Stretch((8, 8))

    def __init__(self, prepare_s=0.0, invoke_s=0.0):
        self.prepare_s, self.invoke_s = prepare_s, invoke_s

    def prepare(self, frame):
        time.sleep(self.prepare_s)
        return Prepared(frame, np.array(frame.sequence), self.prepare_s * 1e3, self)

    def infer(self, staged):
        time.sleep(self.invoke_s)
        return {}, self.invoke_s * 1e3

    def decode(self, outputs, width, height):
        return Detections(), 0.0


class ListSink:
    def __init__(self, lossless=True, handle_s=0.0, error=None):
        self.name, self.lossless, self.handle_s, self.error = "list", lossless, handle_s, error
        self.sequences, self.started, self.closed = [], False, False

    def start(self):
        self.started = True

    def handle(self, item):
        if not isinstance(item, Result):
            return
        time.sleep(self.handle_s)
        if self.error:
            raise self.error
        self.sequences.append(item.frame.sequence)

    def close(self):
        self.closed = True
