"""The camera as it is mounted: frames turned, mirrored and cropped before all else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pi_detector.config.settings import SourceSettings
from pi_detector.core.frame import Frame, ImageArray
from pi_detector.core.packets import TakePacket
from pi_detector.sources.base import (
    Adjustable,
    Controls,
    Source,
    TurnsItself,
    interrupt,
    limit_rate,
    rest,
    send_packets,
)
from pi_detector.sources.orientation import UNTURNED, Turn


class TurnedSource:
    """A source whose frames are turned, and cropped then.

    What the camera does by itself is left to it.

    Args:
        source: not open, and not isolated.
        settings: rotate, hflip, vflip, crop.
    """

    def __init__(self, source: Source, settings: SourceSettings) -> None:
        self.live = source.live
        self._source = source
        self._turn = self._left = Turn.of(settings)
        self._crop = settings.crop

    @property
    def name(self) -> str:
        """Name of the source."""
        return self._source.name

    def open(self, model_size: tuple[int, int] | None = None) -> None:
        """Open the source. Raises what it raises."""
        if self._crop is not None:
            model_size = None  # the ISP would scale the whole picture
        elif model_size is not None and self._turn.transpose:
            model_size = model_size[1], model_size[0]
        self._source.open(model_size)
        done = self._source.turned if isinstance(self._source, TurnsItself) else UNTURNED
        self._left = self._turn.after(done)

    def read(self) -> Frame | None:
        """The next frame, turned and cropped. Raises what the source raises."""
        frame = self._source.read()
        if frame is None or (self._left == UNTURNED and self._crop is None):
            return frame
        image = self._cropped(self._left.apply(frame.image))
        small = frame.model_input
        if small is not None:
            small = None if self._crop is not None else _frozen(self._left.apply(small))
        return replace(frame, image=_frozen(image), model_input=small)

    def close(self) -> None:
        """Close the source. Raises what it raises."""
        self._source.close()

    def limit_rate(self, rate_fps: float | None) -> bool:
        """Read at most so many frames per second, see ``Paced``."""
        return limit_rate(self._source, rate_fps)

    def rest(self, still: bool) -> None:
        """Say whether nothing moves, see ``Resting``."""
        rest(self._source, still)

    def send_packets(self, take: TakePacket) -> None:
        """Give the packets away, which nothing turns; see ``SendsPackets``."""
        send_packets(self._source, take)

    def adjust(self, controls: Controls) -> bool:
        """Set controls of the camera, see ``Adjustable``."""
        return isinstance(self._source, Adjustable) and self._source.adjust(controls)

    def interrupt(self) -> None:
        """End what the source does, where it can be ended, see ``Interruptible``."""
        interrupt(self._source)

    def _cropped(self, image: ImageArray) -> ImageArray:
        if self._crop is None:
            return image
        height, width = image.shape[:2]
        left, top, right, bottom = self._crop
        x, y = min(int(left * width), width - 1), min(int(top * height), height - 1)
        return image[y : max(y + 1, round(bottom * height)), x : max(x + 1, round(right * width))]


def needs_turning(settings: SourceSettings) -> bool:
    """Whether the frames are to be turned or cropped."""
    return Turn.of(settings) != UNTURNED or settings.crop is not None


def _frozen(image: ImageArray) -> ImageArray:
    image = np.ascontiguousarray(image)
    image.setflags(write=False)
    return image
