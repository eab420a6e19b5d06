"""Results made of rows of detections, any of them for hypothesis."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from pi_detector.core.frame import Frame
from pi_detector.core.geometry import Detections
from pi_detector.core.result import Result, Timings

# A loaded machine is no failure.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

LABELS = {1: "person", 2: "bicycle"}

ANY_ROWS = st.lists(
    st.tuples(
        *(st.floats(-5, 645, width=32) for _ in range(4)),
        st.floats(0, 1, width=32),
        st.integers(0, 99),
    ),
    max_size=5,
)
"""Of detections: x1, y1, x2, y2, score, class id."""


def a_result(detections: Detections | None = None, **changes: Any) -> Result:
    frame = {
        "image": np.zeros((480, 640, 3), np.uint8),
        "sequence": 42,
        "captured_ns": 1_234_567_890,
        "captured_at": datetime(2026, 11, 24, 2, 3, 4, 123456, UTC),
        "source": "demo",
        **changes,
    }
    found = detections if detections is not None else Detections()
    return Result(Frame(**frame), found, LABELS, Timings(1.23456, 2, 0.5, 40), dropped=3)


def found(*rows: tuple[float, float, float, float, float, int]) -> Detections:
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Detections(
        table[:, :4].astype(np.float32),
        table[:, 4].astype(np.float32),
        table[:, 5].astype(np.int64),
    )
