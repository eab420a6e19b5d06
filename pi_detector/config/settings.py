"""The tree of settings: names, types, defaults and limits.

The defaults are those of a fresh installation. Unknown keys are errors.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec

from pi_detector.config.collect import CollectSettings
from pi_detector.config.events import EventSettings, FilterSettings, TrackingSettings
from pi_detector.config.governor import GovernorSettings
from pi_detector.config.notify import NotifySettings
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
from pi_detector.config.schedule import LocationSettings, ScheduleSettings
from pi_detector.config.section import Part, Reload, Seconds, Section, Share

Point = tuple[Share, Share]
"""x, y in 0..1 of the frame's width and height, from its upper left corner."""
# The function in ``extra`` checks what a type cannot express; see ``check``.
Polygon = Annotated[tuple[Point, ...], msgspec.Meta(extra={"problem": polygon_problem})]
Polyline = Annotated[tuple[Point, ...], msgspec.Meta(extra={"problem": polyline_problem})]


SIZE_FOR_LOOKS = (1280, 720)
"""Width and height asked of a camera where `detection.looks` is set and the size is not: crops of
a frame in full resolution need one that has more pixels than the model's input."""
ControlValue = bool | int | float | str | tuple[int | float, ...]
Sides = tuple[Share, Share, Share, Share]


class SourceSettings(Section, frozen=True):
    """The source of frames: a camera, a stream, a video or images.

    Attributes:
        uri: Source URI: `auto`, `picamera:N`, `v4l2:/dev/videoN`, `rtsp://...`, `http://...`, a
            video file, `-` (a video on standard input), `images:DIR` or `demo:`. `auto` takes the
            first camera found; without a camera it runs the demo or, with `recovery.mode =
            "always"`, waits for a camera.
        width: Frame width to request from a camera, in pixels. With `detection.looks`, frames of
            1280 x 720 are requested where neither width nor height is set.
        height: Frame height to request from a camera, in pixels.
        fps: Frame rate to request from a camera, in frames per second; 0 = the camera's default.
            For a video without timestamps (raw H.264) this is the rate. Streams and images have
            no such setting: `detection.max_fps` limits the rate of any source.
        rotate: Degrees by which frames are rotated, clockwise, before anything else; zones and
            boxes are in the rotated frame.
        hflip: Mirror frames left to right, after the rotation.
        vflip: Mirror frames top to bottom, after the rotation.
        crop: Part of the rotated frame to keep, as [left, top, right, bottom]; unset = all of it.
        controls: Controls of a Pi camera or V4L2 camera by the camera's own names, such as
            `{ AfMode = "Manual", LensPosition = 0.5 }` or `{ auto_exposure = 1 }`, in the order in
            which they are set; `pi-detector cameras` lists them.
        pixel_format: Pixel format to request from a V4L2 camera, such as `YUYV`, `GREY` or `Y16`;
            empty = `MJPG`, or what the camera has instead.
        sensor_mode: Mode of a Pi camera's sensor, as [width, height] or [width, height, bits];
            empty = chosen by libcamera.
        tuning_file: Tuning file of a Pi camera, such as `imx219_noir.json`, or its path; empty =
            the sensor's own.
        read_timeout_s: Seconds without a frame before the source counts as stalled.
        loop: Restart a video file or an image folder at its end.
        isolation: Read the source in a separate process, so that a decoder that crashes or hangs on
            damaged data is handled as an ordinary error. `auto` isolates network streams, video
            files and images; `on` also isolates cameras (a hanging camera is closed by killing its
            process); `off` isolates nothing.
        transport: Transport of RTSP video: `tcp` loses nothing, `udp` is for cameras without TCP.
        poll_s: Seconds between requests of the address of a snapshot (`http://`, one image per
            request); 0 = the address is a stream.
        idle: What is decoded of a network stream while the motion gate (`motion.enabled`) sees a
            still scene: `all`, or `keyframes` only, which takes a fraction of the processor time;
            movement is then noticed within one keyframe interval of the camera.
        record_uri: Second address of the same network camera, for clips: a large stream is recorded
            (copied, see `recording.copy`) and a small one is detected on; empty = `uri`.
        playlists: Allow network streams to be playlists (HLS, DASH) and to redirect to other
            servers; the decoder then connects to any address that they name.
    """

    RELOAD: ClassVar[Reload] = "restart"

    uri: str = "auto"
    width: Annotated[int, msgspec.Meta(ge=32, le=8192)] = 640
    height: Annotated[int, msgspec.Meta(ge=32, le=8192)] = 480
    fps: Annotated[float, msgspec.Meta(ge=0, le=240)] = 0.0
    rotate: Literal[0, 90, 180, 270] = 0
    hflip: bool = False
    vflip: bool = False
    crop: Sides | None = None
    controls: dict[str, ControlValue] = {}
    pixel_format: Annotated[str, msgspec.Meta(pattern="^([A-Za-z0-9 ]{1,4})?$")] = ""
    sensor_mode: tuple[int, ...] = ()
    tuning_file: str = ""
    read_timeout_s: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] = 5.0
    loop: bool = False
    isolation: Literal["auto", "on", "off"] = "auto"
    transport: Literal["tcp", "udp"] = "tcp"
    poll_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0
    idle: Literal["all", "keyframes"] = "all"
    record_uri: str = ""
    playlists: bool = False

    @property
    def longest_wait_s(self) -> float:
        """Seconds after which a frame is overdue, at any rate."""
        return self.read_timeout_s + self.poll_s


