"""Sources of plugins: what they give becomes frames, what they raise an error that names them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from pi_detector.config.settings import SourceSettings
from pi_detector.core.frame import Frame
from pi_detector.errors import PiDetectorError, PluginError
from pi_detector.sources.base import interrupt
from pi_detector.sources.framing import FrameMaker, Moment
from pi_detector.util.plugins import Plugin

_T = TypeVar("_T")


class PluginSource:
    """A source that a plugin brings: a class with ``open``, ``read`` and ``close``.

    Its ``read`` gives a ``Frame``, or an image, (H, W, 3) uint8 RGB, which was captured now. A
    source without an attribute ``live`` is live.

    Args:
        plugin: whose entry point is named like the scheme.
        target: what stands after the colon of the URI.
        settings: of the source.

    Raises:
        PluginError: the plugin cannot be used.
    """

    def __init__(self, plugin: Plugin, target: str, settings: SourceSettings) -> None:
        self._plugin = plugin
        make = plugin.load()
        if not callable(make):
            raise PluginError(f"{plugin}: {plugin.target} is no class; repair it")
        self._source = self._asked(lambda: make(target, settings))
        self.live = bool(getattr(self._source, "live", True))
        self.name = str(getattr(self._source, "name", plugin.name))
        self._frames = FrameMaker(self.name)

    def open(self, model_size: tuple[int, int] | None = None) -> None:
        """See ``Source``."""
        self._asked(lambda: self._source.open(model_size))

    def read(self) -> Frame | None:
        """See ``Source``.

        Raises:
            PluginError: the plugin fails, or gives what is no image.
        """
        found = self._asked(self._source.read)
        if found is None:
            return None
        moment = Moment.now()
        image = found.image if isinstance(found, Frame) else found
        if not _is_image(image):
            raise PluginError(
                f"{self._plugin}: read() gave {type(found).__name__}, not a Frame or an array "
                "(height, width, 3) of uint8; repair it"
            )
        return found if isinstance(found, Frame) else self._frames.from_rgb(image, moment)

    def close(self) -> None:
        """See ``Source``."""
        self._asked(self._source.close)

    def interrupt(self) -> None:
        """End what the source does, where it can be ended."""
        interrupt(self._source)

    def _asked(self, call: Callable[[], _T]) -> _T:
        try:
            return call()
        except PiDetectorError:
            raise
        except Exception as error:
            raise PluginError(f"{self._plugin}: {self._plugin.failure(error)}") from error


def _is_image(image: object) -> bool:
    return (
        isinstance(image, np.ndarray)
        and image.dtype == np.uint8
        and image.ndim == 3
        and image.shape[2] == 3
        and image.size > 0
    )
