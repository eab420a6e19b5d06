"""Recovery of a run from failures of its source and its sinks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pi_detector.config.settings import RecoverySettings
from pi_detector.core.records import StatusRecord
from pi_detector.sinks.base import Sink
from pi_detector.sinks.supervised import SupervisedSink
from pi_detector.sources.base import Source
from pi_detector.sources.supervised import SupervisedSource

Report = Callable[[StatusRecord], None]


@dataclass(frozen=True, slots=True)
class Supervision:
    """How failures are recovered from; without it, each of them ends the run.

    Attributes:
        recovery: mode and delays.
        read_timeout_s: after which the source ends a read.
        grace_s: how long the source may exceed its deadlines before the process gives up on it.
    """

    recovery: RecoverySettings
    read_timeout_s: float
    grace_s: float = 10.0

    def of_source(self, source: Source, report: Report) -> SupervisedSource:
        """The source, opened again when it fails; ``report`` takes its status records."""
        return SupervisedSource(
            source,
            self.recovery,
            read_timeout_s=self.read_timeout_s,
            grace_s=self.grace_s,
            report=report,
        )

    def of_sink(self, sink: Sink, report: Report) -> SupervisedSink:
        """The sink, retried when it fails; ``report`` takes its status records."""
        return SupervisedSink(sink, self.recovery, report)
