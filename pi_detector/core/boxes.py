"""Boxes as they are published."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

Score = Annotated[float, msgspec.Meta(ge=0, le=1)]
BoxPx = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the frame."""
Box = tuple[Score, Score, Score, Score]
"""x1, y1, x2, y2 in 0..1 of the frame's width and height."""


def rounded_px(xyxy: Sequence[float]) -> BoxPx:
    """A box in pixels, as precise as it is published."""
    x1, y1, x2, y2 = xyxy
    return round(x1, 1), round(y1, 1), round(x2, 1), round(y2, 1)


def normalized(xyxy: Sequence[float], width: int, height: int) -> Box:
    """A box in pixels of a frame of this size, as shares of it."""
    x1, y1, x2, y2 = xyxy
    return _share(x1, width), _share(y1, height), _share(x2, width), _share(y2, height)


def _share(value: float, whole: int) -> float:
    return min(1.0, max(0.0, round(value / whole, 5)))
