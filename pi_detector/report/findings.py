"""Questions to the tables, and their answers as the content of a report."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from pi_detector import __version__
from pi_detector.core.clock import utc_now
from pi_detector.errors import LogNotFoundError
from pi_detector.report.content import (
    ClockStep,
    Comparison,
    Episode,
    Gap,
    Quantiles,
    Report,
    Sensors,
    Start,
    Status,
    Summary,
    Throttling,
)
from pi_detector.report.scan import CONDITIONS, STAGES
from pi_detector.report.store import Period, Store
from pi_detector.telemetry.histogram import Buckets, Histogram

_TOTALS = """
select {key} as key, count(*) as records, min(moment - interval_s) as first, max(moment) as last,
    sum(interval_s) as covered_s, sum(greatest(silent_s, 0)) as silent_s,
    sum(captured) as captured, sum(processed) as processed, sum(inferred) as inferred,
    sum(replaced) as replaced,
    sum(is_boot::int) as reboots, sum(is_restart::int) as restarts, sum(is_gap::int) as gaps,
    coalesce(sum(interval_s) filter (sync = 0), 0) as unsynchronized_s,
    count(step_s) filter (sync_before = 1) as clock_steps,
    sum(interval_s) filter (throttled is not null or under_voltage is not null) as told_s,
    bool_or(under_voltage is not null) as tells_under_voltage,
    bool_or(frequency_capped is not null) as tells_frequency_capped,
    bool_or(throttled is not null) as tells_throttled,
    bool_or(soft_temperature_limit is not null) as tells_soft_temperature_limit,
    avg(celsius) as celsius_mean, max(celsius) as celsius_max,
    avg(mhz) as mhz_mean, min(mhz) as mhz_min, max(rss_mb) as rss_mb_max,
    min(memory_mb) as memory_mb_min, min(disk_mb) as disk_mb_min,
    avg(wifi_dbm) as wifi_dbm_mean, avg(cpu_percent) as cpu_percent_mean
from records where {where} group by {key}
"""
_STAGES = """
select {key} as key, stage, sum(n) as n, sum(sum_ms) as sum_ms, max(max_ms) as max_ms
from stages join chunks using (device, file, chunk) where {where} group by {key}, stage
"""
_BUCKETS = """
select {key} as key, stage, i::int as i, sum(n)::bigint as n
from buckets join chunks using (device, file, chunk) where {where} group by all
"""
_EPISODES = """
select {key} as key, condition, count(*) as episodes, sum(length_s) as total_s,
    max(length_s) as longest_s