class ModelSettings(Section, frozen=True):
    """The model, and how it runs.

    Attributes:
        path: Model: the name of an installed bundle (see `pi-detector models list`), a bundle
            folder or a bare `.tflite` file; empty = `street`.
        labels: Labels file of a bare `.tflite` file; empty = `labels.txt` or `labelmap.txt` beside
            it, or the labels inside the model.
        runtime: Inference runtime; `auto` = LiteRT if it is installed, else tflite-runtime.
        threads: Interpreter threads; 0 = one per core, at most 4.
    """

    RELOAD: ClassVar[Reload] = "live"
    PARTS: ClassVar[frozenset[Part]] = frozenset({"detector"})

    path: str = ""
    labels: str = ""
    runtime: Literal["auto", "litert", "tflite"] = "auto"
    threads: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0


class DetectionSettings(Section, frozen=True):
    """Which detections are reported.

    Attributes:
        min_score: Lowest score of a detection; unset = the model's own threshold.
        min_scores: Lowest score per label; overrides `min_score`.
        labels: Labels to report; empty = all.
        iou_threshold: Overlap (IoU) above which two boxes of one class count as one object
            (non-maximum suppression).
        max_detections: Most detections per frame; those with the highest scores are kept.
        max_fps: Highest rate of detection, in frames per second; unset = every frame. Frames beyond
            it are neither decoded nor converted where the source allows, and appear nowhere: not on
            the page, in clips or in records. Of a video, frames per second of the video.
        schedules: Names of the schedules in whose hours detection is on; empty = always.
        looks: Most looks of the model per frame: at the whole frame, and at crops of its full
            resolution where something small moves, is tracked or may stand. Each look costs as
            much as the first. 0 = the whole frame alone; `auto` = as many as the processor has time
            for at `detection.max_fps`, else at `source.fps`, else at 5 frames per second.
        whole_every: With looks, at least one frame in this many includes the whole frame.
    """

    RELOAD: ClassVar[Reload] = "live"
    PARTS: ClassVar[frozenset[Part]] = frozenset({"detector", "gate"})

    min_score: Share | None = None
    min_scores: dict[str, Share] = {}
    labels: tuple[str, ...] = ()
    iou_threshold: Share = 0.5
    max_detections: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    max_fps: Annotated[float, msgspec.Meta(ge=0.01, le=240)] | None = None
    schedules: tuple[str, ...] = ()
    looks: Annotated[int, msgspec.Meta(ge=0, le=16)] | Literal["auto"] = 0
    whole_every: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 2


class MotionSettings(Section, frozen=True):
    """The motion gate: skips inference while nothing moves.

    Attributes:
        enabled: Run inference only when something moves, and at intervals on a still scene;
            otherwise on every frame.
        min_area: Smallest moving region that counts, as a share of the frame.
        threshold: Difference from the background at which a pixel counts as moving, in standard
            deviations.
        scene_change: Share of the frame that must change at once to count as a change of light; the
            changed scene becomes the new background and is inferred once.
        open_s: Seconds that inference continues after the last motion.
        hold_s: Seconds that inference continues after the last motion while a tracked object is not
            stationary.
        heartbeat_s: Seconds between inferences on a still scene.
        history_s: Seconds after which something that stays becomes part of the background,
            approximately.
        masks: Polygons, by name, in which motion is ignored, such as trees or a clock overlay.
    """

    RELOAD: ClassVar[Reload] = "live"
    PARTS: ClassVar[frozenset[Part]] = frozenset({"gate"})

    enabled: bool = False
    min_area: Share = 0.001
    threshold: Annotated[float, msgspec.Meta(ge=1, le=50)] = 4.0
    scene_change: Share = 0.6
    open_s: Seconds = 3.0
    hold_s: Seconds = 20.0
    heartbeat_s: Annotated[float, msgspec.Meta(ge=0.1, le=86400)] = 10.0
    history_s: Annotated[float, msgspec.Meta(ge=1, le=86400)] = 30.0
    masks: dict[str, Polygon] = {}


