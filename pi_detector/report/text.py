"""The summary of a report for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from pi_detector.report import tables
from pi_detector.report.content import Report
from pi_detector.report.notes import notes
from pi_detector.report.tables import Table


def summary(report: Report) -> str:
    """A few tables as text."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    files = report.files
    counts = ", ".join(f"{count} {kind}" for kind, count in files.records.items())
    yield (
        f"{tables.when(report.since)} to {tables.when(report.until)} UTC, "
        f"{len(report.devices)} devices, {files.files} files: {counts}"
    )
    yield ""
    yield from _table(tables.overview(report))
    if report.comparison is not None:
        yield ""
        yield from _table(tables.comparison(report.comparison))
    for note in notes(report):
        yield ""
        yield note.what
        yield from (f"  {where}" for where in note.where)


def _table(table: Table) -> list[str]:
    rows = [table.header, *table.rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.header))]
    return [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
