"""Looks: the parts of a frame that the detector is given, and what asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LookReason = Literal["whole", "motion", "track", "rest", "tile"]
"""Why a part is looked at: the whole frame's turn; something moves there; an object that is
followed is small, or about to be lost; the rest of the frame has its turn; a still is tiled."""


@dataclass(frozen=True, slots=True)
class Look:
    """A rectangle of a frame that the detector is given, scaled to the model's input.

    Attributes:
        x: left edge, in pixels of the frame.
        y: upper edge.
        width: in pixels of the frame.
        height: in pixels of the frame.
        reason: why.
    """

    x: int
    y: int
    width: int
    height: int
    reason: LookReason

    @property
    def xyxy(self) -> tuple[int, int, int, int]:
        """``x1, y1, x2, y2`` in pixels of the frame."""
        return self.x, self.y, self.x + self.width, self.y + self.height

    @classmethod
    def whole(cls, width: int, height: int) -> Look:
        """A look at the whole of a frame of this size."""
        return cls(0, 0, width, height, "whole")

    def is_whole(self, width: int, height: int) -> bool:
        """Whether it shows all of a frame of this size."""
        return self.xyxy == (0, 0, width, height)


@dataclass(frozen=True, slots=True)
class TrackedBox:
    """Where an object that is followed is expected.

    Attributes:
        xyxy: ``x1, y1, x2, y2`` in pixels of the frame.
        unseen: the latest frame that showed its part of the scene was without it.
        stationary: it stands still.
    """

    xyxy: tuple[float, float, float, float]
    unseen: bool
    stationary: bool