class ZoneSettings(Section, frozen=True):
    """An area that objects enter and leave, judged by the middle of their box's lower edge.

    Attributes:
        polygon: Corners of the area, in order around it; x and y in 0..1 of the frame.
        labels: Labels that count in this zone; empty = all.
        loiter_s: Seconds inside the zone before an object loiters; 0 = never.
        cooldown_s: Cooldown in this zone, in seconds; overrides `events.cooldown_s`.
    """

    RELOAD: ClassVar[Reload] = "live"
    PARTS: ClassVar[frozenset[Part]] = frozenset({"stage"})

    polygon: Polygon = ()
    labels: tuple[str, ...] = ()
    loiter_s: Seconds = 0.0
    cooldown_s: Seconds | None = None


class PrivacySettings(Section, frozen=True):
    """An area that is black in every frame: for detection, page, recordings and images alike.

    Attributes:
        polygon: Corners of the area, in order around it; x and y in 0..1 of the frame.
    """

    RELOAD: ClassVar[Reload] = "live"
    PARTS: ClassVar[frozenset[Part]] = frozenset({"privacy"})

    polygon: Polygon = ()


class LineSettings(Section, frozen=True):
    """A line that objects cross, judged by the middle of their box's lower edge.

    Attributes:
        points: Points of the line; x and y in 0..1 of the frame. Looking from the first point to
            the last, `in` is a crossing from left to right, `out` from right to left.
        labels: Labels that count at this line; empty = all.
    """

    RELOAD: ClassVar[Reload] = "live"
    PARTS: ClassVar[frozenset[Part]] = frozenset({"stage"})

    points: Polyline = ()
    labels: tuple[str, ...] = ()


class RecoverySettings(Section, frozen=True):
    """Recovery: what happens when a camera, a stream or a sink fails.

    Attributes:
        mode: Recovery mode. `off` ends the run at the first failure; `after-start` retries a source
            or sink that has worked before until it recovers; `always` also retries one that fails
            at the start, which suits a service.
        first_delay_s: Delay before the first retry, in seconds; each further delay doubles.
        longest_delay_s: Longest delay between retries, in seconds.
    """

    RELOAD: ClassVar[Reload] = "restart"

    mode: Literal["off", "after-start", "always"] = "after-start"
    first_delay_s: Annotated[float, msgspec.Meta(ge=0.01, le=3600)] = 0.5
    longest_delay_s: Annotated[float, msgspec.Meta(ge=0.01, le=86400)] = 30.0


class Settings(Section, frozen=True):
    """All settings.

    Attributes:
        plugins: sinks of plugins by name, each a section of a type of its own, see
            ``plugin_tables``.
    """

    source: SourceSettings = SourceSettings()
    model: ModelSettings = ModelSettings()
    detection: DetectionSettings = DetectionSettings()
    motion: MotionSettings = MotionSettings()
    tracking: TrackingSettings = TrackingSettings()
    events: EventSettings = EventSettings()
    filters: dict[str, FilterSettings] = {}
    zones: dict[str, ZoneSettings] = {}
    lines: dict[str, LineSettings] = {}
    privacy: dict[str, PrivacySettings] = {}
    schedule: dict[str, ScheduleSettings] = {}
    location: LocationSettings = LocationSettings()
    output: OutputSettings = OutputSettings()
    mqtt: MqttSettings = MqttSettings()
    notify: dict[str, NotifySettings] = {}
    recovery: RecoverySettings = RecoverySettings()
    governor: GovernorSettings = GovernorSettings()
    recording: RecordingSettings = RecordingSettings()
    collect: CollectSettings = CollectSettings()
    web: WebSettings = WebSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()
    plugins: dict[str, Any] = {}


CONFIDENTIAL = frozenset({("mqtt", "username"), ("mqtt", "password"), ("web", "token")})
"""Settings whose values are never shown."""
CONFIDENTIAL_OF_NAMED = frozenset({("notify", "urls"), ("notify", "secret")})
"""Likewise, of tables whose names are the user's: section and setting."""


def is_hidden(path: tuple[str, ...]) -> bool:
    """Whether the value of a setting is never shown."""
    if path[:2] == ("web", "cameras"):
        return path[-1] in {"url", "token"}  # a wrong address may hold a password
    return path in CONFIDENTIAL or (path[:1] + path[2:]) in CONFIDENTIAL_OF_NAMED
