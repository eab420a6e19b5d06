"""The sinks that the settings ask for."""

from __future__ import annotations

from collections.abc import Mapping

from pi_detector.config.settings import OutputSettings, RecordingSettings
from pi_detector.sinks.base import Sink
from pi_detector.sinks.files import output_path
from pi_detector.sinks.log import RecordLogSink
from pi_detector.sinks.recordings.layout import recordings_folder
from pi_detector.sinks.recordings.sink import RecordingSink
from pi_detector.sinks.snapshots import SnapshotSink
from pi_detector.sinks.stdout import JsonLinesSink
from pi_detector.sinks.video import VideoSink


def make_sinks(settings: OutputSettings) -> list[Sink]:
    """The sinks of a run, none of them started.

    Raises:
        SinkError: a path that makes no sense.
    """
    sinks: list[Sink] = []
    if settings.stdout == "jsonl":
        sinks.append(JsonLinesSink(empty_frames=settings.empty_frames))
    if settings.snapshots:
        sinks.append(
            SnapshotSink(
                output_path(settings.snapshots),
                interval_s=settings.snapshot_interval_s,
                keep=settings.snapshot_keep,
                width=settings.snapshot_width,
            )
        )
    if settings.log:
        sinks.append(
            RecordLogSink(
                output_path(settings.log),
                most_bytes=settings.log_mb * 1024 * 1024,
                detections=settings.log_detections,
            )
        )
    if settings.video:
        sinks.append(VideoSink(output_path(settings.video)))
    return sinks


def make_recording_sinks(settings: RecordingSettings, environ: Mapping[str, str]) -> list[Sink]:
    """The sink that records events, not started; none where the settings ask for none.

    Args:
        settings: of the recordings.
        environ: environment variables, which name the folder where the settings don't.

    Raises:
        SinkError: a path that makes no sense.
    """
    if not settings.enabled:
        return []
    return [RecordingSink(recordings_folder(settings.path, environ), settings)]
