"""A thread for disk jobs, so that a slow card costs no frames."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

MOST_WAITING_BYTES = 8 * 1024 * 1024
MOST_WAITING_JOBS = 1000


class DiskThread:
    """Does jobs one after another, in the order in which they were given.

    While more waits than a bound, ``submit`` waits: the sink's own queue then loses frames, which
    the pipeline counts. A job that fails does not keep the later ones from being done.
    """

    def __init__(self) -> None:
        self._jobs: deque[tuple[Callable[[], None], int]] = deque()
        self._bytes = 0
        self._busy = False
        self._closed = False
        self._error: Exception | None = None
        self._done = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="recordings-disk", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], None], size: int = 0) -> None:
        """Add a job.

        Args:
            job: called in the thread.
            size: bytes that the job holds in memory.
        """
        with self._changed:
            while self._bytes >= MOST_WAITING_BYTES or len(self._jobs) >= MOST_WAITING_JOBS:
                self._changed.wait()
            self._jobs.append((job, size))
            self._bytes += size
            self._changed.notify_all()

    def take_error(self) -> Exception | None:
        """The first error since this was asked last."""
        with self._changed:
            error, self._error = self._error, None
            return error

    def take_done(self) -> bool:
        """Whether a job was done without an error since this was asked last."""
        with self._changed:
            done, self._done = self._done, False
            return done

    def drain(self, timeout_s: float) -> bool:
        """Wait until all jobs are done. Returns whether they are."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while self._jobs or self._busy:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return False
                self._changed.wait(left_s)
            return True

    def close(self, timeout_s: float) -> bool:
        """Do the jobs that wait, and end. Returns whether that was done in time."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (taken := self._next()) is not None:
            job, size = taken
            try:
                job()
            except Exception as error:  # noqa: BLE001 - the failure of this job alone
                with self._changed:
                    self._error = self._error or error
            else:
                with self._changed:
                    self._done = True
            finally:
                with self._changed:
                    self._busy = False
                    self._bytes -= size
                    self._changed.notify_all()

    def _next(self) -> tuple[Callable[[], None], int] | None:
        with self._changed:
            while not self._jobs and not self._closed:
                self._changed.wait()
            if not self._jobs:
                return None
            self._busy = True
            return self._jobs.popleft()
