"""The report as a page that needs nothing else."""

from __future__ import annotations

from importlib.resources import files

import jinja2
from markupsafe import Markup

from pi_detector.report import figures, tables
from pi_detector.report.content import Report, Summary
from pi_detector.report.findings import buckets_of
from pi_detector.report.notes import duration, notes
from pi_detector.report.series import series_of
from pi_detector.report.store import Store

_OPEN_DEVICES = 3
"""Up to so many, the devices are shown unfolded."""


def page(report: Report, store: Store) -> str:
    """The HTML page.

    Args:
        report: what it says.
        store: the tables, for the figures.
    """
    series = series_of(store, report)
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(
        (files(__package__) / "page.html.jinja").read_text(encoding="utf-8")
    )
    found = report.comparison
    return template.render(
        report=report,
        period=f"{tables.when(report.since)} to {tables.when(report.until)} UTC",
        notes=notes(report),
        fleet=Markup(figures.fleet(report, series)),
        spread=Markup(figures.spread(report)) if len(report.devices) > 1 else None,
        overview=tables.overview(report),
        comparison=None if found is None else tables.comparison(found),
        distributions=None
        if found is None
        else Markup(figures.distributions(found, *buckets_of(store, found))),
        devices=[
            {
                "summary": summary,
                "gist": _gist(summary),
                "facts": _facts(summary),
                "figure": Markup(figures.device(report, summary.name, series[summary.name])),
                "tables": [tables.stages(summary), tables.losses(summary)],
            }
            for summary in report.devices
        ],
        unfolded=len(report.devices) <= _OPEN_DEVICES,
        lists=tables.lists(report),
        grouped=tables.grouped,
    )


def _gist(summary: Summary) -> str:
    """The key figures of a device."""
    parts = []
    if "invoke" in summary.stages_ms:
        parts.append(f"{summary.stages_ms['invoke'].p50:.3g} ms")
    if summary.sensors.celsius_max is not None:
        parts.append(f"{summary.sensors.celsius_max:.0f} °C")
    slow = max((met.share for met in summary.throttling.values()), default=0.0)
    if slow:
        parts.append(f"slowed {tables.percent(slow)}")
    return ", ".join(parts)


def _facts(summary: Summary) -> str:
    """What else there is to say about a device, in a line."""
    sensors = summary.sensors
    facts = [
        f"{tables.grouped(summary.records)} records over {duration(summary.covered_s)}",
        f"{summary.fps_in:.1f} frames/s in, {summary.fps_out:.1f} out",
    ]
    for value, words in (
        (sensors.celsius_mean, "{:.0f} °C on average"),
        (sensors.mhz_mean, "{:.0f} MHz on average"),
        (sensors.cpu_percent_mean, "{:.0f} % of a core"),
        (sensors.rss_mb_max, "{:.0f} MB of memory at most"),
        (sensors.disk_mb_min, "{:.0f} MB of disk free at least"),
        (sensors.wifi_dbm_mean, "Wi-Fi {:.0f} dBm"),
    ):
        if value is not None:
            facts.append(words.format(value))
    facts += [f"{tables.grouped(n)} {label} events" for label, n in summary.events.items()]
    if summary.unsynchronized_s:
        facts.append(f"clock not synchronized for {duration(summary.unsynchronized_s)}")
    return ", ".join(facts)
