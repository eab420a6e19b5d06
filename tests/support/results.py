"""Results as a detector gives them, numbered."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import numpy as np
from where import CHECKOUT, SUPPORT

from pi_detector.core.frame import Frame
from pi_detector.core.geometry import Detections
from pi_detector.core.result import Result, Timings

ONE = Detections(np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))


def a_result(number: int = 0, found: Detections = ONE) -> Result:
    frame = Frame(
        np.zeros((48, 64, 3), np.uint8), number, 1, datetime(2026, 11, 24, tzinfo=UTC), "demo"
    )
    return Result(frame, found, {0: "person"}, Timings(1, 1, 1, 3))


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{CHECKOUT}:{SUPPORT}"}
