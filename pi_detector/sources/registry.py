"""Create a source from its URI."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from pi_detector.config.settings import SourceSettings
from pi_detector.errors import ConfigError, SourceNotFoundError, UnknownSchemeError
from pi_detector.sources.auto import AutoSource, first_camera
from pi_detector.sources.base import Source
from pi_detector.sources.demo import DemoSource
from pi_detector.sources.images import ImagesSource
from pi_detector.sources.media import STDIN, STDIN_PATH
from pi_detector.sources.picamera import PicameraSource
from pi_detector.sources.plugin import PluginSource
from pi_detector.sources.stream import StreamSource
from pi_detector.sources.turn import TurnedSource, needs_turning
from pi_detector.sources.v4l2 import V4l2Source
from pi_detector.sources.video import VideoSource
from pi_detector.util.media import kind_of
from pi_detector.util.plugins import find_plugin, installed
from pi_detector.util.suggest import nearest
from pi_detector.util.uri import redact, split_uri

log = logging.getLogger(__name__)


def make_source(settings: SourceSettings, *, wait: bool = False) -> Source:
    """Create the source of ``settings.uri``, not yet opened, isolated in a process if needed.

    Args:
        settings: ``uri`` is of one of the kinds below or a path; the source uses the rest.
        wait: without a camera, ``auto`` waits for one instead of running the demo.

    Raises:
        UnknownSchemeError: the URI has an unknown scheme.
        SourceNotFoundError: it is a path that does not exist.
        ConfigError: its scheme is known, but the rest is invalid, or it lacks a setting.
    """
    if settings.uri.lower() == "auto" or split_uri(settings.uri)[0] == "auto":
        if wait:
            return AutoSource(settings, make_source)
        # Searched for once: the process of an isolated source opens what was found here.
        settings = msgspec.structs.replace(settings, uri=_find())
    source = _make(settings)
    _refuse(source, settings)
    if _is_isolated(source, settings.isolation):
        # Its process makes sources too, and needs none of that.
        from pi_detector.sources.isolated import IsolatedSource

        return IsolatedSource(source, settings)
    return TurnedSource(source, settings) if needs_turning(settings) else source


def make_recording(settings: SourceSettings, starts_at: datetime) -> Source:
    """Create the source of a video file with its own clocks, not yet opened, isolated if needed.

    It is not turned: recordings are upright already.

    Args:
        settings: ``uri`` is ``file:`` and the path.
        starts_at: see ``VideoSource``.
    """
    source = VideoSource(split_uri(settings.uri)[1], settings, starts_at=starts_at)
    if _is_isolated(source, settings.isolation):
        from pi_detector.sources.isolated import IsolatedSource

        return IsolatedSource(source, settings, starts_at)
    return source


def check_source(settings: SourceSettings) -> list[str]:
    """Check a source before it is opened.

    Returns:
        Warnings: a file that does not exist yet, a setting without effect.

    Raises:
        UnknownSchemeError: the URI has an unknown scheme.
        ConfigError: its scheme is known, but the rest is invalid, or it lacks a setting.
    """
    uri = settings.uri
    # What a secret holds is not known yet.
    if "${" in uri or uri.lower() == "auto" or split_uri(uri)[0] == "auto":
        return []
    try:
        source = _make(settings)
    except SourceNotFoundError as error:
        return [f"source.uri: {error}"]
    _refuse(source, settings)
    if settings.fps and isinstance(source, VideoSource):
        return [
            "source.fps: has no effect on a video file, unless its frames have no times; "
            "detection.max_fps limits the rate"
        ]
    return []


def _refuse(source: Source, settings: SourceSettings) -> None:
    """Raises ConfigError where a source is asked for what sources of its kind do not have."""
    if isinstance(source, PluginSource):  # whose business it is
        return
    kinds = {
        "controls": (PicameraSource, V4l2Source),
        "pixel_format": (V4l2Source,),
        "sensor_mode": (PicameraSource,),
        "tuning_file": (PicameraSource,),
    }
    for name, having in kinds.items():
        if getattr(settings, name) and not isinstance(source, having):
            raise ConfigError(
                f"source.{name}: {source.name} has no such setting; it is for "
                f"{' and '.join(_EXAMPLES_OF[kind] for kind in having)}"
            )
    if settings.poll_s and not (
        isinstance(source, StreamSource) and split_uri(settings.uri)[0].startswith("http")
    ):
        raise ConfigError(
            f"source.poll_s: {source.name} is not the address of a snapshot (http://...); leave "
            "it at 0"
        )
    if not settings.fps:
        return
    if isinstance(source, StreamSource):
        raise ConfigError(
            "source.fps: a stream's rate is set in the camera; leave source.fps at 0, and set "
            "detection.max_fps to detect less often"
        )
    if isinstance(source, ImagesSource):
        raise ConfigError("source.fps: has no effect, as images have no rate; leave it at 0")


def _is_isolated(source: Source, wanted: str) -> bool:
    # The first isolates one picture from the other by itself; a plugin is code of the owner's, and
    # what it needs is not known.
    if isinstance(source, ImagesSource | PluginSource):
        return False
    return wanted == "on" or (wanted == "auto" and isinstance(source, StreamSource | VideoSource))


def _make(settings: SourceSettings) -> Source:
    uri = settings.uri
    if uri == STDIN:
        return _stdin(settings)
    scheme, target = split_uri(uri)
    kind = _KINDS.get(scheme)
    if kind is not None:
        return kind.make(uri if kind.takes_uri else target, settings)
    # An empty one would be the path of the working directory.
    if uri and (_exists(Path(uri)) or (not scheme and _looks_like_path(uri))):
        return _from_path(uri, settings)
    if scheme and (plugin := find_plugin("source", scheme)):
        return PluginSource(plugin, target, settings)
    raise _unknown(uri, scheme)


def _stdin(settings: SourceSettings) -> Source:
    if settings.loop:
        raise ConfigError("source.loop: standard input cannot be read twice; leave it false")
    if sys.stdin is not None and sys.stdin.isatty():
        raise ConfigError(
            "source.uri: '-' is a video on standard input, which is a terminal here; pipe a video "
            "into it"
        )
    return VideoSource(str(STDIN_PATH), settings)


def _from_path(target: str, settings: SourceSettings) -> Source:
    """A source for a path: a device, a folder of images, an image or a video."""
    if target.startswith("//"):
        target = "/" + target.lstrip("/")
    path = Path(target)
    exists = _exists(path)
    if path.is_char_device() if exists else path.is_relative_to("/dev"):
        return V4l2Source(target, settings)
    if not exists:
        raise SourceNotFoundError(
            f"{redact(target)}: no such video, image or folder; check the path"
        )
    if path.is_dir():
        return ImagesSource(target, settings)
    return ImagesSource([path], settings) if _is_image(path) else VideoSource(target, settings)


def _is_image(path: Path) -> bool:
    """Whether a file is an image; of one that cannot be read its source says so when it opens."""
    try:
        return kind_of(path) == "image"
    except OSError:
        return False


def _find() -> str:
    """The URI of a camera, else of the demo."""
    camera = first_camera()
    if camera is not None:
        return camera.uri
    log.warning(
        "NO CAMERA FOUND: showing the demo, a moving view of a photograph. Plug in a camera, or "
        "set "
        "source.uri; 'pi-detector doctor' lists the cameras."
    )
    return "demo:"


class _Kind(NamedTuple):
    """How a kind of source is made and written.

    Attributes:
        make: from what stands after the colon, and the settings.
        example: for messages.
        takes_uri: ``make`` wants the whole URI.
    """

    make: Callable[[str, SourceSettings], Source]
    example: str
    takes_uri: bool = False


_KINDS = {
    "picamera": _Kind(PicameraSource, "picamera:0"),
    "v4l2": _Kind(V4l2Source, "v4l2:/dev/video0"),
    "rtsp": _Kind(StreamSource, "rtsp://HOST/PATH", takes_uri=True),
    "rtsps": _Kind(StreamSource, "rtsps://HOST/PATH", takes_uri=True),
    "http": _Kind(StreamSource, "http://HOST/PATH", takes_uri=True),
    "https": _Kind(StreamSource, "https://HOST/PATH", takes_uri=True),
    "file": _Kind(_from_path, "file:VIDEO"),
    "images": _Kind(ImagesSource, "images:DIR"),
    "demo": _Kind(DemoSource, "demo:"),
}
_EXAMPLES_OF: dict[type[Source], str] = {PicameraSource: "picamera:N", V4l2Source: "v4l2:"}
SCHEMES = frozenset({"auto", *_KINDS})
"""Of our sources; a plugin cannot have one of them."""
_EXAMPLES = {"auto": "auto"} | {scheme: kind.example for scheme, kind in _KINDS.items()}


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # such as a name that is too long
        return False


def _looks_like_path(uri: str) -> bool:
    return "/" in uri or bool(Path(uri).suffix)


def _unknown(uri: str, scheme: str) -> UnknownSchemeError:
    examples = _EXAMPLES | {each.name: f"{each.name}:" for each in installed("source")}
    near = nearest(scheme or uri, examples)
    hint = f"did you mean '{examples[near]}'? " if near else ""
    kinds = ", ".join(examples.values())
    return UnknownSchemeError(
        f"source.uri: unknown scheme in '{redact(uri)}'; {hint}use one of {kinds}, or the path "
        "of a video, an image or a folder of images"
    )
