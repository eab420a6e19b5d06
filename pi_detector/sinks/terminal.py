"""The status line: shows the state of the run at a terminal, instead of records."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter, deque
from typing import BinaryIO, TextIO

from pi_detector.core.records import Publication, StatusRecord
from pi_detector.core.result import Result
from pi_detector.errors import ReaderGoneError, SinkError
from pi_detector.util.status_line import StatusLine
from pi_detector.util.text import one_line

_INTERVAL_S = 0.25
_WINDOW_S = 3.0
_NOW_S = 1.0  # a detection this recent is what is seen now


class TerminalSink:
    """Shows source, state, frames per second and what is seen, at most four times per second.

    Args:
        page: address of the page; empty for none.
        stream: stream of a terminal; None = standard output.
    """

    name = "stdout"
    lossless = False

    def __init__(self, page: str = "", stream: BinaryIO | None = None) -> None:
        self.setup = (page, stream)
        self._page = page
        self._stream = stream
        self._line: StatusLine | None = None
        self._source = self._state = ""
        self._paused = False
        self._frames_s: deque[float] = deque()
        self._found: tuple[str, float] | None = None
        self._shown_s = 0.0

    def start(self) -> None:
        """Begin the line. Raises SinkError where the process has no standard output."""
        if self._stream is None:
            if sys.stdout is None:
                raise SinkError("standard output: closed; set output.stdout to none")
            self._stream = sys.stdout.buffer
        self._line = self._line or StatusLine(self._stream)

    def handle(self, item: Publication) -> bool:
        """Take note, and refresh the line.

        Returns:
            Whether it was refreshed.

        Raises:
            ReaderGoneError: the terminal is gone.
            SinkError: it cannot be written to.
        """
        now_s = time.monotonic()
        changed = self._note(item, now_s)
        if changed or now_s - self._shown_s >= _INTERVAL_S:
            self._shown_s = now_s
            self._show(self._words(now_s))
            return True
        return False

    def close(self) -> None:
        """Erase the line; never raises."""
        line, self._line = self._line, None
        if line is not None:
            try:
                line.end()
            except OSError:
                return  # the terminal is gone, and the line with it

    def _note(self, item: Publication, now_s: float) -> bool:
        """Take note of an item. Returns whether the line is to be refreshed at once."""
        match item:
            case Result():
                self._source = item.frame.source
                self._frames_s.append(now_s)
                if len(item.detections):
                    self._found = _words_of(item), now_s
            case StatusRecord(part="source"):
                self._source, self._state = item.name, item.state
                return True
            case StatusRecord(part="detection"):
                self._paused = item.state == "paused"
                return True
        return False

    def _words(self, now_s: float) -> str:
        while self._frames_s and now_s - self._frames_s[0] > _WINDOW_S:
            self._frames_s.popleft()
        if not self._source:
            return "starting"
        words = f"{self._source} {self._state or 'live'}"
        if len(self._frames_s) > 1:
            rate = (len(self._frames_s) - 1) / max(now_s - self._frames_s[0], 1e-3)
            words += f", {rate:.1f} frames/s"
        if self._paused:
            words += ", detection paused"
        elif self._found is None:
            words += ", nothing detected yet"
        else:
            words += f", {self._found[0]}"
            ago_s = now_s - self._found[1]
            words += f" {ago_s:.0f} s ago" if ago_s >= _NOW_S else ""
        # First: the end is what a narrow terminal cuts.
        return f"{self._page}  {words}" if self._page else words

    def _show(self, words: str) -> None:
        assert self._line is not None, "start() comes first"
        try:
            self._line.show(one_line(words))
        except BrokenPipeError as error:
            raise ReaderGoneError("standard output: the terminal is gone") from error
        except OSError as error:
            raise SinkError(
                f"terminal: cannot write: {error.strerror}; restart pi-detector"
            ) from error


def _words_of(result: Result) -> str:
    """The labels of a frame, the most frequent first: `person 2, bicycle`."""
    labels = Counter(
        str(result.labels.get(int(class_id), class_id)) for class_id in result.detections.class_id
    )
    return ", ".join(
        f"{label} {count}" if count > 1 else label for label, count in labels.most_common()
    )


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person looks at this stream, at a terminal that can refresh a line."""
    return (
        stream is not None
        and stream.isatty()
        and os.environ.get("TERM", "dumb") not in ("", "dumb")
    )
