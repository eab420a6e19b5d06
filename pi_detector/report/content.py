"""The content of a report: the values behind the page, the summary and the JSON file.

Times are UTC; times from before a device's clock was set are corrected if it was set later in the
same boot. Values that a device does not report are null.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec


class Quantiles(msgspec.Struct, frozen=True):
    """Latencies of a stage in milliseconds, of merged histograms: off by at most 1 %.

    Mean and largest value are exact.
    """

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    p999: float
    max: float


class Throttling(msgspec.Struct, frozen=True):
    """How often and how long a condition was met; ``share`` is of the time with records."""

    episodes: int
    total_s: float
    longest_s: float
    share: float


class Sensors(msgspec.Struct, frozen=True):
    """Extremes and means of sensors."""

    celsius_mean: float | None
    celsius_max: float | None
    mhz_mean: float | None
    mhz_min: float | None
    rss_mb_max: float | None
    memory_mb_min: float | None
    disk_mb_min: float | None
    wifi_dbm_mean: float | None
    cpu_percent_mean: float | None


class Summary(msgspec.Struct, frozen=True):
    """One device, or several together, in a period.

    ``covered_s`` is the time that performance records are about, ``silent_s`` that in between,
    where it is known. ``unseen`` is, by output, what it was too slow for. ``throttling`` holds the
    conditions that the device reports.
    """

    name: str
    first: datetime
    last: datetime
    records: int
    covered_s: float
    silent_s: float
    captured: int
    processed: int
    inferred: int
    replaced: int
    unseen: dict[str, int]
    fps_in: float
    fps_out: float
    stages_ms: dict[str, Quantiles]
    sensors: Sensors
    throttling: dict[str, Throttling]
    reboots: int
    restarts: int
    gaps: int
    unsynchronized_s: float
    clock_steps: int
    events: dict[str, int]

    @property
    def coverage(self) -> float:
        """The share of the time that records are about."""
        return self.covered_s / max(self.covered_s + self.silent_s, 1e-9)

    @property
    def replaced_share(self) -> float:
        """The share of captured frames that gave way to newer ones."""
        return self.replaced / max(self.captured, 1)


class Episode(msgspec.Struct, frozen=True):
    """A time in which a condition was met, according to the records."""

    device: str
    condition: str
    begin: datetime
    length_s: float


class Start(msgspec.Struct, frozen=True):
    """A boot of a device, or a start of pi-detector alone.

    ``silent_s`` is without records before it, at most; null where a clock was never set.
    """

    device: str
    kind: Literal["boot", "program"]
    time: datetime
    silent_s: float | None


class Gap(msgspec.Struct, frozen=True):
    """A time without performance records; ``at_boot`` where the device booted in it."""

    device: str
    begin: datetime
    length_s: float
    at_boot: bool


class ClockStep(msgspec.Struct, frozen=True):
    """A jump of the wall clock while the device ran; forward is positive.

    ``at_set`` where it was set from a time server just then.
    """

    device: str
    time: datetime
    step_s: float
    at_set: bool


class Status(msgspec.Struct, frozen=True):
    """How often a part of a device came into a state; ``lost`` is what its outages cost."""

    device: str
    part: str
    name: str
    state: str
    count: int
    lost: int


class Comparison(msgspec.Struct, frozen=True):
    """Two sides; a ratio is that of the second to the first, by name of the figure."""

    first: Summary
    second: Summary
    ratios: dict[str, float | None]


class Files(msgspec.Struct, frozen=True):
    """What was read.

    ``faults`` names the files that could not be read to their end, and why.
    """

    files: int
    records: dict[str, int]
    damaged_lines: int
    half_lines: int
    faults: dict[str, str]


class Report(msgspec.Struct, frozen=True):
    """A report."""

    pi_detector: str
    time: datetime
    since: datetime
    until: datetime
    files: Files
    devices: list[Summary]
    episodes: list[Episode]
    starts: list[Start]
    gaps: list[Gap]
    clock_steps: list[ClockStep]
    status: list[Status]
    comparison: Comparison | None = None
    format: Literal["pi-detector report 1"] = "pi-detector report 1"
