"""The motion gate: decides whether a frame is worth running the detector.

The background is a mixture of Gaussians for each pixel, learned from the frames themselves, so
that what always moves (leaves, noise in the dark) becomes background as well. Z. Zivkovic,
"Improved Adaptive Gaussian Mixture Model for Background Subtraction", ICPR 2004, as OpenCV has it
(MOG2), on a small grey image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pi_detector.config.settings import MotionSettings, Point
from pi_detector.core.frame import ImageArray
from pi_detector.core.geometry import FloatArray

Why = Literal["motion", "held", "heartbeat", "scene change", "still"]

_SIDE_PX = 75  # of the grey image; a visitor of a tenth of the frame's height has 7 rows
_REGION_CELLS = 2  # pixels of the grey image that make a region: fewer are noise
_MAX_REGIONS = 32
_DEVIATION = 15.0  # variance of a pixel at first, in grey levels squared
_LEAST_DEVIATION = 4.0


@dataclass(frozen=True, slots=True)
class Motion:
    """What the gate says of a frame.

    Attributes:
        moved: something moves in it.
        share: of the frame that moves, without the masks, in 0..1.
        area: the largest region that moves, as a share of the frame.
        why: ``motion``; ``held``: there was motion a moment ago, or something is tracked;
            ``heartbeat``: a still scene's turn; ``scene change``: the light changed at once;
            ``still``.
        regions: (N, 4) float32 ``x1, y1, x2, y2`` in 0..1 of the frame: what moves, the largest
            first; also what is smaller than the gate opens for.
    """

    moved: bool
    share: float
    area: float
    why: Why
    regions: FloatArray = field(default_factory=lambda: np.zeros((0, 4), np.float32))

    @property
    def infer(self) -> bool:
        """Whether the detector is to look at the frame."""
        return self.why != "still"


class MotionGate:
    """Watches the small image that the model is fed with. For one thread and one source.

    Args:
        settings: section `motion`; whether it is enabled is the caller's business.
        wants_regions: also find the regions that move, which costs a little where any does.
    """

    def __init__(self, settings: MotionSettings, *, wants_regions: bool = False) -> None:
        import cv2

        self._settings = settings
        self._wants_regions = wants_regions
        self._watched = _watched(settings.masks)
        self._pixels = max(1, int(np.count_nonzero(self._watched)))
        self._background = cv2.createBackgroundSubtractorMOG2(
            varThreshold=settings.threshold**2, detectShadows=False
        )
        self._background.setVarInit(_DEVIATION)
        self._background.setVarMin(_LEAST_DEVIATION)
        self._before_ns: int | None = None
        self._inferred_ns = 0
        self._open_until_ns = self._hold_until_ns = self._moved_ns = 0

    def observe(self, staged: ImageArray, now_ns: int) -> Motion:
        """Look at the next frame.

        Args:
            staged: (h, w, 3) uint8 RGB, at the model's size.
            now_ns: when it was captured, monotonic.
        """
        import cv2

        small = cv2.resize(
            cv2.cvtColor(staged, cv2.COLOR_RGB2GRAY),
            (_SIDE_PX, _SIDE_PX),
            interpolation=cv2.INTER_AREA,
        )
        moving = self._background.apply(small, learningRate=self._rate(now_ns))
        moving = cv2.bitwise_and(moving, self._watched)
        count = cv2.countNonZero(moving)
        share, area = count / self._pixels, 0.0
        if share > self._settings.scene_change:
            self._background.apply(small, learningRate=1.0)
            return self._decide(now_ns, share, share, "scene change")
        regions = _regions(moving) if self._wants_regions and count >= _REGION_CELLS else None
        if count >= self._settings.min_area * moving.size:
            _, _, statistics, _ = cv2.connectedComponentsWithStats(moving)
            area = float(statistics[1:, cv2.CC_STAT_AREA].max(initial=0)) / moving.size
        if area > 0 and area >= self._settings.min_area:
            self._moved_ns = now_ns
            self._open_until_ns = now_ns + round(self._settings.open_s * 1e9)
            return self._decide(now_ns, share, area, "motion", regions)
        held = now_ns < self._hold_until_ns
        if now_ns < self._open_until_ns or (held and self._may_hold(now_ns)):
            return self._decide(now_ns, share, area, "held", regions)
        if now_ns - self._inferred_ns >= self._settings.heartbeat_s * 1e9:
            return self._decide(now_ns, share, area, "heartbeat", regions)
        return self._decide(now_ns, share, area, "still", regions)

    def hold(self, until_ns: int) -> None:
        """Keep the gate open, as while something is followed that does not stand still.

        But no longer than ``hold_s`` after the last motion: where no pixel moves nothing does,
        however the detector's boxes jump.

        Args:
            until_ns: monotonic.
        """
        self._hold_until_ns = max(self._hold_until_ns, until_ns)

    @property
    def enabled(self) -> bool:
        """Whether still frames are to be spared; else motion alone is watched."""
        return self._settings.enabled

    def reset(self) -> None:
        """Forget the background, as of a source that was reopened: the next frame is the new."""
        self._before_ns = None

    def _may_hold(self, now_ns: int) -> bool:
        return now_ns - self._moved_ns < self._settings.hold_s * 1e9

    def _rate(self, now_ns: int) -> float:
        """How much of the background this frame becomes: by the time since the one before."""
        before, self._before_ns = self._before_ns, now_ns
        if before is None:
            self._moved_ns = now_ns
            self._inferred_ns = now_ns - round(self._settings.heartbeat_s * 1e9)
            return 1.0
        dt_s = max(0, now_ns - before) / 1e9
        return 1 - math.exp(-dt_s / self._settings.history_s)

    def _decide(
        self, now_ns: int, share: float, area: float, why: Why, regions: FloatArray | None = None
    ) -> Motion:
        if why != "still":
            self._inferred_ns = now_ns
        if regions is None:
            return Motion(why == "motion", share, area, why)
        return Motion(why == "motion", share, area, why, regions)


def _regions(moving: NDArray[Any]) -> FloatArray:
    """(N, 4) float32 ``x1, y1, x2, y2`` in 0..1: what moves, the largest first.

    Parts that almost touch are one region: of a visitor often only the outlines move.
    """
    import cv2

    grown = cv2.dilate(moving, np.ones((3, 3), np.uint8))
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(grown)
    cells = np.bincount(labels[moving > 0], minlength=len(statistics))
    found = np.flatnonzero(cells >= _REGION_CELLS)
    found = found[np.argsort(-cells[found], kind="stable")[:_MAX_REGIONS]]
    left, top = statistics[found, cv2.CC_STAT_LEFT], statistics[found, cv2.CC_STAT_TOP]
    right = left + statistics[found, cv2.CC_STAT_WIDTH]
    bottom = top + statistics[found, cv2.CC_STAT_HEIGHT]
    # Without what the dilation added, which ends at the edge of the picture.
    corners = np.stack([left + 1, top + 1, right - 1, bottom - 1], axis=1)
    corners[:, :2] -= corners[:, :2] == 1
    corners[:, 2:] += corners[:, 2:] == _SIDE_PX - 1
    return (corners / np.float32(_SIDE_PX)).astype(np.float32)


def _watched(masks: Mapping[str, Sequence[Point]]) -> NDArray[np.uint8]:
    """(h, w) uint8: 255 where motion counts."""
    import cv2

    watched = np.full((_SIDE_PX, _SIDE_PX), 255, np.uint8)
    for polygon in masks.values():
        corners = np.rint(np.array(polygon) * _SIDE_PX).astype(np.int32)
        cv2.fillPoly(watched, [corners], (0,))
    return watched
