"""The eight orientations of an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pi_detector.config.settings import SourceSettings
from pi_detector.core.frame import ImageArray


@dataclass(frozen=True, slots=True)
class Turn:
    """One of the eight orientations of an image: transposed first, mirrored then.

    Attributes:
        transpose: x and y change places.
        hflip: left and right change places.
        vflip: top and bottom change places.
    """

    transpose: bool = False
    hflip: bool = False
    vflip: bool = False

    @classmethod
    def of(cls, settings: SourceSettings) -> Turn:
        """What the settings ask for: rotated clockwise first, mirrored then."""
        hflip = settings.rotate in {90, 180}
        vflip = settings.rotate in {180, 270}
        return cls(settings.rotate in {90, 270}, hflip ^ settings.hflip, vflip ^ settings.vflip)

    def after(self, done: Turn) -> Turn:
        """What is left to do on an image that was mirrored already; ``done`` transposes nothing."""
        hflip, vflip = done.hflip, done.vflip
        if self.transpose:
            hflip, vflip = vflip, hflip
        return Turn(self.transpose, self.hflip ^ hflip, self.vflip ^ vflip)

    def apply(self, image: ImageArray) -> ImageArray:
        """The image turned, (H, W, 3) uint8; the same array where nothing is to do."""
        import cv2

        if self.transpose:
            image = np.asarray(cv2.transpose(image), np.uint8)
        if self.hflip or self.vflip:
            code = -1 if self.hflip and self.vflip else int(self.hflip)
            image = np.asarray(cv2.flip(image, code), np.uint8)
        return image


UNTURNED = Turn()
