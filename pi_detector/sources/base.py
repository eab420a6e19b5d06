"""The interface of a source: open, read a frame, close."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from pi_detector.core.frame import Frame


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
class Interruptible(Protocol):
    """A source whose calls another thread can end."""

    def interrupt(self) -> None:
        """End ``open`` and ``read`` at once, now and in future; ``read`` then returns None."""
