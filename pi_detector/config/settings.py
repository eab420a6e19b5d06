"""The tree of settings: names, types, defaults, limits.

The defaults are what a fresh install runs with. Unknown keys are errors.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the settings file."""


class SourceSettings(_Section, frozen=True):
    """Where frames come from.

    Attributes:
        uri: `auto`, `picamera:N`, `v4l2:/dev/videoN`, `rtsp://...`, `http://...`, a video file,
            `images:DIR` or `demo:`.
        width: width of the frames asked of a camera, in pixels.
        height: height of the frames asked of a camera, in pixels.
        fps: frames a second asked of a camera; 0 leaves the camera's default.
        read_timeout_s: a source that delivers nothing for this long has stalled.
        loop: start a video file or an image folder again at its end.
        isolation: read the source in a process of its own, so that damaged data that crashes or
            hangs a decoder is an error like others; `auto` does so for network streams, video
            files and images, `on` for cameras too (one that hangs is then closed by killing that
            process), `off` for none.
    """

    uri: str = "auto"
    width: Annotated[int, msgspec.Meta(ge=32, le=8192)] = 640
    height: Annotated[int, msgspec.Meta(ge=32, le=8192)] = 480
    fps: Annotated[float, msgspec.Meta(ge=0, le=240)] = 0.0
    read_timeout_s: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] = 5.0
    loop: bool = False
    isolation: Literal["auto", "on", "off"] = "auto"


class ModelSettings(_Section, frozen=True):
    """Which model, and how it runs.

    Attributes:
        path: a bundle folder or a bare `.tflite`; empty takes the bundled model.
        labels: labels file of a bare `.tflite`.
        runtime: `auto` takes LiteRT where it is installed, else tflite-runtime.
        threads: of the interpreter; 0 takes one a core, at most 4.
    """

    path: str = ""
    labels: str = ""
    runtime: Literal["auto", "litert", "tflite"] = "auto"
    threads: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0


class DetectionSettings(_Section, frozen=True):
    """What counts as a detection.

    Attributes:
        min_score: lowest score of a detection; unset takes the model's own threshold.
        min_scores: by label, overrides `min_score`.
        labels: labels to report; empty reports all.
        iou_threshold: boxes of one class that overlap more are one object (NMS).
        max_detections: at most this many a frame, best first.
    """

    min_score: Share | None = None
    min_scores: dict[str, Share] = {}
    labels: tuple[str, ...] = ()
    iou_threshold: Share = 0.5
    max_detections: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class OutputSettings(_Section, frozen=True):
    """Where results go.

    Attributes:
        stdout: `jsonl` writes a record a line to standard output; `none` writes nothing there.
        empty_frames: also write a record for a frame in which nothing was found.
        snapshots: folder for annotated JPEG pictures of frames with detections; empty for none.
        snapshot_interval_s: at most one snapshot in this time.
        snapshot_keep: snapshots kept in the folder; the oldest are deleted.
        snapshot_width: snapshots are scaled down to this width; 0 keeps the frame's size.
        video: file for an annotated video; empty for none.
        log: folder for records in rotated JSON Lines files; empty for none. In paths `$NAME` is an
            environment variable, such as `$LOGS_DIRECTORY` of a service.
        log_mb: size of all log files together, in MiB; the oldest are deleted.
        log_detections: also log the records of frames with detections, which are many.
    """

    stdout: Literal["jsonl", "none"] = "jsonl"
    empty_frames: bool = True
    snapshots: str = ""
    snapshot_interval_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 1.0
    snapshot_keep: Annotated[int, msgspec.Meta(ge=1, le=1000000)] = 1000
    snapshot_width: Annotated[int, msgspec.Meta(ge=0, le=8192)] = 0
    video: str = ""
    log: str = ""
    log_mb: Annotated[int, msgspec.Meta(ge=1, le=1000000)] = 64
    log_detections: bool = False


class RecoverySettings(_Section, frozen=True):
    """What happens when a camera, stream or output fails.

    Attributes:
        mode: `off` ends the run at the first failure; `after-start` tries again what has worked
            once, until it works; `always` also what does not work at the start, as suits a service.
        first_delay_s: before the first new try; each further delay is twice as long.
        longest_delay_s: no delay is longer.
    """

    mode: Literal["off", "after-start", "always"] = "after-start"
    first_delay_s: Annotated[float, msgspec.Meta(ge=0.01, le=3600)] = 0.5
    longest_delay_s: Annotated[float, msgspec.Meta(ge=0.01, le=86400)] = 30.0


class LogSettings(_Section, frozen=True):
    """Log messages, on standard error.

    Attributes:
        level: lowest level that is written.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(_Section, frozen=True):
    """All settings."""

    source: SourceSettings = SourceSettings()
    model: ModelSettings = ModelSettings()
    detection: DetectionSettings = DetectionSettings()
    output: OutputSettings = OutputSettings()
    recovery: RecoverySettings = RecoverySettings()
    log: LogSettings = LogSettings()
