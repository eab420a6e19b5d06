"""What people say of recorded events, from elsewhere than the command line."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from pi_detector.config.outputs import RecordingSettings
from pi_detector.errors import PiDetectorError
from pi_detector.sinks.recordings.catalogue import keep_event
from pi_detector.sinks.recordings.filters import Filter
from pi_detector.sinks.recordings.index import Index
from pi_detector.util.paths import recordings_folder
from pi_detector.util.worker import Worker

log = logging.getLogger(__name__)


def keep_soon(recording: RecordingSettings, environ: Mapping[str, str], event_id: str) -> None:
    """Protect a recorded event, on a thread of its own: the index may be busy.

    Args:
        recording: settings of the recordings.
        environ: environment variables.
        event_id: the id of the event's records.
    """
    if not recording.enabled:
        log.warning("keep %s: nothing is recorded; set recording.enabled = true", event_id)
        return
    root = recordings_folder(recording.path, environ)

    def keep() -> None:
        keep_by_id(root, event_id)

    Worker("keep", keep)


def keep_by_id(root: Path, event_id: str) -> bool:
    """Protect a recorded event from being deleted by itself; what keeps it from that is logged.

    Args:
        root: folder of the recordings.
        event_id: the id of the event's records.

    Returns:
        Whether it is kept now.
    """
    try:
        with closing(Index(root, write=True)) as index:
            rows = list(index.select(Filter(ids=(event_id,))))
            for row in rows:
                keep_event(root, index, row.entry.path, True)
    except PiDetectorError as error:
        log.warning("keep %s: %s", event_id, error)
        return False
    if not rows:
        log.warning("keep %s: no such recorded event; its recording may not have begun", event_id)
        return False
    log.info("event %s is kept", event_id, extra={"DETECTOR_EVENT": "event_kept"})
    return True
