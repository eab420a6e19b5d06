"""The settings of what becomes of detections and events: outputs, MQTT, recordings, logs."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from pi_detector.config.section import Reload, Section

_BYTES_OF_KILOBIT = 125
_PICTURES_BYTES = 2_000_000  # of an event: its best view twice, and small


class OutputSettings(Section, frozen=True):
    """Where results go.

    Attributes:
        stdout: `jsonl` writes a record per line to standard output; `vision_msgs` a message of
            ROS 2 per frame instead; `status` shows one line about the run that is refreshed in
            place; `none` writes nothing there. `auto` is `status` on a terminal, else `jsonl`.
        socket: Unix-domain socket at which programs of this machine read the records, such as
            `$RUNTIME_DIRECTORY/records.sock` of a service; empty for none.
        socket_format: of the lines there: `jsonl` or `vision_msgs`.
        empty_frames: also write a record for a frame in which nothing was found.
        snapshots: folder for annotated JPEG pictures of frames with detections; empty for none.
        snapshot_interval_s: at most one snapshot in this time.
        snapshot_keep: snapshots kept in the folder; the oldest are deleted.
        snapshot_width: snapshots are scaled down to this width; 0 keeps the frame's size.
        video: file for an annotated video; empty for none.
        log: folder for records in rotated JSON Lines files; empty for none. In paths `$NAME` is an
            environment variable, such as `$LOGS_DIRECTORY` of a service.
        log_mb: size of all log files together, in MiB; the oldest are deleted.
        log_mb_per_day: at most this much is written in a day (UTC), in MiB, which spares the card;
            records beyond it are left out, those of frames first. 0 for no limit.
        log_detections: also log the records of frames with detections, which are many.
        log_compress: compress log files that are full, to `.jsonl.zst`.
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
    """Publishing by MQTT.

    Attributes:
        host: name or address of the broker; empty for none.
        port: of the broker; 0 takes 1883, with `tls` 8883.
        version: of the protocol; only `5` tells when the broker refuses a topic.
        name: of this detector, also in Home Assistant; empty takes the host's name. Each detector
            needs its own.
        client_id: empty takes `pi-detector-`, the name, and a short hash of the machine's id.
        topic: what all topics begin with; empty takes `pi-detector/` and the name.
        username: for the broker; may be `${secret:NAME}`.
        password: for the broker; better `${secret:NAME}` than the password itself.
        tls: encrypt the connection, and check the broker's certificate.
        ca_file: certificate of the authority that signed the broker's (PEM); empty takes the
            system's authorities.
        cert_file: certificate of this client (PEM), where the broker asks for one.
        key_file: its key (PEM), not encrypted.
        qos: quality of service of all but detections. 1 may deliver twice after an interruption,
            2 makes that rarer and costs two more packets a message.
        retain: the broker keeps states and pictures for those who subscribe later.
        detections: also publish the record of each processed frame.
        snapshots: publish the best view of each event, as JPEG.
        snapshot_interval_s: of each label at most one best view in this time; the latest counts.
        discovery: let Home Assistant know what there is.
        discovery_prefix: under which Home Assistant looks for that.
        commands: obey commands; let the broker decide who may send them.
        queue: folder where events wait while the broker is away; empty takes `$STATE_DIRECTORY`
            of a service, else `~/.local/state/pi-detector`.
        queue_mb: size of all waiting events together, in MiB; the oldest are given up.
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
    commands: bool = False
    queue: str = ""
    queue_mb: Annotated[int, msgspec.Meta(ge=1, le=10000)] = 16


class RecordingSettings(Section, frozen=True):
    """Recordings of events: clips and pictures in a folder that tidies itself.

    Attributes:
        enabled: record events.
        path: folder of the recordings; empty takes `$STATE_DIRECTORY/recordings`, else
            `~/.local/share/pi-detector/recordings`.
        clips: record a video clip of each event; needs PyAV.
        snapshots: keep each event's best view as a picture, with and without its box.
        pre_s: a clip starts this long before its event.
        post_s: and goes on this long after its end.
        fps: at most this many frames a second in a clip.
        max_kbps: at most this many kilobits a second in a clip.
        width: clips are scaled down to this width in pixels; 0 keeps the frame's size.
        encoder: `auto` takes the hardware's (`h264_v4l2m2m`) where it works, else `libx264`.
        longest_clip_s: a longer clip continues in a further file, without a gap. One that several
            events share is cut earlier, some 20 s after one of them is over.
        longest_event_s: an event that lasts longer is no longer filmed.
        max_age_days: events older than this are deleted; 0 for never.
        keep_days: by label, overrides `max_age_days`.
        max_gb: the oldest events are deleted above this size in all; 0 for no limit.
        min_free_mb: the oldest events are deleted where less than this is free on the disk.
    """

    RELOAD: ClassVar[Reload] = "restart"

    enabled: bool = False
    path: str = ""
    clips: bool = True
    snapshots: bool = True
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

    @property
    def largest_event_bytes(self) -> int:
        """What an event takes at most: its clips at their longest and largest, and its pictures."""
        filmed_s = self.pre_s + self.longest_event_s + self.post_s if self.clips else 0.0
        return round(filmed_s * self.max_kbps * _BYTES_OF_KILOBIT) + _PICTURES_BYTES


class WebSettings(Section, frozen=True):
    """The page to look at.

    Attributes:
        enabled: serve the page.
        host: address to listen at; `127.0.0.1` is this machine alone, `0.0.0.0` the network too,
            for which `token` must be set.
        port: to listen at.
        token: what a browser or program must know; empty asks for none. Better `${secret:NAME}`
            than the token itself.
        trusted_proxies: addresses or networks of reverse proxies whose `X-Forwarded-For` and
            `X-Forwarded-Proto` are believed, such as `["127.0.0.1"]`; empty believes none.
        max_viewers: at most this many look at the live picture at a time.
        view_fps: at most this many pictures a second in the live picture.
        view_width: the live picture is scaled down to this width in pixels; 0 keeps the frame's.
    """

    RELOAD: ClassVar[Reload] = "sinks"

    enabled: bool = False
    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 8080
    token: str = ""
    trusted_proxies: tuple[str, ...] = ()
    max_viewers: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 8
    view_fps: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 5.0
    view_width: Annotated[int, msgspec.Meta(ge=0, le=8192)] = 800


class TelemetrySettings(Section, frozen=True):
    """Records about speed, heat and memory (type `performance`).

    Attributes:
        interval_s: a record in this time, and at once when throttling changes; 0 for none.
    """

    RELOAD: ClassVar[Reload] = "sinks"

    interval_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 60.0


class MetricsSettings(Section, frozen=True):
    """Metrics for Prometheus.

    Attributes:
        textfile: file for the textfile collector of node_exporter; empty for none. Best in memory:
            `$RUNTIME_DIRECTORY/pi-detector.prom` of a service.
        interval_s: the file is written once in this time.
        detector: label `detector` of all metrics, which tells several detectors of one machine
            apart; empty for none.
    """

    RELOAD: ClassVar[Reload] = "restart"

    textfile: str = ""
    interval_s: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 15.0
    detector: str = ""


class LogSettings(Section, frozen=True):
    """Log messages, on standard error.

    Attributes:
        level: lowest level that is written.
    """

    RELOAD: ClassVar[Reload] = "live"

    level: Literal["debug", "info", "warning", "error"] = "info"
