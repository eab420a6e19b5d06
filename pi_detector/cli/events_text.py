"""Recorded events as text: a table, a list of details, JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pi_detector.sinks.recordings.index import Row
from pi_detector.util.text import one_line

HEADER = ("event", "started", "lasted", "label", "score", "zones", "clips", "MB", "state")
_RIGHT = ("lasted", "score", "clips", "MB")


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of a table, header first; times are local."""
    cells = [HEADER, *(tuple(map(one_line, _cells(row))) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        padded = (
            cell.rjust(width) if name in _RIGHT else cell.ljust(width)
            for name, cell, width in zip(HEADER, line, widths, strict=True)
        )
        yield "  ".join(padded).rstrip()


def facts(folder: Path, row: Row) -> Iterator[str]:
    """Yield lines with the details of an event."""
    event = row.entry.event
    known = {
        "event": event.id,
        "label": event.label,
        "started": _local(event.started),
        "lasted": f"{event.duration_s:.1f} s",
        "score": f"{event.score:.0%}, best {event.best.score:.0%}",
        "source": event.source,
        "zones": ", ".join(event.entered),
        "ended": event.reason or "",
        "state": state(row),
        "marked": said(row),
        "clock": "synchronized" if event.clock_synchronized else "not synchronized",
        "size": f"{row.size / 1e6:.1f} MB",
    }
    for name, value in known.items():
        yield f"{name:<9}  {one_line(value)}".rstrip()
    for media in row.entry.files:
        seconds = "" if media.duration_s is None else f"  {media.duration_s:.1f} s"
        if media.offset_s:
            seconds += f", event begins at {media.offset_s:.1f} s"
        yield one_line(f"{media.kind:<9}  {folder / media.path}{seconds}")


def json_line(folder: Path, row: Row) -> str:
    """Return an event as one line of JSON."""
    return msgspec.json.encode(plain(row, folder)).decode()


def plain(row: Row, folder: Path) -> dict[str, Any]:
    """Return an event as plain values; the paths of its files begin with ``folder``."""
    files = [
        {**msgspec.to_builtins(media), "path": str(folder / media.path)}
        for media in row.entry.files
    ]
    return {
        "event": msgspec.to_builtins(row.entry.event),
        "state": state(row),
        "keep": row.keep,
        "mark": None if row.mark is None else msgspec.to_builtins(row.mark),
        "size_bytes": row.size,
        "files": files,
    }


def state(row: Row) -> str:
    """Return the recording state of an event, whether it is protected, and its mark."""
    if not row.entry.complete:
        word = "recording"
    elif row.entry.interrupted:
        word = "interrupted"
    else:
        word = "complete"
    words = [word, "kept"] if row.keep else [word]
    return ", ".join([*words, *([said(row)] if row.mark else [])])


def said(row: Row) -> str:
    """Return what the owner said of an event; empty where that is nothing."""
    if row.mark is None:
        return ""
    what = f" ({row.mark.label})" if row.mark.label else ""
    return f"{row.mark.verdict}{what}"


def _cells(row: Row) -> tuple[str, ...]:
    event = row.entry.event
    return (
        event.id,
        _local(event.started),
        f"{event.duration_s:.0f} s",
        event.label,
        f"{event.best.score:.0%}",
        ", ".join(event.entered),
        str(sum(media.kind == "clip" for media in row.entry.files)),
        f"{row.size / 1e6:.1f}",
        state(row),
    )


def _local(at: Any) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"
