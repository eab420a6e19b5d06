"""Writes a report: one page that needs nothing else, Markdown with its figures, and JSON."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import jinja2
import msgspec
from markupsafe import Markup

from deploy.files import write_aside
from deploy.report.content import Report
from deploy.report.figures import figures, for_paper
from deploy.report.sections import Section, Table, sections

TEMPLATE = Path(__file__).with_name("page.html.jinja")
TITLE = "Quantization report"


def write_report(report: Report, pictures: Sequence[tuple[bytes, bytes]], out: Path) -> None:
    """Write `report.html`, `report.md`, its figures `report-*.svg`, and `report.json`.

    Args:
        report: what was measured.
        pictures: pairs of JPEGs in the order of the examples; empty for none. They are in the page
            only.
        out: the folder.
    """
    drawn = figures(report.rows)
    parts = sections(report, pictures)
    contents = {
        "report.html": page(parts, drawn, f"{report.date}, {report.photos} photos"),
        "report.md": markdown(parts, drawn),
        "report.json": msgspec.json.format(msgspec.json.encode(report), indent=1).decode(),
        **{f"report-{name}.svg": for_paper(svg) for name, svg in drawn.items()},
    }
    for name, content in contents.items():
        data = content.encode()
        write_aside(out / name, lambda file, data=data: file.write(data))


def page(parts: Sequence[Section], drawn: dict[str, str], subtitle: str) -> str:
    """The HTML page."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["data_uri"] = lambda jpeg: (
        "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
    )
    template = environment.from_string(TEMPLATE.read_text("utf-8"))
    svg = {name: Markup(text) for name, text in drawn.items()}
    return template.render(title=TITLE, subtitle=subtitle, sections=parts, figures=svg)


def markdown(parts: Sequence[Section], drawn: dict[str, str]) -> str:
    """The Markdown file; its figures lie beside it."""
    lines = [f"# {TITLE}", ""]
    for section in parts:
        lines += [f"## {section.title}", ""]
        for paragraph in section.text:
            lines += [paragraph, ""]
        for name, description in section.figures.items():
            if name in drawn:
                lines += [f"![{description}](report-{name}.svg)", ""]
        for table in section.tables:
            lines += [*_markdown_table(table), ""]
    return "\n".join(lines)


def _markdown_table(table: Table) -> list[str]:
    def row(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    rule = "|---|" + "---:|" * (len(table.header) - 1)
    body = [
        row((f"**{cells[0]}**", *cells[1:]) if i in table.marked else cells)
        for i, cells in enumerate(table.rows)
    ]
    return [row(table.header), rule, *body]
