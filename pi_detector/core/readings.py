"""Measurements of a run and its device: the parts of the performance record."""

from __future__ import annotations

from typing import Annotated

import msgspec

Milliseconds = Annotated[float, msgspec.Meta(ge=0)]


class FrameFlow(msgspec.Struct, frozen=True):
    """Where the frames of an interval went.

    ``captured`` came from the source, ``processed`` went through the pipeline, ``inferred`` of them
    through the model. ``replaced`` gave way to a newer one before detection. ``unseen`` counts, by
    sink, what it was too slow for.
    """

    captured: int
    processed: int
    inferred: int
    replaced: int
    unseen: dict[str, int]


class LatencySummary(msgspec.Struct, frozen=True):
    """Latencies of an interval, in milliseconds.

    Bucket [i, n] says that n values were in (g^(i-1), g^i], g = 1.01 / 0.99; the quantiles are
    made of it, so they are off by at most 1 %. Mean and maximum are exact.
    """

    count: int
    mean: Milliseconds
    p50: Milliseconds
    p90: Milliseconds
    p99: Milliseconds
    max: Milliseconds
    buckets: list[tuple[int, int]]


class StageLatencies(msgspec.Struct, frozen=True):
    """Latencies by stage; null where no frame went through it.

    ``latency`` is from capture to the end of decoding.
    """

    preprocess: LatencySummary | None
    invoke: LatencySummary | None
    decode: LatencySummary | None
    latency: LatencySummary | None


class ThrottlingFlags(msgspec.Struct, frozen=True):
    """What throttles a Raspberry Pi, as reported by its firmware; null if unreadable."""

    under_voltage: bool | None = None
    frequency_capped: bool | None = None
    throttled: bool | None = None
    soft_temperature_limit: bool | None = None


class HostReadings(msgspec.Struct, frozen=True):
    """Sensors of the device; null where it has none.

    ``throttling`` is now, ``throttling_ever`` at any time since pi-detector started. ``load_1m``
    and ``uptime_s`` are the kernel's. ``disk_free_mb`` is of the file
    system in which files grow: of recordings, else logs, else snapshots, else of the state folder.
    """

    temperature_celsius: float | None
    cpu_mhz: float | None
    cpu_governor: str | None
    throttling: ThrottlingFlags
    throttling_ever: ThrottlingFlags
    load_1m: float | None
    memory_available_mb: float | None
    disk_free_mb: int | None
    wifi_dbm: int | None
    uptime_s: float | None


class GovernorReadings(msgspec.Struct, frozen=True):
    """How fast detection may be.

    ``rungs`` is how far below full speed; 0 limits nothing. ``rate_fps`` is the highest rate of
    inference, null without a limit; ``threads`` are the interpreter's; ``small_model`` means that
    ``governor.model`` runs. ``looks`` is the most looks per frame, null without a limit.
    """

    rungs: int
    rate_fps: float | None
    threads: int
    small_model: bool
    looks: int | None = None


class ProcessReadings(msgspec.Struct, frozen=True):
    """What pi-detector used in the interval; null where it cannot be read.

    100 percent is one core. Threads that Python did not start, such as those of the runtime, are
    ``other``. ``uptime_s`` is since the process started.
    """

    cpu_percent: float | None
    threads_cpu_percent: dict[str, float]
    rss_mb: float | None
    children_rss_mb: float | None
    uptime_s: float | None = None
