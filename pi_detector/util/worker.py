"""A thread that can be waited for and reports how it ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Worker:
    """A thread that keeps its exception for the one who joins it.

    Attributes:
        name: of the thread.
        error: what ended it, or None.
    """

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self.name = name
        self.error: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            self.error = error

    @property
    def running(self) -> bool:
        """Whether the thread does its work."""
        return self.error is None and self._thread.is_alive()

    def check(self) -> None:
        """Raise what ended the thread, if something did.

        Raises:
            Exception: of the thread; one that is none, such as SystemExit, as RuntimeError.
        """
        if isinstance(self.error, Exception):
            raise self.error
        if self.error is not None:
            raise RuntimeError(f"thread {self.name}: {self.error!r}") from self.error

    def finish(self, deadline: float) -> bool:
        """Wait as ``join`` does, and raise what ended the thread."""
        ended = self.join(deadline)
        if self.error is not None:
            raise self.error
        return ended

    def join(self, deadline: float) -> bool:
        """Wait until ``deadline`` (monotonic seconds). Returns whether the thread ended."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return not self._thread.is_alive()
