"""The interface of a source: open, read a frame, close."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from pi_detector.config.settings import ControlValue
from pi_detector.core.frame import Frame
from pi_detector.core.packets import TakePacket
from pi_detector.util.rate_limit import Pace

if TYPE_CHECKING:
    from pi_detector.sources.orientation import Turn

Controls: TypeAlias = Mapping[str, ControlValue]
"""Values of a camera's controls, by the camera's names."""


class Source(Protocol):
    """A source of frames, used by one thread at a time.

    Attributes:
        name: short name for records and logs, stable across reopening.
        live: True if frames arrive in real time and the newest wins; False if every frame counts
            and the source waits for its reader.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - above

    live: bool

    def open(self, model_size: tuple[int, int] | None = None) -> None:
        """Acquire the device or file.

        Args:
            model_size: (height, width) of the model's input, for cameras that can scale.

        Raises:
            SourceNotFoundError, SourceBusyError, SourcePermissionError, BadImageError, ...
        """

    def read(self) -> Frame | None:
        """Return the next frame, or None at the end of a file or folder.

        Raises:
            SourceStalledError: nothing arrived within the deadline.
            SourceLostError: the device or stream is gone.
        """

    def close(self) -> None:
        """Release everything; may be called twice, and on a source that was never opened."""


@runtime_checkable
class Paced(Protocol):
    """A source that skips frames beyond a rate before it decodes or converts them."""

    def limit_rate(self, rate_fps: float | None) -> bool:
        """Skip frames beyond a rate, by the time at which they were captured.

        Of a file that is the time in the video. May be called from any thread.

        Args:
            rate_fps: frames per second, on average; None for all.

        Returns:
            Whether the source does so; else its reader has to.
        """


class SelfPaced:
    """A source that skips frames by a ``Pace`` of its own, see ``Paced``."""

    def __init__(self) -> None:
        self._pace = Pace()

    def limit_rate(self, rate_fps: float | None) -> bool:
        """Read at most so many frames per second."""
        self._pace.rate_fps = rate_fps
        return True


def limit_rate(source: Source, rate_fps: float | None) -> bool:
    """Have a source skip frames beyond a rate, see ``Paced``; False where it cannot."""
    return isinstance(source, Paced) and source.limit_rate(rate_fps)


@runtime_checkable
class Resting(Protocol):
    """A source that delivers fewer frames of a still scene, which costs less."""

    def rest(self, still: bool) -> None:
        """Say whether nothing moves. May be called from any thread."""


def rest(source: Source, still: bool) -> None:
    """Pass on whether the scene is still, to a source that can rest."""
    if isinstance(source, Resting):
        source.rest(still)


@runtime_checkable
class SendsPackets(Protocol):
    """A source that has its video encoded, as it came."""

    def send_packets(self, take: TakePacket) -> None:
        """Also give each packet to ``take``, on the thread that reads. Before ``open``."""


def send_packets(source: Source, take: TakePacket) -> None:
    """Have a source give its packets away, where it has any."""
    if isinstance(source, SendsPackets):
        source.send_packets(take)


@runtime_checkable
class TurnsItself(Protocol):
    """A camera that can mirror its frames.

    Attributes:
        turned: what an open one does of what the settings ask for; it never transposes.
    """

    turned: Turn


@runtime_checkable
class Adjustable(Protocol):
    """A source whose controls can change while it is open."""

    def adjust(self, controls: Controls) -> bool:
        """Set the controls, now and whenever it opens; those left out get their defaults.

        May be called from any thread.

        Returns:
            Whether it does so without being opened again by its owner.

        Raises:
            ConfigError: the camera does not have a control, or refuses a value; nothing changed.
        """


@runtime_checkable
class Interruptible(Protocol):
    """A source whose calls another thread can end."""

    def interrupt(self) -> None:
        """End ``open`` and ``read`` at once, now and in future; ``read`` then returns None."""


def interrupt(source: Source) -> None:
    """End what a source does, where it can be ended, see ``Interruptible``."""
    if isinstance(source, Interruptible):
        source.interrupt()
