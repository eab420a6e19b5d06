"""Measurements over time, in few enough steps to be drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pi_detector.report.content import Report
from pi_detector.report.scan import CONDITIONS
from pi_detector.report.store import Store
from pi_detector.telemetry.histogram import GAMMA

_MOST_STEPS = 360
_STEPS_S = (60, 300, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 604800)

Values = NDArray[np.floating[Any]]

_QUANTILES = """
with added as (
    select device, floor(c.moment / $step)::bigint as step, i, sum(n) as n
    from buckets join chunks c using (device, file, chunk) where stage = 1 and c.period = 0
    group by all
), ranked as (
    select *, sum(n) over (partition by device, step order by i) as seen,
        sum(n) over (partition by device, step) as total
    from added
)
select device, step, min(i) filter (seen >= ceil(0.5 * total)) as p50,
    min(i) filter (seen >= ceil(0.99 * total)) as p99
from ranked group by device, step
"""
_READINGS = """
select device, floor(moment / $step)::bigint as step,
    avg(celsius) as celsius, max(celsius) as celsius_max, avg(mhz) as mhz,
    sum(replaced) / nullif(sum(captured), 0) as replaced, sum(interval_s) as covered_s,
    max(under_voltage) as under_voltage, max(frequency_capped) as frequency_capped,
    max(throttled) as throttled, max(soft_temperature_limit) as soft_temperature_limit
from records where period = 0 group by all
"""


@dataclass(frozen=True, slots=True)
class Series:
    """The measurements of one device, a value a step; NaN where there is none.

    Attributes:
        at: begin of each step, seconds since 1970.
        p50_ms: median of ``invoke``.
        p99_ms: of ``invoke``, what one of a hundred exceeds.
        celsius: mean temperature.
        celsius_max: highest temperature.
        mhz: mean clock.
        replaced: share of captured frames.
        covered: whether there are records.
        met: by condition, whether it was met in the step.
    """

    at: Values
    p50_ms: Values
    p99_ms: Values
    celsius: Values
    celsius_max: Values
    mhz: Values
    replaced: Values
    covered: NDArray[np.bool_]
    met: dict[str, NDArray[np.bool_]]


def step_of(report: Report, shortest_s: int) -> int:
    """The length of a step in seconds, so that there are not too many.

    Args:
        report: over whose time they spread.
        shortest_s: what the tables resolve.
    """
    span_s = (report.until - report.since).total_seconds()
    for step_s in _STEPS_S:
        if step_s >= shortest_s and span_s / step_s <= _MOST_STEPS:
            return step_s
    return _STEPS_S[-1] * math.ceil(span_s / _STEPS_S[-1] / _MOST_STEPS)


def series_of(store: Store, report: Report) -> dict[str, Series]:
    """The measurements of all devices by name, over the same steps."""
    step_s = step_of(report, store.chunk_s)
    first = math.floor(report.since.timestamp() / step_s)
    count = math.floor(report.until.timestamp() / step_s) - first + 1
    grids: dict[int, dict[str, Values]] = {}
    for query in (_QUANTILES, _READINGS):
        for row in store.rows(query, step=step_s):
            _place(grids.setdefault(int(row["device"]), {}), row, first, count)
    at = (first + np.arange(count)) * float(step_s)
    return {store.devices[device]: _series(at, grid) for device, grid in sorted(grids.items())}


def _place(grid: dict[str, Values], row: dict[str, Any], first: int, count: int) -> None:
    index = row["step"] - first
    if not 0 <= index < count:
        return
    for name, value in row.items():
        if name not in {"device", "step"} and value is not None:
            grid.setdefault(name, np.full(count, math.nan))[index] = value


def _series(at: Values, grid: dict[str, Values]) -> Series:
    nothing = np.full(len(at), math.nan)

    def values(name: str) -> Values:
        return grid.get(name, nothing)

    def milliseconds(name: str) -> Values:
        """What stands for a bucket, as in ``Histogram.quantile``."""
        return 2 * GAMMA ** values(name) / (GAMMA + 1)

    return Series(
        at=at,
        p50_ms=milliseconds("p50"),
        p99_ms=milliseconds("p99"),
        celsius=values("celsius"),
        celsius_max=values("celsius_max"),
        mhz=values("mhz"),
        replaced=values("replaced"),
        covered=values("covered_s") > 0,
        met={name: values(name) == 1 for name in CONDITIONS},
    )
