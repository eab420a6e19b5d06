"""Draws the figures that ``benchmarks.compare --json`` has written.

python -m benchmarks.plot comparison.json comparison.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import msgspec
from matplotlib.figure import Figure

from benchmarks.comparison import COLUMNS, OURS, SMALL, Comparison

OURS_COLOUR, OTHER_COLOUR = "#c2185b", "#78909c"


def draw(comparison: Comparison, path: Path) -> None:
    """A panel a figure, a bar a contender: median and quartiles. The same data, the same file."""
    entries = [entry for entry in reversed(comparison.entries) if entry.figures]
    names = [entry.name for entry in entries]
    colours = [OURS_COLOUR if name in (OURS, SMALL) else OTHER_COLOUR for name in names]
    mpl.rcParams["svg.hashsalt"] = "pi-detector"
    picture = Figure(figsize=(12, 0.9 + 0.32 * len(entries)), layout="constrained")
    panels = picture.subplots(1, len(COLUMNS), sharey=True)
    for panel, (figure, title) in zip(panels, COLUMNS.items(), strict=True):
        chosen = [entry.figures[figure] for entry in entries]
        medians = [one.median for one in chosen]
        spread = (
            [one.median - one.q1 for one in chosen],
            [one.q3 - one.median for one in chosen],
        )
        bars = panel.barh(names, medians, color=colours, xerr=spread, ecolor="#37474f")
        panel.bar_label(bars, fmt="%.3g", padding=3, color="#37474f", fontsize=8)
        panel.margins(x=0.25)
        panel.set_title(title, fontsize=10)
        panel.spines[["top", "right"]].set_visible(False)
    picture.savefig(path, format="svg", metadata={"Date": None})


def main() -> None:
    """Read and draw."""
    source, target = map(Path, sys.argv[1:])
    draw(msgspec.json.decode(source.read_bytes(), type=Comparison), target)


if __name__ == "__main__":
    main()
