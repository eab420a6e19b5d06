"""The figures that ``benchmarks.compare`` measures and ``benchmarks.plot`` draws."""

from __future__ import annotations

from datetime import datetime

import msgspec

from pi_detector.bench.results import Figure, Machine, figure_of

OURS, SMALL, BARE, CLASSIC, REFERENCE = (
    "pi-detector",
    "pi-detector, street-small",
    "invoke() alone",
    "classic loop",
    "classic, COCO SSD",
)
COLUMNS = {
    "cpu_ms": "CPU ms",
    "fps": "frames/s",
    "latency_ms": "latency ms",
    "peak_rss_mb": "peak RSS MB",
    "start_s": "start s",
}


class Entry(msgspec.Struct, frozen=True):
    """A contender's figures; none where it was not measured."""

    name: str
    figures: dict[str, Figure]


class Comparison(msgspec.Struct, frozen=True):
    """What was measured, with all rounds."""

    time: datetime
    machine: Machine
    warnings: list[str]
    clip: str
    threads: int
    rounds: int
    frames: int
    camera_fps: float
    entries: list[Entry]

    def figure(self, contender: str, name: str) -> Figure | None:
        """A figure of a contender, if it was measured."""
        return next(e.figures.get(name) for e in self.entries if e.name == contender)


def ratio(over: Figure, under: Figure) -> Figure:
    """Ratio of the medians, with the quartiles of the ratios of each round."""
    each = figure_of([a / b for a, b in zip(over.rounds, under.rounds, strict=True)])
    return Figure(over.median / under.median, each.q1, each.q3, each.rounds)
