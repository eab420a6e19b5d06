"""The classes and functions for programs: ``from pi_detector import Detector, open_source``."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from types import TracebackType

import msgspec

from pi_detector.config.check import dotted, problems
from pi_detector.config.settings import SourceSettings
from pi_detector.core.frame import Frame
from pi_detector.detector.bundle import Bundle, find_model
from pi_detector.errors import ConfigError
from pi_detector.sources.registry import make_source


def load_model(model: str | PathLike[str] = "", labels: str | PathLike[str] = "") -> Bundle:
    """Load a model without running it.

    Args:
        model: name of an installed bundle, a bundle folder, or a bare `.tflite` file; empty = the
            default model.
        labels: labels file of a bare `.tflite` file.

    Raises:
        ModelNotFoundError, BadModelError, BadLabelsError: it is missing, damaged, or does not fit.

    Example:
        >>> "person" in [label.name for label in load_model("street").labels]
        True
    """
    return find_model(model, labels)


class OpenSource:
    """An open source of frames: iterate over it in a ``with`` block.

    Attributes:
        name: short name, stable across reopening.
        live: True if frames arrive in real time; False for a file or folder, of which every frame
            is read.
    """

    def __init__(self, settings: SourceSettings) -> None:
        self._source = make_source(settings)
        self.name = self._source.name
        self.live = self._source.live

    def __enter__(self) -> OpenSource:
        self._source.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._source.close()

    def __iter__(self) -> Iterator[Frame]:
        while (frame := self._source.read()) is not None:
            yield frame


def open_source(uri: str = "auto", **settings: object) -> OpenSource:
    """Open a camera, stream, video file or image folder, as a context manager.

    Args:
        uri: as the setting ``source.uri``.
        settings: further settings of ``[source]``, such as ``width=1280`` or ``loop=True``.

    Raises:
        ConfigError: a setting is unknown or has a bad value.
        SourceNotFoundError, UnknownSchemeError: the URI names nothing that exists.

    Example:
        >>> with open_source("demo:") as source:
        ...     frame = next(iter(source))
        >>> frame.image.shape
        (480, 640, 3)
    """
    options = {"uri": uri, **settings}
    if found := [f"{dotted(path)}: {text}" for path, text in problems({"source": options})]:
        raise ConfigError("; ".join(found))
    return OpenSource(msgspec.convert(options, SourceSettings))
