"""Records as JSON lines, for sinks that write one line per record."""

from __future__ import annotations

from typing import Literal

from pi_detector.core import vision_msgs
from pi_detector.core.records import Publication, detections_record, encode
from pi_detector.core.result import Result

LineFormat = Literal["jsonl", "vision_msgs"]


def line_of(item: Publication, line_format: LineFormat, *, empty_frames: bool) -> bytes | None:
    """The line of an item, newline included; None where the format has none for it.

    Args:
        item: what is published.
        line_format: ``jsonl`` for records, ``vision_msgs`` for messages of detections alone.
        empty_frames: frames in which nothing was found have a line as well.
    """
    if not isinstance(item, Result):
        return encode(item) if line_format == "jsonl" else None
    if not (empty_frames or len(item.detections)):
        return None
    record = detections_record(item)
    return encode(record) if line_format == "jsonl" else vision_msgs.encode(record)
