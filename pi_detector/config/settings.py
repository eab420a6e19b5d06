"""The tree of settings: names, types, defaults, limits.

The defaults are what a fresh install runs with. Unknown keys are errors.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from pi_detector.config.governor import GovernorSettings
from pi_detector.config.outline import polygon_problem, polyline_problem
from pi_detector.config.outputs import (
    LogSettings,
    MetricsSettings,
    MqttSettings,
    OutputSettings,
    RecordingSettings,
    TelemetrySettings,
    WebSettings,
)
from pi_detector.config.section import Reload, Seconds, Section, Share

Point = tuple[Share, Share]
"""x, y in 0..1 of the picture's width and height, from its upper left corner."""
# What a type cannot say is asked of the function in ``extra``; see ``check``.
Polygon = Annotated[tuple[Point, ...], msgspec.Meta(extra={"problem": polygon_problem})]
Polyline = Annotated[tuple[Point, ...], msgspec.Meta(extra={"problem": polyline_problem})]


class SourceSettings(Section, frozen=True):
    """Where frames come from.

    Attributes:
        uri: `auto`, `picamera:N`, `v4l2:/dev/videoN`, `rtsp://...`, `http://...`, a video file,
            `images:DIR` or `demo:`. `auto` is the first camera that is found; where none is, it
            is the demo, or with `recovery.mode = "always"` the first camera that comes.
        width: width of the frames asked of a camera, in pixels.
        height: height of the frames asked of a camera, in pixels.
        fps: frames per second asked of a camera; 0 leaves the camera's default. Streams, images
            and videos come at their own rate; of a video whose frames have no times (raw H.264)
            this is the rate.
        read_timeout_s: a source that delivers nothing for this long has stalled.
        loop: start a video file or an image folder again at its end.
        isolation: read the source in a process of its own, so that damaged data that crashes or
            hangs a decoder is an error like others; `auto` does so for network streams, video
            files and images, `on` for cameras too (one that hangs is then closed by killing that
            process), `off` for none.
        playlists: network streams may be playlists (HLS, DASH) and redirect to other servers; the
            decoder then connects to any address that they name.
    """

    RELOAD: ClassVar[Reload] = "restart"

    uri: str = "auto"
    width: Annotated[int, msgspec.Meta(ge=32, le=8192)] = 640
    height: Annotated[int, msgspec.Meta(ge=32, le=8192)] = 480
    fps: Annotated[float, msgspec.Meta(ge=0, le=240)] = 0.0
    read_timeout_s: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] = 5.0
    loop: bool = False
    isolation: Literal["auto", "on", "off"] = "auto"
    playlists: bool = False


class ModelSettings(Section, frozen=True):
    """Which model, and how it runs.

    Attributes:
        path: name of an installed bundle (`pi-detector models list`), a bundle folder or a bare
            `.tflite`; empty takes `street`.
        labels: labels file of a bare `.tflite`; empty takes `labels.txt` or `labelmap.txt` beside
            it, or the labels that the model carries.
        runtime: `auto` takes LiteRT where it is installed, else tflite-runtime.
        threads: of the interpreter; 0 takes one a core, at most 4.
    """

    RELOAD: ClassVar[Reload] = "live"

    path: str = ""
    labels: str = ""
    runtime: Literal["auto", "litert", "tflite"] = "auto"
    threads: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0


class DetectionSettings(Section, frozen=True):
    """What counts as a detection.

    Attributes:
        min_score: lowest score of a detection; unset takes the model's own threshold.
        min_scores: by label, overrides `min_score`.
        labels: labels to report; empty reports all.
        iou_threshold: boxes of one class that overlap more are one object (NMS).
        max_detections: at most this many a frame, best first.
    """

    RELOAD: ClassVar[Reload] = "live"

    min_score: Share | None = None
    min_scores: dict[str, Share] = {}
    labels: tuple[str, ...] = ()
    iou_threshold: Share = 0.5
    max_detections: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class MotionSettings(Section, frozen=True):
    """The motion gate: the detector rests while nothing moves.

    Attributes:
        enabled: infer only when something moves, and now and then on a still scene; else every
            frame.
        min_area: smallest region that moves, as a share of the picture.
        threshold: a pixel moves when it differs from its background by more than this many
            standard deviations.
        scene_change: more than this share of the picture at once is a change of the light, which
            becomes the new background and is inferred once.
        open_s: inference goes on for this long after the last motion.
        hold_s: and for this long while something is followed that does not stand still.
        heartbeat_s: a still scene is inferred once in this time.
        history_s: what stays for about this long becomes background.
        masks: polygons, by name, in which motion is ignored: trees, a clock in the picture.
    """

    RELOAD: ClassVar[Reload] = "live"

    enabled: bool = False
    min_area: Share = 0.001
    threshold: Annotated[float, msgspec.Meta(ge=1, le=50)] = 4.0
    scene_change: Share = 0.6
    open_s: Seconds = 3.0
    hold_s: Seconds = 20.0
    heartbeat_s: Annotated[float, msgspec.Meta(ge=0.1, le=86400)] = 10.0
    history_s: Annotated[float, msgspec.Meta(ge=1, le=86400)] = 30.0
    masks: dict[str, Polygon] = {}


