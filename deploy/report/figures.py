"""The report's figures: SVG whose text and axes take the page's colour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deploy.report.conclude import front, pareto_front
from deploy.report.content import Row
from pi_detector.report.svg import INK, STYLE, svg_of

# M. Okabe and K. Ito's colours, which colour-blind people tell apart.
_FRONT, _OTHER = "#009e73", "#56b4e9"
_PAPER_INK = "#222222"
_WIDTH_IN = 4.6  # at 10 points readable on a phone, where the figure is as wide as the screen
_STYLE = {**STYLE, "svg.hashsalt": "report"}


def figures(rows: Sequence[Row]) -> dict[str, str]:
    """SVG by name: `pareto` (where anything was timed), `drop`, and `arm` (where counted)."""
    made = {"drop": _drop([r for r in rows if r.candidate and r.kind != "float"])}
    # Another network lies so far away that ours could not be told apart any more.
    timed = [row for row in rows if row.candidate and row.time is not None]
    if timed:
        made = {"pareto": _pareto(timed), **made}
    counted = [row for row in rows if row.instructions is not None and row.elsewhere]
    if counted:
        made["arm"] = _arm(counted)
    return {name: svg for name, svg in made.items() if svg}


def for_paper(svg: str) -> str:
    """The figure for a white page, where ``currentColor`` has nothing to follow."""
    return svg.replace("currentColor", _PAPER_INK)


def _pareto(rows: Sequence[Row]) -> str:
    plot = _Plot(
        "time / float32 (LiteRT, 1 thread)", "AP50",
        lambda row: row.time.ratio, lambda row: row.metrics.ap50,
    )  # fmt: skip
    return _scatter(rows, pareto_front(rows), plot)


def _arm(rows: Sequence[Row]) -> str:
    plot = _Plot(
        "Arm instructions, millions", "AP50 on photos of other places",
        lambda row: row.instructions / 1e6, lambda row: row.elsewhere.metrics.ap50,
    )  # fmt: skip
    return _scatter(rows, front(rows, plot.x, plot.y), plot)


@dataclass(frozen=True)
class _Plot:
    """What a scatter plot shows of a row, and the names of its axes."""

    x_label: str
    y_label: str
    x: Callable[[Row], float]
    y: Callable[[Row], float]


def _scatter(rows: Sequence[Row], best: Sequence[Row], plot: _Plot) -> str:
    """All rows, the best of them joined; the larger a circle, the larger the file."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH_IN, 4.0), layout="constrained")
        axes = figure.add_subplot()
        largest = max(row.bytes for row in rows)
        for row in rows:
            axes.scatter(
                plot.x(row), plot.y(row), s=20 + 200 * row.bytes / largest, alpha=0.7,
                color=_FRONT if row in best else _OTHER, linewidths=0,
            )  # fmt: skip
        axes.plot(
            [plot.x(r) for r in best], [plot.y(r) for r in best],
            color=_FRONT, linewidth=1, linestyle="--", zorder=0,
        )  # fmt: skip
        # A type without fast kernels takes dozens of times as long as the others.
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel(plot.x_label)
        axes.set_ylabel(plot.y_label)
        axes.grid(alpha=0.2)
        axes.margins(0.12)
        _label_at_the_right(axes, rows, plot)
        return svg_of(figure)


def _label_at_the_right(axes: Axes, rows: Sequence[Row], plot: _Plot) -> None:
    """Names in a column beside the plot, joined to their points: recipes are often alike."""
    axes.autoscale_view()
    (low, high), right = axes.get_ylim(), axes.get_xlim()[1]
    step = (high - low) / max(len(rows), 12)
    ordered = sorted(rows, key=plot.y)
    place = low - step / 2
    places = []
    for row in ordered:
        place = max(place + step, plot.y(row))
        places.append(place)
    excess = max(0.0, places[-1] - (high - step / 2))
    for number in range(len(places) - 1, -1, -1):
        above = places[number + 1] - step if number + 1 < len(places) else places[-1] - excess
        places[number] = min(places[number], above)
    for row, y in zip(ordered, places, strict=True):
        axes.annotate(
            row.name, (plot.x(row), plot.y(row)), (right, y), va="center", fontsize=9,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": INK, "alpha": 0.3, "linewidth": 0.6,
                        "relpos": (0, 0.5), "shrinkA": 2},
        )  # fmt: skip
    axes.set_xlim(right=right)


def _drop(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    rows = sorted(rows, key=lambda r: -r.ap50_drop.points)
    points = [row.ap50_drop.points for row in rows]
    reach = [
        [max(0.0, r.ap50_drop.points - r.ap50_drop.low) for r in rows],
        [max(0.0, r.ap50_drop.high - r.ap50_drop.points) for r in rows],
    ]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH_IN, 1.0 + 0.3 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        axes.barh(
            [row.name for row in rows], points, xerr=reach, color=_OTHER, height=0.6,
            error_kw={"ecolor": INK, "elinewidth": 1, "capsize": 2},
        )  # fmt: skip
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel("points of AP50 lost (95 % interval)")
        axes.grid(axis="x", alpha=0.2)
        return svg_of(figure)
