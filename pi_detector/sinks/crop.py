"""Crops of a frame around an object: what a list of events shows."""

from __future__ import annotations

from pi_detector.core.boxes import BoxPx
from pi_detector.core.frame import ImageArray
from pi_detector.sinks.draw import Rect, preview

WIDTH_PX = 360
"""Largest width of a crop."""

_ASPECT = 4 / 3
_MARGIN = 0.3  # of the box's longer side, on each side of it
_SMALLEST_SHARE = 0.2  # of the frame's width: less would show a few pixels, enlarged


def crop_around(image: ImageArray, box_px: BoxPx) -> ImageArray:
    """The part of a frame that shows an object and what is beside it, scaled down.

    Args:
        image: (H, W, 3) uint8 RGB; not changed.
        box_px: the object, x1, y1, x2, y2 in pixels of the frame.

    Returns:
        (h, w, 3) uint8 RGB, at most ``WIDTH_PX`` wide, 4:3 where the frame is large enough.
    """
    left, top, right, bottom = region_around(box_px, (image.shape[1], image.shape[0]))
    return preview(image[top:bottom, left:right], WIDTH_PX)


def region_around(box_px: BoxPx, frame: tuple[int, int]) -> Rect:
    """The region of a frame that a crop around a box shows.

    Args:
        box_px: x1, y1, x2, y2 in pixels of the frame.
        frame: its (width, height) in pixels.

    Returns:
        x1, y1, x2, y2 in whole pixels inside the frame; x2 and y2 are outside the region.
    """
    x1, y1, x2, y2 = box_px
    margin = _MARGIN * max(x2 - x1, y2 - y1)
    width = max(x2 - x1 + 2 * margin, frame[0] * _SMALLEST_SHARE)
    height = y2 - y1 + 2 * margin
    width, height = max(width, height * _ASPECT), max(height, width / _ASPECT)
    left, right = _inside((x1 + x2) / 2, width, frame[0])
    top, bottom = _inside((y1 + y2) / 2, height, frame[1])
    return left, top, right, bottom


def _inside(middle: float, length: float, limit: int) -> tuple[int, int]:
    """A span of a length around a middle, moved and shortened to lie within 0..limit."""
    whole = max(1, min(limit, round(length)))
    start = max(0, min(limit - whole, round(middle - whole / 2)))
    return start, start + whole
