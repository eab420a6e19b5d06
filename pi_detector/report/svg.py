"""Figures as SVG whose text and axes take the colour of the page that they stand in."""

from __future__ import annotations

import io
import re
from typing import Any

from matplotlib.figure import Figure

INK = "#010203"
"""Stands for the page's own colour until the figure is text."""
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "font.family": "sans-serif",
    "svg.fonttype": "none",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
"""Settings of matplotlib."""


def svg_of(figure: Figure) -> str:
    """The figure, transparent, as large as its place."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    opening, rest = text.split(">", 1)
    # Without a size of its own it takes that of its place.
    opening = re.sub(r' (width|height)="[^"]*"', "", opening)
    return f"{opening}>{rest}".replace(INK, "currentColor")
