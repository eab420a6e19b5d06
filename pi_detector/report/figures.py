"""The report's figures: SVG whose text and axes take the page's colour."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

import matplotlib as mpl
import matplotlib.dates as mdates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from pi_detector.report.content import Comparison, Report, Start
from pi_detector.report.series import Series
from pi_detector.report.svg import INK, STYLE, svg_of
from pi_detector.telemetry.histogram import GAMMA, Buckets

# After M. Okabe and K. Ito's colours, which colour-blind people tell apart; blue is lighter, for
# dark pages.
_BLUE, _SKY, _RED, _GREEN = "#2f86c5", "#8cc8ec", "#d55e00", "#009e73"
_ORANGE, _PURPLE = "#e69f00", "#cc79a7"
_WIDTH_IN = 9.0
_STYLE = {
    **STYLE,
    "text.parse_math": False,
    "path.simplify": True,
    "path.simplify_threshold": 0.3,
}
_STATES = (
    ("running", _GREEN, 0.55),
    ("clock capped or throttled", _ORANGE, 0.95),
    ("under-voltage", _PURPLE, 0.95),
)


def fleet(report: Report, series: Mapping[str, Series]) -> str:
    """One row per device: when it sent records, and what throttled it."""
    names = [summary.name for summary in report.devices]
    with mpl.rc_context({**_STYLE, "svg.hashsalt": "fleet"}):
        figure = Figure(figsize=(_WIDTH_IN, 1.25 + 0.24 * len(names)), layout="constrained")
        axes = figure.add_subplot()
        for row, name in enumerate(names):
            _draw_states(axes, row, series[name])
        boots = [start for start in report.starts if start.kind == "boot"]
        axes.plot(
            _days([start.time.timestamp() for start in boots]),
            [names.index(start.device) - 0.45 for start in boots],
            linestyle="", marker="v", markersize=4, color=INK,
        )  # fmt: skip
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.75)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        _time_axis(axes, report)
        patches = [
            Patch(color=colour, alpha=alpha, label=label) for label, colour, alpha in _STATES
        ]
        boot = mpl.lines.Line2D([], [], linestyle="", marker="v", color=INK, label="boot")
        figure.legend(
            handles=[*patches, boot], loc="outside upper left", ncols=4, frameon=False,
            fontsize=9, handlelength=1.2, columnspacing=1.2,
        )  # fmt: skip
        return _svg(figure, "fleet")


def _draw_states(axes: Axes, row: int, series: Series) -> None:
    slowed = series.met["frequency_capped"] | series.met["throttled"]
    slowed |= series.met["soft_temperature_limit"]
    low = series.met["under_voltage"]
    step = series.at[1] - series.at[0] if len(series.at) > 1 else 60.0
    masks = (series.covered & ~slowed & ~low, slowed & ~low, low)
    for mask, (_, colour, alpha) in zip(masks, _STATES, strict=True):
        spans = [(_days(series.at[a]), (b - a) * step / 86400) for a, b in _runs(mask)]
        axes.broken_barh(spans, (row - 0.3, 0.6), color=colour, alpha=alpha, linewidth=0)


def device(report: Report, name: str, series: Series) -> str:
    """Latency, temperature, clock and lost frames of a device, over the same time."""
    panels = [_draw_latency]
    if np.isfinite(series.celsius).any():
        panels.append(_draw_temperature)
    if np.isfinite(series.mhz).any():
        panels.append(_draw_clock)
    if np.nanmax(series.replaced, initial=0) > 0.005:
        panels.append(_draw_replaced)
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        # Fixed places: a layout that fits itself takes as long as drawing does.
        height_in = 0.9 + 1.15 * len(panels)
        figure = Figure(figsize=(_WIDTH_IN, height_in))
        places = {"left": 0.08, "right": 0.99, "hspace": 0.18}
        places |= {"bottom": 0.55 / height_in, "top": 1 - 0.3 / height_in}
        rows = np.atleast_1d(figure.subplots(len(panels), sharex=True, gridspec_kw=places))
        for axes, draw in zip(rows, panels, strict=True):
            _shade(axes, series)
            draw(axes, series)
            axes.grid(alpha=0.15)
            axes.yaxis.set_label_coords(-0.055, 0.5)
            _mark_starts(axes, [start for start in report.starts if start.device == name])
        _time_axis(rows[-1], report)
        return _svg(figure, f"device-{name}")


def _draw_latency(axes: Axes, series: Series) -> None:
    days = _days(series.at)
    axes.plot(days, series.p99_ms, color=_SKY, label="p99", **_line(series))
    axes.plot(days, series.p50_ms, color=_BLUE, label="median", **_line(series))
    axes.set_ylabel("invoke, ms")
    axes.set_ylim(bottom=0)
    axes.legend(
        loc="lower right", bbox_to_anchor=(1, 0.98), ncols=2, frameon=False, fontsize=9,
        borderpad=0, handlelength=1.2,
    )  # fmt: skip


def _draw_temperature(axes: Axes, series: Series) -> None:
    axes.plot(_days(series.at), series.celsius_max, color=_RED, **_line(series))
    axes.set_ylabel("max. °C")


def _draw_clock(axes: Axes, series: Series) -> None:
    axes.plot(_days(series.at), series.mhz, color=_GREEN, **_line(series))
    axes.set_ylabel("mean MHz")
    low, high = float(np.nanmin(series.mhz)), float(np.nanmax(series.mhz))
    axes.set_ylim(low - 0.05 * high, high * 1.05)


def _draw_replaced(axes: Axes, series: Series) -> None:
    axes.plot(_days(series.at), 100 * series.replaced, color=_PURPLE, **_line(series))
    axes.set_ylabel("replaced, %")
    axes.set_ylim(bottom=0)


def _line(series: Series) -> dict[str, Any]:
    """A point alone between gaps would not be seen as a line; where there are few, all are dots."""
    return {"linewidth": 1.1, "marker": "." if series.covered.sum() <= 60 else None}


def _shade(axes: Axes, series: Series) -> None:
    step = series.at[1] - series.at[0] if len(series.at) > 1 else 60.0
    slowed = series.met["frequency_capped"] | series.met["throttled"]
    for mask, colour in ((slowed, _ORANGE), (series.met["under_voltage"], _PURPLE)):
        for begin, end in _runs(mask):
            first = _days(series.at[begin])
            axes.axvspan(
                first, first + (end - begin) * step / 86400, color=colour, alpha=0.22, lw=0
            )


def _mark_starts(axes: Axes, starts: Sequence[Start]) -> None:
    for start in starts:
        style = "-" if start.kind == "boot" else ":"
        axes.axvline(
            _days(start.time.timestamp()), color=INK, linewidth=0.7, alpha=0.6, linestyle=style
        )


def spread(report: Report) -> str:
    """From the median to the 99th percentile of ``invoke``, a row a device."""
    rows = [
        (summary.name, summary.stages_ms["invoke"])
        for summary in report.devices
        if "invoke" in summary.stages_ms
    ]
    rows.sort(key=lambda row: row[1].p50, reverse=True)
    with mpl.rc_context({**_STYLE, "svg.hashsalt": "spread"}):
        figure = Figure(figsize=(_WIDTH_IN, 1.1 + 0.24 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        places = range(len(rows))
        axes.hlines(places, [q.p50 for _, q in rows], [q.p99 for _, q in rows], color=_SKY, lw=5)
        axes.plot([q.p50 for _, q in rows], places, "o", color=_BLUE, markersize=5, label="median")
        axes.plot([q.p99 for _, q in rows], places, "|", color=_BLUE, markersize=8, label="p99")
        axes.set_yticks(places, [name for name, _ in rows])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlim(left=0)
        axes.set_xlabel("invoke, ms")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", alpha=0.15)
        figure.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=9)
        return _svg(figure, "spread")


def distributions(comparison: Comparison, first: Buckets, second: Buckets) -> str:
    """How ``invoke`` is distributed on both sides of a comparison."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": "distributions"}):
        figure = Figure(figsize=(_WIDTH_IN, 2.6), layout="constrained")
        axes = figure.add_subplot()
        for side, buckets, colour in (
            (comparison.first, first, _RED),
            (comparison.second, second, _BLUE),
        ):
            if not buckets:
                continue
            indices = np.arange(buckets[0][0] - 1, buckets[-1][0] + 2)
            shares = np.zeros(len(indices))
            for index, count in buckets:
                shares[index - indices[0]] = count
            shares *= 100 / shares.sum()
            axes.stairs(
                shares[1:], GAMMA ** indices.astype(float), color=colour, fill=True, alpha=0.3
            )
            axes.stairs(shares[1:], GAMMA ** indices.astype(float), color=colour, label=side.name)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("{x:g}")
        axes.tick_params(axis="x", which="both", labelsize=9)
        axes.set_xlabel("invoke, ms; steps of 2 %")
        axes.set_ylabel("% of frames")
        figure.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=9)
        return _svg(figure, "distributions")


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Begin and end of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _days(seconds: Any) -> Any:
    """Seconds since 1970 as matplotlib counts days."""
    return np.asarray(seconds, dtype=float) / 86400


def _time_axis(axes: Axes, report: Report) -> None:
    locator = mdates.AutoDateLocator(tz=UTC, maxticks=8)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        mdates.ConciseDateFormatter(locator, tz=UTC)  # type: ignore[no-untyped-call]
    )
    first, last = report.since.timestamp(), report.until.timestamp()
    axes.set_xlim(_days(first), _days(max(last, first + 60)))


def _svg(figure: Figure, name: str) -> str:
    opening, rest = svg_of(figure).split(">", 1)
    # A page knows the namespaces.
    opening = re.sub(r' (xmlns(:\w+)?|version)="[^"]*"', "", opening)
    rest = re.sub(r"\s*<metadata>.*?</metadata>", "", rest, flags=re.DOTALL)
    # Figures share a page: each needs names of its own.
    key = re.sub(r"\W", "-", name)
    rest = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{key}-", rest)
    return f"{opening}>{rest}"
