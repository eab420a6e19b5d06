"""The settings of sinks, telemetry and logs."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from pi_detector.config.cameras import CameraSettings
from pi_detector.config.section import Part, Reload, Section

_BYTES_OF_KILOBIT = 125
_PICTURES_BYTES = 2_000_000  # per event: its best view twice, and a thumbnail


class OutputSettings(Section, frozen=True):
    """Local outputs: standard output, socket, snapshots, video and record logs.

    Attributes:
        stdout: Format of standard output. `jsonl` writes one record per line; `vision_msgs` writes
            one ROS 2 message per frame instead; `status` shows one status line, refreshed in place;
            `none` writes nothing; `auto` = `status` on a terminal, else `jsonl`.
        socket: Unix-domain socket at which programs on this device read the records, such as
            `$RUNTIME_DIRECTORY/records.sock` of a service; empty = none.
        socket_format: Format of the lines on `socket`.
        empty_frames: Also write a record for each frame without detections.
        snapshots: Folder for annotated JPEG snapshots of frames with detections; empty = none.
        snapshot_interval_s: Shortest time between two snapshots, in seconds.
        snapshot_keep: Number of snapshots to keep in the folder; the oldest are deleted.
        snapshot_width: Largest width of snapshots, in pixels; 0 = the frame's width.
        video: File for an annotated video; empty = none.
        log: Folder for records in rotated JSON Lines files; empty = none. In paths, `$NAME` is an
            environment variable, such as `$LOGS_DIRECTORY` of a service.
        log_mb: Total size of the record logs, in MiB; the oldest files are deleted.
        log_mb_per_day: Most data written to the record logs per day (UTC), in MiB, to spare the SD
            card; beyond it records are dropped, those of frames first. 0 = no limit.
        log_detections: Also log the records of frames with detections, of which there are many.
        log_compress: Compress full log files to `.jsonl.zst`.
    """

    RELOAD: ClassVar[Reload] = "sinks"

    stdout: Literal["auto", "jsonl", "vision_msgs", "status", "none"] = "auto"
    socket: str = ""
    socket_format: Literal["jsonl", "vision_msgs"] = "jsonl"
    empty_frames: bool = True
    snapshots: str = ""
    snapshot_interval_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 1.0
    snapshot_keep: Annotated[int, msgspec.Meta(ge=1, le=1000000)] = 1000
    snapshot_width: Annotated[int, msgspec.Meta(ge=0, le=8192)] = 0
    video: str = ""
    log: str = ""
    log_mb: Annotated[int, msgspec.Meta(ge=1, le=1000000)] = 64
    log_mb_per_day: Annotated[int, msgspec.Meta(ge=0, le=1000000)] = 256
    log_detections: bool = False
    log_compress: bool = True


class MqttSettings(Section, frozen=True):
    """Publishing to an MQTT broker.

    Attributes:
        host: Host name or address of the broker; empty = MQTT is off.
        port: Port of the broker; 0 = 1883, or 8883 with `tls`.
        version: Version of the MQTT protocol; only with `5` does a broker report topics that it
            refuses.
        name: Name of this detector, also in Home Assistant; empty = the host name. Each detector
            needs a name of its own.
        client_id: MQTT client identifier; empty = `pi-detector-`, the name and a short hash of the
            machine ID.
        topic: Prefix of all topics; empty = `pi-detector/` and the name.
        username: User name at the broker; may be `${secret:NAME}`.
        password: Password at the broker; use `${secret:NAME}` rather than the password itself.
        tls: Encrypt the connection and verify the broker's certificate.
        ca_file: CA certificate file that verifies the broker's certificate (PEM); empty = the
            system's authorities.
        cert_file: Certificate file of this client (PEM), for a broker that asks for one; empty =
            none.
        key_file: Private key file for `cert_file` (PEM, not encrypted).
        qos: Quality of service of all messages except detections. With 1, an interruption may
            deliver a message twice; with 2 that is rarer, for two more packets per message.
        retain: Have the broker retain states and images for later subscribers.
        detections: Also publish the record of each processed frame.
        snapshots: Publish the best view of each event, as JPEG.
        snapshot_interval_s: Shortest time between two best views of the same label, in seconds; the
            latest is published.
        discovery: Publish Home Assistant discovery messages.
        discovery_prefix: Topic prefix at which Home Assistant expects discovery messages.
        discovery_labels: labels that Home Assistant gets entities for: `seen` those that have
            occurred, each from its first event on; `all` every label of the model.
        camera_interval_s: publish a frame as JPEG once in this time, for a camera in Home
            Assistant; 0 for none.
        commands: Accept commands over MQTT; restrict at the broker who may send them.
        queue: Folder in which events wait while the broker is unreachable; empty =
            `$STATE_DIRECTORY` of a service, else `~/.local/state/pi-detector`.
        queue_mb: Total size of the waiting events, in MiB; the oldest are dropped.
    """

    RELOAD: ClassVar[Reload] = "sinks"

    host: str = ""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    version: Literal["5", "3.1.1"] = "5"
    name: str = ""
    client_id: str = ""
    topic: str = ""
    username: str = ""
    password: str = ""
    tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    qos: Literal[1, 2] = 1
    retain: bool = True
    detections: bool = False
    snapshots: bool = True
    snapshot_interval_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 10.0
    discovery: bool = True
    discovery_prefix: str = "homeassistant"
    discovery_labels: Literal["seen", "all"] = "seen"
    camera_interval_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 0.0
    commands: bool = False
    queue: str = ""
    queue_mb: Annotated[int, msgspec.Meta(ge=1, le=10000)] = 16


class RecordingSettings(Section, frozen=True):
    """Recordings of events: clips and images in a folder that limits its own size.

    Attributes:
        enabled: Record events.
        path: Folder of the recordings; empty = `$STATE_DIRECTORY/recordings` of a service, else
            `~/.local/share/pi-detector/recordings`.
        clips: Record a video clip of each event; needs PyAV.
        snapshots: Keep the best view of each event as an image, with and without its box.
        copy: Copy clips from a network camera's packets, in its quality, without encoding: `auto` =
            H.264, unless frames are masked or turned (`[privacy.NAME]`, `source.rotate`,
            `source.crop`); `on` = also H.265, which not every browser plays; `off` = encode. Copied
            clips have the camera's own size, frame rate and bit rate. Needs PyAV 12.1.
        pre_s: Seconds of video before an event begins.
        post_s: Seconds of video after an event ends.
        fps: Highest frame rate of clips, in frames per second.
        max_kbps: Highest bit rate of clips, in kilobits per second.
        width: Largest width of clips, in pixels; 0 = the frame's width.
        encoder: Video encoder; `auto` = the hardware encoder (`h264_v4l2m2m`) if it works, else
            `libx264`.
        longest_clip_s: Longest clip file, in seconds; a longer clip continues in another file,
            without a gap. A clip shared by several events is cut earlier, about 20 s after one of
            them ends.
        longest_event_s: Longest recording of one event, in seconds; the rest of the event is not
            recorded.
        max_age_days: Days after which an event's recording is deleted; 0 = never.
        keep_days: Days to keep recordings, per label; overrides `max_age_days`.
        max_gb: Total size of the recordings above which the oldest are deleted, in GB; 0 = no
            limit.
        min_free_mb: Free disk space below which the oldest recordings are deleted, in MB.
        schedules: Names of the schedules in whose hours events are recorded; empty = always. An
            event that begins in these hours is recorded to its end.
    """

    RELOAD: ClassVar[Reload] = "restart"

    enabled: bool = False
    path: str = ""
    clips: bool = True
    snapshots: bool = True
    copy: Literal["auto", "on", "off"] = "auto"
    pre_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 5.0
    post_s: Annotated[float, msgspec.Meta(ge=0, le=120)] = 5.0
    fps: Annotated[float, msgspec.Meta(ge=1, le=60)] = 10.0
    max_kbps: Annotated[int, msgspec.Meta(ge=100, le=50000)] = 2000
    width: Annotated[int, msgspec.Meta(ge=0, le=8192)] = 0
    encoder: Literal["auto", "libx264", "h264_v4l2m2m"] = "auto"
    longest_clip_s: Annotated[float, msgspec.Meta(ge=10, le=3600)] = 120.0
    longest_event_s: Annotated[float, msgspec.Meta(ge=10, le=86400)] = 900.0
    max_age_days: Annotated[float, msgspec.Meta(ge=0, le=36500)] = 30.0
    keep_days: dict[str, Annotated[float, msgspec.Meta(gt=0, le=36500)]] = {}
    max_gb: Annotated[float, msgspec.Meta(ge=0, le=100000)] = 8.0
    min_free_mb: Annotated[int, msgspec.Meta(ge=0, le=10000000)] = 1000
    schedules: tuple[str, ...] = ()

    @property
    def largest_event_bytes(self) -> int:
        """The largest size of one event, in bytes: its longest clips and its images."""
        filmed_s = self.pre_s + self.longest_event_s + self.post_s if self.clips else 0.0
        return round(filmed_s * self.max_kbps * _BYTES_OF_KILOBIT) + _PICTURES_BYTES


class WebSettings(Section, frozen=True):
    """The web page.

    Attributes:
        enabled: Serve the web page.
        name: Name of this camera on the page, such as `Front door`; empty = the source.
        host: Address to listen on: `127.0.0.1` = this device only; `0.0.0.0` = also the network,
            which requires `token`.
        port: TCP port to listen on.
        token: Access token that browsers and programs must present; empty = no token. Use
            `${secret:NAME}` rather than the token itself.
        trusted_proxies: Addresses or networks of reverse proxies whose `X-Forwarded-For` and
            `X-Forwarded-Proto` headers are trusted, such as `["127.0.0.1"]`; empty = none.
        max_viewers: Most simultaneous viewers of the live view.
        view_fps: Highest frame rate of the live view, in frames per second.
        view_width: Largest width of the live view, in pixels; 0 = the frame's width.
        cameras: Other detectors whose pictures and events the page shows too, by name, each a
            table `[web.cameras.NAME]` with `url` and `token`.
    """

    RELOAD: ClassVar[Reload] = "sinks"

    enabled: bool = False
    name: Annotated[str, msgspec.Meta(max_length=60)] = ""
    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 8080
    token: str = ""
    trusted_proxies: tuple[str, ...] = ()
    max_viewers: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 8
    view_fps: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 5.0
    view_width: Annotated[int, msgspec.Meta(ge=0, le=8192)] = 800
    cameras: dict[str, CameraSettings] = {}


class TelemetrySettings(Section, frozen=True):
    """Performance records: speed, temperature and memory (record type `performance`).

    Attributes:
        interval_s: Seconds between performance records; a change of throttling adds one at once. 0
            = none.
    """

    RELOAD: ClassVar[Reload] = "sinks"

    interval_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 60.0


class MetricsSettings(Section, frozen=True):
    """Metrics for Prometheus.

    Attributes:
        textfile: File for the textfile collector of node_exporter; empty = none. Best kept in
            memory: `$RUNTIME_DIRECTORY/pi-detector.prom` of a service.
        interval_s: Seconds between two writes of `textfile`.
        detector: Value of the label `detector` of all metrics, to distinguish several detectors on
            one device; empty = no label.
    """

    RELOAD: ClassVar[Reload] = "restart"

    textfile: str = ""
    interval_s: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 15.0
    detector: str = ""


class LogSettings(Section, frozen=True):
    """Log messages on standard error.

    Attributes:
        level: Lowest level of the messages that are written.
    """

    RELOAD: ClassVar[Reload] = "live"
    PARTS: ClassVar[frozenset[Part]] = frozenset({"log"})

    level: Literal["debug", "info", "warning", "error"] = "info"