from episodes where {where} group by {key}, condition
"""
_UNSEEN = """
select {key} as key, output, sum(n) as n
from unseen join records using (device, file, line) where {where} group by {key}, output
"""
_EVENTS = """
select {key} as key, label, count(*) as n from (
    select *, period_of(t) as period from events where phase = 'new'
) where {where} group by {key}, label
"""

_OURS = "period = 0"


def report_of(store: Store, compared: tuple[str, str] | None) -> Report:
    """The whole report.

    Args:
        store: the tables; where they have two periods, these are compared.
        compared: two devices that are compared; None for none.

    Raises:
        LogNotFoundError: there are no performance records to report about.
    """
    devices = summaries(store, "device", _OURS)
    if not devices:
        raise LogNotFoundError(
            f"no performance records of the period in {store.files.files} files; a run writes them "
            "with telemetry.interval_s above 0"
        )
    found = [_named(store.devices[key], summary) for key, summary in sorted(devices.items())]
    return Report(
        pi_detector=__version__,
        time=utc_now(),
        since=min(summary.first for summary in found),
        until=max(summary.last for summary in found),
        files=store.files,
        devices=found,
        episodes=_episodes(store),
        starts=_starts(store),
        gaps=_gaps(store),
        clock_steps=_clock_steps(store),
        status=_status(store),
        comparison=_comparison(store, found, compared),
    )


def summaries(store: Store, key: str, where: str) -> dict[int, Summary]:
    """What the records say in short.

    Args:
        store: the tables.
        key: what is distinguished: ``device`` or ``period``.
        where: which records: a condition about these two.
    """

    def ask(query: str) -> list[dict[str, Any]]:
        return store.rows(query.format(key=key, where=where))

    stages = _quantiles(ask(_STAGES), ask(_BUCKETS))
    episodes: defaultdict[int, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in ask(_EPISODES):
        episodes[row["key"]][row["condition"]] = row
    unseen, events = _counts(ask(_UNSEEN), "output"), _counts(ask(_EVENTS), "label")
    return {
        int(row["key"]): Summary(
            name="",
            first=_time(row["first"]),
            last=_time(row["last"]),
            records=row["records"],
            covered_s=round(row["covered_s"], 1),
            silent_s=round(row["silent_s"] or 0.0, 1),
            captured=int(row["captured"]),
            processed=int(row["processed"]),
            inferred=int(row["inferred"]),
            replaced=int(row["replaced"]),
            unseen=unseen[row["key"]],
            fps_in=round(row["captured"] / max(row["covered_s"], 1e-9), 2),
            fps_out=round(row["processed"] / max(row["covered_s"], 1e-9), 2),
            stages_ms=stages[row["key"]],
            sensors=Sensors(**{name: _rounded(row[name]) for name in Sensors.__struct_fields__}),
            throttling=_throttling(row, episodes[row["key"]]),
            reboots=int(row["reboots"]),
            restarts=int(row["restarts"]),
            gaps=int(row["gaps"]),
            unsynchronized_s=round(row["unsynchronized_s"], 1),
            clock_steps=row["clock_steps"],
            events=events[row["key"]],
        )
        for row in ask(_TOTALS)
    }


def _quantiles(
    stages: list[dict[str, Any]], buckets: list[dict[str, Any]]
) -> defaultdict[int, dict[str, Quantiles]]:
    counts: defaultdict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for row in buckets:
        counts[row["key"], row["stage"]].append((row["i"], row["n"]))
    found: defaultdict[int, dict[str, Quantiles]] = defaultdict(dict)
    for row in sorted(stages, key=lambda row: row["stage"]):
        merged = Histogram.from_buckets(
            counts[row["key"], row["stage"]], row["sum_ms"] / row["n"], row["max_ms"]
        )
        p50, p90, p99, p999 = (
            round(merged.quantile(share), 3) for share in (0.5, 0.9, 0.99, 0.999)
        )
        found[row["key"]][STAGES[int(row["stage"])]] = Quantiles(
            count=merged.count,
            mean=round(merged.mean_ms, 3),
            p50=p50,
            p90=p90,
            p99=p99,
            p999=p999,
            max=merged.max_ms,
        )
    return found


def _throttling(
    totals: Mapping[str, Any], episodes: Mapping[str, Mapping[str, Any]]
) -> dict[str, Throttling]:
    found = {}
    for condition in CONDITIONS:
        if not totals[f"tells_{condition}"]:
            continue
        met = episodes.get(condition, {"episodes": 0, "total_s": 0.0, "longest_s": 0.0})
        found[condition] = Throttling(
            met["episodes"],
            round(met["total_s"], 1),
            round(met["longest_s"], 1),
            round(min(1.0, met["total_s"] / max(totals["told_s"], 1e-9)), 5),
        )
    return found


def _comparison(
    store: Store, devices: list[Summary], compared: tuple[str, str] | None
) -> Comparison | None:
    if compared is not None:
        first, second = (
            next((summary for summary in devices if summary.name == name), None)
            for name in compared
        )
    elif len(store.periods) == 2:
        sides = summaries(store, "period", "period >= 0")
        first, second = (
            _named(_name_of(store.periods[number], side), side)
            if (side := sides.get(number))
            else None
            for number in (1, 0)
        )
    else:
        return None
    if first is None or second is None:
        raise LogNotFoundError("one side of the comparison has no performance records")
    return Comparison(first, second, ratios(first, second))


def _name_of(period: Period, side: Summary) -> str:
    """When a period was: as asked for, else as far as there are records."""
    begin = _time(period.since) if math.isfinite(period.since) else side.first
    end = _time(period.until) if math.isfinite(period.until) else side.last
    return f"{begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"


def buckets_of(store: Store, compared: Comparison) -> tuple[Buckets, Buckets]:
    """How ``invoke`` is distributed on both sides of a comparison; empty where it never ran."""
    names = [compared.first.name, compared.second.name]
    if set(names) <= set(store.devices):
        key, where = "device", _OURS
        sides = [store.devices.index(name) for name in names]
    else:
        key, where, sides = "period", "period >= 0", [1, 0]
    rows = store.rows(f"{_BUCKETS.format(key=key, where=f'{where} and stage = 1')} order by i")
    first, second = ([(row["i"], row["n"]) for row in rows if row["key"] == side] for side in sides)
    return first, second


def ratios(first: Summary, second: Summary) -> dict[str, float | None]:
    """Figures of ``second`` over those of ``first``; None where either is not there or zero."""
    before, after = figures_of(first), figures_of(second)
    return {
        name: round(after[name] / value, 4) if value and after.get(name) else None
        for name, value in before.items()
    }


def figures_of(summary: Summary) -> dict[str, float]:
    """What of a summary is compared, by name."""
    figures: dict[str, float | None] = {
        f"{stage}_{name}_ms": getattr(found, name)
        for stage, found in summary.stages_ms.items()
        for name in ("mean", "p50", "p90", "p99")
    }
    figures |= {
        "fps_in": summary.fps_in,
        "fps_out": summary.fps_out,
        "replaced_share": summary.replaced_share,
        "celsius_mean": summary.sensors.celsius_mean,
        "celsius_max": summary.sensors.celsius_max,
        "mhz_mean": summary.sensors.mhz_mean,
        "cpu_percent_mean": summary.sensors.cpu_percent_mean,
        "rss_mb_max": summary.sensors.rss_mb_max,
        "coverage": summary.coverage,
    }
    figures |= {f"{name}_share": found.share for name, found in summary.throttling.items()}
    return {name: value for name, value in figures.items() if value is not None}


def _episodes(store: Store) -> list[Episode]:
    rows = store.rows(f"from episodes where {_OURS} order by begin_at, device, condition")
    return [
        Episode(
            store.devices[int(row["device"])],
            row["condition"],
            _time(row["begin_at"]),
            round(row["length_s"], 1),
        )
        for row in rows
    ]


def _starts(store: Store) -> list[Start]:
    rows = store.rows(
        f"from records where {_OURS} and (is_boot or is_restart) order by moment, device"
    )
    return [
        Start(
            store.devices[int(row["device"])],
            "boot" if row["is_boot"] else "program",
            _time(row["moment"] - row["interval_s"]),
            None if row["silent_s"] is None else round(max(0.0, row["silent_s"]), 1),
        )
        for row in rows
    ]


def _gaps(store: Store) -> list[Gap]:
    rows = store.rows(f"from records where {_OURS} and is_gap order by moment, device")
    return [
        Gap(
            store.devices[int(row["device"])],
            _time(row["moment"] - row["interval_s"] - row["silent_s"]),
            round(row["silent_s"], 1),
            row["is_boot"],
        )
        for row in rows
    ]


def _clock_steps(store: Store) -> list[ClockStep]:
    rows = store.rows(f"from records where {_OURS} and step_s is not null order by moment, device")
    return [
        ClockStep(
            store.devices[int(row["device"])],
            _time(row["moment"]),
            round(row["step_s"], 1),
            row["sync_before"] == 0 and row["sync"] == 1,
        )
        for row in rows
    ]


def _status(store: Store) -> list[Status]:
    rows = store.rows(
        "select device, part, name, state, count(*) as count, sum(lost) as lost from status "
        "where period_of(t) = 0 group by all order by all"
    )
    return [
        Status(
            store.devices[int(row["device"])],
            row["part"],
            row["name"],
            row["state"],
            row["count"],
            int(row["lost"]),
        )
        for row in rows
    ]


def _counts(rows: list[dict[str, Any]], name: str) -> defaultdict[int, dict[str, int]]:
    found: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for row in sorted(rows, key=lambda row: str(row[name])):
        found[row["key"]][row[name]] = int(row["n"])
    return found


def _named(name: str, summary: Summary) -> Summary:
    return msgspec.structs.replace(summary, name=name)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
