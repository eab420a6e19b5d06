"""Privacy masks: parts of the frame that nothing behind the camera ever sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pi_detector.config.settings import PrivacySettings
from pi_detector.core.frame import Frame, ImageArray


class PrivacyMasks:
    """Blackens polygons in frames, whatever their size.

    Args:
        masks: section `privacy`; the names serve the user alone.

    Example:
        >>> masks = PrivacyMasks({"neighbour": PrivacySettings(polygon=((0, 0), (1, 0), (0, 1)))})
        >>> bool(masks)
        True
    """

    def __init__(self, masks: Mapping[str, PrivacySettings]) -> None:
        self._polygons = [np.array(mask.polygon) for mask in masks.values() if mask.polygon]

    def __bool__(self) -> bool:
        """Whether there is anything to blacken."""
        return bool(self._polygons)

    def cover(self, frame: Frame) -> Frame:
        """The frame with the masks in its image, and in what the camera scaled for the model."""
        if not self:
            return frame
        small = frame.model_input
        return replace(
            frame,
            image=self._covered(frame.image),
            model_input=None if small is None else self._covered(small),
        )

    def _covered(self, image: ImageArray) -> ImageArray:
        import cv2

        covered = image.copy()
        height, width = image.shape[:2]
        for polygon in self._polygons:
            corners = np.rint(polygon * (width, height)).astype(np.int32)
            cv2.fillPoly(covered, [corners], (0, 0, 0))
            # A pixel more: a border between two pixels shows nothing of the inside.
            cv2.polylines(covered, [corners], True, (0, 0, 0), thickness=3)
        covered.setflags(write=False)
        return covered
