"""Decodes images in a separate process: an image that crashes or hangs it counts as damaged."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from pi_detector.core.frame import ImageArray
from pi_detector.errors import BadImageError, SourcePermissionError
from pi_detector.sources.isolated_link import (
    Delivered,
    Failed,
    Job,
    Opened,
    pack_job,
    unpack_text,
)
from pi_detector.sources.isolated_process import (
    IsolatedProcess,
    ProcessDiedError,
    ProcessSilentError,
    start_process,
)

log = logging.getLogger(__name__)

_TIMEOUT_S = 12.0
_CLOSE_TIMEOUT_S = 2.0


class PictureProcess:
    """Decodes one picture after the other; started when it is needed, and again when it died.

    Args:
        name: of the source, for messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._process: IsolatedProcess | None = None

    def decode(self, path: Path) -> ImageArray:
        """Read and decode a picture.

        Returns:
            (H, W, 3) uint8 RGB, turned upright.

        Raises:
            BadImageError, SourcePermissionError: it cannot be decoded, or may not be read; the
                message is the reason alone.
            SourceLostError, SourceStalledError: no process can be started.
        """
        if self._process is not None and not self._process.is_running:
            self.close()  # it died between two pictures, of neither
        try:
            return self._ask(path)
        except ProcessDiedError as error:
            self.close()
            raise BadImageError(f"the decoder {error}") from error
        except ProcessSilentError as error:
            self.close()
            raise BadImageError(f"the decoder was killed after {_TIMEOUT_S:g} s") from error
        except (BadImageError, SourcePermissionError):
            raise
        except BaseException:
            # An answer that comes late would be taken for that of the next picture.
            self.close()
            raise

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.end(_CLOSE_TIMEOUT_S)

    def _ask(self, path: Path) -> ImageArray:
        if self._process is None:
            self._process = start_process(self._name)
            self._process.send(pack_job(Job(None, None, log.getEffectiveLevel())))
            if not isinstance(self._process.receive(_TIMEOUT_S), Opened):
                raise ProcessDiedError("sent an invalid reply")
        # Opened here: the process itself may open nothing.
        with _opened(path) as fd:
            self._process.send_file(fd)
        answer = self._process.receive(_TIMEOUT_S)
        if isinstance(answer, Delivered):
            return self._process.take(answer.shape, None)[0]
        if not isinstance(answer, Failed):
            raise ProcessDiedError("sent an invalid reply")
        text = unpack_text(answer.text)
        if answer.kind == "SourcePermissionError":
            raise SourcePermissionError(text)
        raise BadImageError(text if answer.kind == "BadImageError" else f"{answer.kind}: {text}")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        # Not to wait for the writer of a pipe that has an image's name.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except PermissionError as error:
        raise SourcePermissionError(error.strerror or str(error)) from error
    except OSError as error:
        raise BadImageError(error.strerror or str(error)) from error
    try:
        yield fd
    finally:
        os.close(fd)