class TrackingSettings(Section, frozen=True):
    """The same number for the same object in every frame.

    Attributes:
        enabled: follow objects from frame to frame; events need it.
        low_score_share: detections down to this share of the lowest score keep a known object
            alive; they are not published and start nothing.
        match_iou: a detection that overlaps the expected place of an object less is another one.
        lost_s: an object that moved is gone when it was not seen for this long.
        stationary_lost_s: the same of an object that stood still.
        min_misses: and it is gone only after this many inferred frames without it.
        alike: groups of labels that a model confuses; one object may change between them.
    """

    RELOAD: ClassVar[Reload] = "live"

    enabled: bool = True
    low_score_share: Annotated[float, msgspec.Meta(ge=0.5, le=1)] = 0.7
    match_iou: Share = 0.2
    lost_s: Seconds = 3.0
    stationary_lost_s: Seconds = 60.0
    min_misses: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 3
    alike: tuple[tuple[str, ...], ...] = (("car", "bus", "truck"), ("bicycle", "motorcycle"))


class EventSettings(Section, frozen=True):
    """One event for one object that came and went: `new`, `update`, `end`.

    Attributes:
        enabled: publish events; needs `tracking.enabled`.
        min_hits: an event begins when its object was detected in this many of `window` frames.
        window: the last frames, in which `min_hits` are counted.
        min_duration_s: and over at least this time.
        min_score: lowest median score of an object over its history; unset takes a little more
            than the lowest score of a detection, 1.1 times.
        zones: an event begins only in one of these zones; empty is everywhere.
        update_interval_s: at most one update of an event in this time.
        position_interval_s: an object that moves is updated once in this time; 0 only when it
            changes: zone, line, label, standing still or going on.
        stationary_after_s: an object that did not move for this long stands still, and is quiet.
        cooldown_s: after an event no other of its label, in the same zone, begins for this long.
        cooldowns_s: by label, overrides `cooldown_s`.
    """

    RELOAD: ClassVar[Reload] = "live"

    enabled: bool = True
    min_hits: Annotated[int, msgspec.Meta(ge=1, le=30)] = 3
    window: Annotated[int, msgspec.Meta(ge=1, le=30)] = 5
    min_duration_s: Seconds = 0.5
    min_score: Share | None = None
    zones: tuple[str, ...] = ()
    update_interval_s: Seconds = 2.0
    position_interval_s: Seconds = 10.0
    stationary_after_s: Annotated[float, msgspec.Meta(ge=1, le=86400)] = 10.0
    cooldown_s: Seconds = 0.0
    cooldowns_s: dict[str, Seconds] = {}


class FilterSettings(Section, frozen=True):
    """What an object of this label must be like for an event. The name is the label.

    Attributes:
        min_area: smallest box, as a share of the picture; the median over the object's history
            counts.
        max_area: largest box.
        min_aspect: narrowest box: width by height, in pixels.
        max_aspect: widest box.
        min_score: lowest median score; overrides `events.min_score`.
    """

    RELOAD: ClassVar[Reload] = "live"

    min_area: Share = 0.0
    max_area: Share = 1.0
    min_aspect: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 0.0
    max_aspect: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 1000.0
    min_score: Share | None = None


class ZoneSettings(Section, frozen=True):
    """An area that objects enter and leave with their feet: the middle of the box's lower edge.

    Attributes:
        polygon: corners in their order around the area, x and y in 0..1 of the picture.
        labels: labels that count; empty counts all.
        loiter_s: an object that is inside for this long loiters; 0 never.
        cooldown_s: overrides `events.cooldown_s` in this zone.
    """

    RELOAD: ClassVar[Reload] = "live"

    polygon: Polygon = ()
    labels: tuple[str, ...] = ()
    loiter_s: Seconds = 0.0
    cooldown_s: Seconds | None = None


class LineSettings(Section, frozen=True):
    """A line that objects cross with their feet: the middle of the box's lower edge.

    Attributes:
        points: x and y in 0..1 of the picture. Seen from the first point towards the last, `in` is
            a crossing from the left to the right, `out` the other way.
        labels: labels that count; empty counts all.
    """

    RELOAD: ClassVar[Reload] = "live"

    points: Polyline = ()
    labels: tuple[str, ...] = ()


class RecoverySettings(Section, frozen=True):
    """What happens when a camera, stream or output fails.

    Attributes:
        mode: `off` ends the run at the first failure; `after-start` tries again what has worked
            once, until it works; `always` also what does not work at the start, as suits a service.
        first_delay_s: before the first new try; each further delay is twice as long.
        longest_delay_s: no delay is longer.
    """

    RELOAD: ClassVar[Reload] = "restart"

    mode: Literal["off", "after-start", "always"] = "after-start"
    first_delay_s: Annotated[float, msgspec.Meta(ge=0.01, le=3600)] = 0.5
    longest_delay_s: Annotated[float, msgspec.Meta(ge=0.01, le=86400)] = 30.0


class Settings(Section, frozen=True):
    """All settings."""

    source: SourceSettings = SourceSettings()
    model: ModelSettings = ModelSettings()
    detection: DetectionSettings = DetectionSettings()
    motion: MotionSettings = MotionSettings()
    tracking: TrackingSettings = TrackingSettings()
    events: EventSettings = EventSettings()
    filters: dict[str, FilterSettings] = {}
    zones: dict[str, ZoneSettings] = {}
    lines: dict[str, LineSettings] = {}
    output: OutputSettings = OutputSettings()
    mqtt: MqttSettings = MqttSettings()
    recovery: RecoverySettings = RecoverySettings()
    governor: GovernorSettings = GovernorSettings()
    recording: RecordingSettings = RecordingSettings()
    web: WebSettings = WebSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()


CONFIDENTIAL = frozenset({("mqtt", "username"), ("mqtt", "password"), ("web", "token")})
"""Settings whose values are never shown."""
