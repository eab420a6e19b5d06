"""Privacy masks: parts of the frame that nothing behind the camera ever sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from pi_detector.config.outline import polygon_problem
from pi_detector.config.settings import Polygon, PrivacySettings
from pi_detector.core.frame import Frame, ImageArray
from pi_detector.errors import ConfigError


class PrivacyMasks:
    """Blackens polygons in frames, whatever their size.

    Args:
        masks: section `privacy`, of one or more trees of settings; the names serve the user alone.

    Raises:
        ConfigError: an outline is none, or crosses itself: parts of it would stay visible.

    Example:
        >>> masks = PrivacyMasks({"neighbour": PrivacySettings(polygon=((0, 0), (1, 0), (0, 1)))})
        >>> bool(masks)
        True
    """

    def __init__(self, *masks: Mapping[str, PrivacySettings]) -> None:
        self._polygons = [np.array(polygon) for polygon in _polygons(masks)]

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


def _polygons(masks: tuple[Mapping[str, PrivacySettings], ...]) -> Iterator[Polygon]:
    for name, mask in (named for each in masks for named in each.items()):
        if problem := polygon_problem(mask.polygon):
            raise ConfigError(f"privacy.{name}.polygon: {problem}")
        yield mask.polygon
