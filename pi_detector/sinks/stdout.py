"""Records on standard output: one JSON object per line."""

from __future__ import annotations

import os
import sys
from typing import BinaryIO

from pi_detector.core.records import Publication
from pi_detector.errors import ReaderGoneError, SinkError
from pi_detector.sinks.lines import LineFormat, line_of
from pi_detector.util.text import several_lines


class JsonLinesSink:
    """Writes one record per line, and flushes it.

    Args:
        stream: stream to write to; None = standard output.
        line_format: format of the lines.
        empty_frames: also write the record of a frame without detections.
    """

    name = "stdout"
    lossless = True

    def __init__(
        self,
        stream: BinaryIO | None = None,
        *,
        line_format: LineFormat = "jsonl",
        empty_frames: bool = True,
    ) -> None:
        self.setup = (stream, line_format, empty_frames)
        self._stream = stream
        self._line_format: LineFormat = line_format
        self._empty_frames = empty_frames
        self._to_terminal = False

    def start(self) -> None:
        """Find standard output. Raises SinkError where the process has none."""
        if self._stream is None:
            if sys.stdout is None:
                raise SinkError(
                    "standard output: closed; redirect it to a file, or set output.stdout to none"
                )
            self._stream = sys.stdout.buffer
        self._to_terminal = self._stream.isatty()

    def handle(self, item: Publication) -> bool:
        """Write one record.

        Raises:
            ReaderGoneError: the reader is gone.
            SinkError: the record cannot be written, as on a full disk.
        """
        line = line_of(item, self._line_format, empty_frames=self._empty_frames)
        if line is None:
            return False
        assert self._stream is not None, "start() comes first"
        if self._to_terminal and not line.isascii():  # JSON escapes those of ASCII by itself
            line = several_lines(line.decode()).encode()
        try:
            self._stream.write(line)
            self._stream.flush()
        except BrokenPipeError as error:
            raise ReaderGoneError("standard output: the reader has closed it") from error
        except OSError as error:
            # What could not be written stays in the stream's buffer, so that a later try, or the
            # next record, completes the line.
            raise SinkError(
                f"standard output: cannot write a record: {error.strerror}; "
                "check the disk or the program behind it"
            ) from error
        return True

    def close(self) -> None:
        """Do nothing: each record was flushed, and the stream belongs to the process."""


def silence_stdout() -> None:
    """Send the rest of standard output to /dev/null.

    To be called before the process ends if writing failed: the record that failed is still in the
    stream's buffer, and the interpreter, which flushes it when it exits, would print "Exception
    ignored ..." and change the exit code.
    Source: https://docs.python.org/3/library/signal.html#note-on-sigpipe
    """
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.close(sink)
