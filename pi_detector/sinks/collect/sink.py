"""Collects frames worth labelling."""

from __future__ import annotations

from pathlib import Path

from pi_detector.config.collect import CollectSettings
from pi_detector.core.records import Publication
from pi_detector.core.result import Result
from pi_detector.sinks.collect.choosing import Chooser, Reason
from pi_detector.sinks.collect.folder import Folder, Note, Proposal
from pi_detector.sinks.files import jpeg_of
from pi_detector.sinks.snapshots import snapshot_name

_MB = 1_000_000


class CollectSink:
    """Keeps frames in full resolution, as the detector saw them: privacy masks are black in them.

    Args:
        folder: made where it does not exist.
        settings: which frames, and how many.
    """

    name = "collect"
    lossless = False

    def __init__(self, folder: Path, settings: CollectSettings) -> None:
        self.setup = (folder, settings)
        self._path = folder
        self._settings = settings
        self._chooser = Chooser(settings)
        self._folder: Folder | None = None

    def start(self) -> None:
        """Make the folder, and find the frames of earlier runs. Raises SinkError."""
        limits = self._settings
        self._folder = Folder(self._path, limits.max_frames, limits.max_mb * _MB)

    def handle(self, item: Publication) -> bool:
        """Write a frame that is worth labelling. Raises SinkError."""
        if not isinstance(item, Result):
            return False
        reason = self._chooser.choose(item)
        if reason is None or self._folder is None:
            return False
        stem = snapshot_name(item.frame).removesuffix(".jpg")
        self._folder.add(stem, jpeg_of(item.frame.image, stem), note_of(item, reason))
        return True

    def close(self) -> None:
        """Do nothing: each frame was complete when it was written."""


def note_of(result: Result, reason: Reason) -> Note:
    """What is known of a frame."""
    found = result.detections
    rows = zip(found.xyxy.tolist(), found.score.tolist(), found.class_id.tolist(), strict=True)
    frame = result.frame
    return Note(
        time=frame.captured_at,
        source=frame.source,
        reason=reason,
        width=frame.width,
        height=frame.height,
        detections=tuple(
            Proposal(
                label=result.labels[number],
                class_id=number,
                score=round(score, 3),
                box_px=(round(x1, 1), round(y1, 1), round(x2, 1), round(y2, 1)),
            )
            for (x1, y1, x2, y2), score, number in rows
        ),
    )
