"""Reports to the service manager: ready, alive, a status line."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pi_detector.daemon.systemd import Notifier
from pi_detector.pipeline.pipeline import Pipeline

STATUS_INTERVAL_S = 5.0


@dataclass(slots=True)
class _Mark:
    """Where the last status line left off."""

    at_s: float
    processed: int = 0


class Health:
    """Feeds the watchdog by progress alone, and says how the machine is.

    Progress: a frame went through the detector, or the source is within the deadlines of what it
    does, be it a read or a wait before the next try.

    Args:
        notifier: of the service manager.

    Attributes:
        trouble: a reload that was refused, in words; empty for none.
        waiting: settings that the next restart applies, in words; empty for none.
    """

    def __init__(self, notifier: Notifier) -> None:
        self.trouble = self.waiting = ""
        self._reported = ("", "")
        self._rate = 0.0
        self._notifier = notifier
        self._ready = False
        self._fed_s = 0.0
        self._mark = _Mark(time.monotonic())

    def update(self, pipeline: Pipeline) -> None:
        """Send what is due."""
        if not self._notifier.listening:
            return
        if not self._ready and (
            pipeline.counters.processed or pipeline.source_state in {"stalled", "reopening"}
        ):
            self._ready = True
            self._notifier.ready()
        if pipeline.progressed_s > self._fed_s:
            self._fed_s = pipeline.progressed_s
            self._notifier.alive()
        now_s = time.monotonic()
        is_due = now_s - self._mark.at_s >= STATUS_INTERVAL_S
        if is_due:
            processed = pipeline.counters.processed
            self._rate = (processed - self._mark.processed) / (now_s - self._mark.at_s)
            self._mark = _Mark(now_s, processed)
        # Who reloads looks at once.
        if is_due or (self.trouble, self.waiting) != self._reported:
            self._reported = (self.trouble, self.waiting)
            self._notifier.status(self._words(pipeline, now_s))

    def reloading(self) -> None:
        """A reload begins."""
        self._notifier.reloading()

    def reloaded(self) -> None:
        """A reload is over, one way or the other."""
        if self._ready:
            self._notifier.ready()

    def _words(self, pipeline: Pipeline, now_s: float) -> str:
        words = f"{pipeline.source_name} {pipeline.source_state}, {self._rate:.1f} frames/s"
        if pipeline.paused:
            words += ", detection paused"
        elif pipeline.last_found is None:
            words += ", nothing detected yet"
        else:
            label, at_s = pipeline.last_found
            words += f", last detection {label} {now_s - at_s:.0f} s ago"
        return "; ".join(filter(None, (words, self.trouble, self.waiting)))
