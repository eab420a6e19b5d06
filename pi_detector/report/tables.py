"""The tables of a report, as text in cells: for the page and for the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pi_detector.report.content import Comparison, Report, Summary
from pi_detector.report.findings import figures_of
from pi_detector.report.notes import duration

NONE = "–"
_MOST_ROWS = 20
_CONDITIONS = {
    "under_voltage": "under-voltage",
    "frequency_capped": "clock capped",
    "throttled": "throttled",
    "soft_temperature_limit": "soft temperature limit",
}
_RATIOS = (
    ("invoke, mean", "invoke_mean_ms", "ms"),
    ("invoke, median", "invoke_p50_ms", "ms"),
    ("invoke, p99", "invoke_p99_ms", "ms"),
    ("latency, median", "latency_p50_ms", "ms"),
    ("latency, p99", "latency_p99_ms", "ms"),
    ("frames out a second", "fps_out", ""),
    ("frames replaced", "replaced_share", "%"),
    ("temperature, mean", "celsius_mean", "°C"),
    ("temperature, highest", "celsius_max", "°C"),
    ("clock, mean", "mhz_mean", "MHz"),
    ("processor", "cpu_percent_mean", "% of a core"),
    ("memory, most", "rss_mb_max", "MB"),
    ("under-voltage", "under_voltage_share", "%"),
    ("throttled", "throttled_share", "%"),
    ("time with records", "coverage", "%"),
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table; ``left_out`` rows are only in the JSON file."""

    title: str
    header: list[str]
    rows: list[list[str]]
    left_out: int = 0


def overview(report: Report) -> Table:
    """A row a device."""
    return Table(
        "Devices",
        ["device", "records cover", "frames/s", "replaced", "invoke p50", "p99", "latency p50",
         "p99", "max. °C", "throttled", "under-volt.", "boots", "starts"],
        [
            [
                summary.name, percent(summary.coverage), f"{summary.fps_out:.1f}",
                percent(summary.replaced_share), *_quantiles(summary, "invoke"),
                *_quantiles(summary, "latency"), number(summary.sensors.celsius_max),
                _share(summary, "throttled"), _share(summary, "under_voltage"),
                str(summary.reboots), str(summary.restarts),
            ]
            for summary in report.devices
        ],
    )  # fmt: skip


def stages(summary: Summary) -> Table:
    """A row a stage, in milliseconds."""
    return Table(
        "Milliseconds by stage",
        ["stage", "frames", "mean", "p50", "p90", "p99", "p99.9", "max."],
        [
            [name, grouped(q.count)]
            + [_ms(value) for value in (q.mean, q.p50, q.p90, q.p99, q.p999, q.max)]
            for name, q in summary.stages_ms.items()
        ],
    )


def losses(summary: Summary) -> Table:
    """Frames that did not get everywhere, by reason."""
    rows = [["replaced by a newer one before detection", grouped(summary.replaced)]]
    rows += [[f"output {output} was too slow", grouped(n)] for output, n in summary.unseen.items()]
    return Table("Frames lost", ["reason", "frames"], rows)


def comparison(found: Comparison) -> Table:
    """Both sides, and their ratio."""
    rows = []
    for label, name, unit in _RATIOS:
        sides = [_figure(side, name) for side in (found.first, found.second)]
        if sides == [None, None]:
            continue
        ratio = found.ratios.get(name)
        scale = 100 if unit == "%" else 1
        cells = [NONE if v is None else f"{scale * v:.4g} {unit}".strip() for v in sides]
        rows.append([label, *cells, NONE if ratio is None else f"{ratio:.3f}"])
    header = ["", found.first.name, found.second.name, "ratio"]
    return Table("Comparison", header, rows)


def lists(report: Report) -> list[Table]:
    """What happened: the longest, or the last, of each kind."""
    longest = sorted(report.episodes, key=lambda episode: -episode.length_s)
    gaps = sorted(report.gaps, key=lambda gap: -gap.length_s)
    starts = list(reversed(report.starts))
    steps = [step for step in reversed(report.clock_steps) if not step.at_set]
    made = [
        _list(
            "Throttling, the longest episodes",
            ["device", "condition", "begin", "length"],
            [
                [e.device, _CONDITIONS[e.condition], when(e.begin), duration(e.length_s)]
                for e in longest
            ],
        ),
        _list(
            "Starts, the last ones",
            ["device", "what", "time", "without records before"],
            [
                [s.device, "boot" if s.kind == "boot" else "program alone", when(s.time),
                 "unknown" if s.silent_s is None else duration(s.silent_s)]
                for s in starts
            ],
        ),
        _list(
            "Gaps, the longest times without records",
            ["device", "begin", "length", "ended by"],
            [
                [g.device, when(g.begin), duration(g.length_s), "boot" if g.at_boot else "itself"]
                for g in gaps
            ],
        ),
        _list(
            "Clock steps while running, the last ones",
            ["device", "time", "step"],
            [[s.device, when(s.time), f"{s.step_s:+.1f} s"] for s in steps],
        ),
        _list(
            "Status records",
            ["device", "part", "name", "state", "how often", "results lost"],
            [
                [s.device, s.part, s.name, s.state, grouped(s.count), grouped(s.lost)]
                for s in sorted(report.status, key=lambda s: (-s.lost, -s.count))
            ],
        ),
    ]  # fmt: skip
    return [table for table in made if table.rows]


def when(moment: datetime) -> str:
    """A moment, to the second."""
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def grouped(count: int) -> str:
    """A count with thin spaces between thousands."""
    return f"{count:,}".replace(",", "\u2009")


def number(value: float | None, digits: int = 0) -> str:
    """A number, or a dash."""
    return NONE if value is None else f"{value:.{digits}f}"


def percent(share: float) -> str:
    """A share in percent; what is not zero is not written as zero."""
    if share == 0:
        return "0"
    if share < 0.001:
        return "<0.1 %"
    if 0.999 < share < 1:
        return ">99.9 %"
    return f"{100 * share:.1f} %"


def _list(title: str, header: list[str], rows: list[list[str]]) -> Table:
    return Table(title, header, rows[:_MOST_ROWS], max(0, len(rows) - _MOST_ROWS))


def _quantiles(summary: Summary, stage: str) -> list[str]:
    found = summary.stages_ms.get(stage)
    return [NONE, NONE] if found is None else [_ms(found.p50), _ms(found.p99)]


def _ms(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _share(summary: Summary, condition: str) -> str:
    found = summary.throttling.get(condition)
    return NONE if found is None else percent(found.share)


def _figure(summary: Summary, name: str) -> float | None:
    return figures_of(summary).get(name)
