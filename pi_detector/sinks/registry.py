"""The sinks that the settings ask for."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from pi_detector.config.check import is_loopback
from pi_detector.config.collect import CollectSettings
from pi_detector.config.copying import is_network, is_turned
from pi_detector.config.drawn import drawn_file
from pi_detector.config.outputs import (
    MetricsSettings,
    OutputSettings,
    RecordingSettings,
    WebSettings,
)
from pi_detector.config.owned import Check, page_file
from pi_detector.config.settings import Settings
from pi_detector.core.packets import PacketHub
from pi_detector.core.records import StatusRecord
from pi_detector.errors import DependencyMissingError, SinkError
from pi_detector.sinks.base import Sink
from pi_detector.sinks.log import RecordLogSink
from pi_detector.sinks.recordings.copying import Copying
from pi_detector.sinks.recordings.sink import RecordingSink
from pi_detector.sinks.snapshots import SnapshotSink
from pi_detector.sinks.socket_lines import SocketSink
from pi_detector.sinks.stdout import JsonLinesSink
from pi_detector.sinks.terminal import TerminalSink, is_terminal
from pi_detector.sinks.textfile import TextfileSink
from pi_detector.sinks.video import VideoSink
from pi_detector.util.installation import how_to_install
from pi_detector.util.paths import collected_folder, output_path, recordings_folder, state_folder

if TYPE_CHECKING:
    from pi_detector.sinks.mqtt.discovery import Subjects
    from pi_detector.sinks.mqtt.sink import MqttSink
    from pi_detector.sinks.notify.sink import NotifySink
    from pi_detector.sinks.web.live_video import LiveVideo
    from pi_detector.sinks.web.sink import WebSink

_MIB = 1024 * 1024


def make_sinks(settings: OutputSettings, page: str = "") -> list[Sink]:
    """The sinks of a run, none of them started.

    Args:
        settings: of the outputs.
        page: address of the page, for a person at a terminal; empty for none.

    Raises:
        SinkError: a path that makes no sense.
    """
    sinks: list[Sink] = []
    stdout = settings.stdout
    if stdout == "auto":
        stdout = "status" if is_terminal(sys.stdout) else "jsonl"
    if stdout == "status":
        sinks.append(TerminalSink(page))
    elif stdout != "none":
        sinks.append(JsonLinesSink(line_format=stdout, empty_frames=settings.empty_frames))
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
                most_bytes=settings.log_mb * _MIB,
                most_daily_bytes=settings.log_mb_per_day * _MIB or None,
                detections=settings.log_detections,
                compress=settings.log_compress,
            )
        )
    if settings.video:
        sinks.append(VideoSink(output_path(settings.video)))
    return sinks


def page_address(settings: WebSettings) -> str:
    """Where the page is looked at; empty where there is none."""
    if not settings.enabled:
        return ""
    host = settings.host
    if host in {"0.0.0.0", "::"}:
        host = socket.gethostname()
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}/"


def make_socket_sink(settings: OutputSettings) -> SocketSink | None:
    """The sink that serves programs at a socket, not started; None where the settings name none.

    Raises:
        SinkError: a path that makes no sense.
    """
    if not settings.socket:
        return None
    return SocketSink(
        output_path(settings.socket),
        line_format=settings.socket_format,
        empty_frames=settings.empty_frames,
    )


def make_recording_sinks(
    settings: RecordingSettings,
    environ: Mapping[str, str],
    report: Callable[[StatusRecord], None],
    is_on: Callable[[], bool],
    copying: Copying | None = None,
) -> list[Sink]:
    """The sink that records events, not started; none where the settings ask for none.

    Args:
        settings: of the recordings.
        environ: environment variables, which name the folder where the settings don't.
        report: takes status records about what cannot be recorded.
        is_on: whether events that begin now are recorded.
        copying: the packets of the source; None where clips are always encoded.

    Raises:
        SinkError: a path that makes no sense.
    """
    if not settings.enabled:
        return []
    folder = recordings_folder(settings.path, environ)
    return [RecordingSink(folder, settings, report, is_on, copying)]


def make_copying(settings: Settings, packets: PacketHub, may: Callable[[], bool]) -> Copying | None:
    """The packets for clips; None where clips are always encoded.

    Args:
        settings: source and recording.
        packets: of the source.
        may: whether packets may be recorded as they are, now.
    """
    recording = settings.recording
    if not (recording.enabled and recording.clips) or recording.copy == "off":
        return None
    if is_turned(settings.source) or not is_network(settings.source.uri):
        return None
    copying = Copying(recording.copy, may)
    packets.add(copying.queue.put)
    return copying


def make_collect_sinks(settings: CollectSettings, environ: Mapping[str, str]) -> list[Sink]:
    """The sink that collects frames, not started; none where the settings ask for none.

    Args:
        settings: which frames, and how many.
        environ: environment variables, which name the folder where the settings don't.

    Raises:
        SinkError: a path that makes no sense.
    """
    if not settings.enabled:
        return []
    from pi_detector.sinks.collect.sink import CollectSink

    return [CollectSink(collected_folder(settings.path, environ), settings)]


def make_textfile_sinks(settings: MetricsSettings, text: Callable[[], bytes]) -> list[Sink]:
    """The sink that writes a file of metrics, not started; none where the settings name no file.

    Args:
        settings: of the metrics.
        text: gives the metrics.

    Raises:
        SinkError: a path that makes no sense.
    """
    if not settings.textfile:
        return []
    return [TextfileSink(output_path(settings.textfile), settings.interval_s, text)]


def make_mqtt_sink(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    model: str,
    labels: Iterable[str],
    report: Callable[[StatusRecord], None],
    command: Callable[[str], None],
) -> MqttSink | None:
    """The sink that publishes by MQTT, not started; None where the settings name no broker.

    Args:
        settings: with their secrets.
        environ: environment variables.
        model: name of the model.
        labels: of the model.
        report: takes status records about the connection.
        command: takes commands: ``reload``, ``pause``, ``resume``.

    Raises:
        SinkError: a path that makes no sense.
    """
    if not settings.mqtt.host:
        return None
    from pi_detector.sinks.mqtt.sink import MqttSink

    return MqttSink(
        settings.mqtt,
        settings.recovery,
        state_folder(settings.mqtt.queue, environ),
        model=model,
        subjects=subjects_of(settings, labels),
        report=report,
        command=command,
        performance=settings.telemetry.interval_s > 0,
        page="" if is_loopback(settings.web.host) else page_address(settings.web),
        recording=settings.recording.enabled,
    )


def make_notify_sink(
    settings: Settings, environ: Mapping[str, str], report: Callable[[StatusRecord], None]
) -> NotifySink | None:
    """The sink that sends messages, not started; None where no rule is enabled.

    Args:
        settings: with their secrets.
        environ: environment variables.
        report: takes status records about the services.

    Raises:
        SinkError: a path or a URL that makes no sense.
        DependencyMissingError: the extra ``notify`` is not installed.
    """
    rules = {name: rule for name, rule in settings.notify.items() if rule.enabled}
    if not rules:
        _forget_messages(environ)
        return None
    from pi_detector.sinks.notify.sink import NotifySink

    clips = settings.recording.enabled and any(rule.clip for rule in rules.values())
    named = {name for rule in rules.values() for name in rule.schedules}
    return NotifySink(
        rules,
        settings.recovery,
        state_folder("", environ),
        page=page_address(settings.web),
        report=report,
        schedules={name: settings.schedule[name] for name in sorted(named)},
        location=settings.location if named else None,
        recordings=recordings_folder(settings.recording.path, environ) if clips else None,
    )


def _forget_messages(environ: Mapping[str, str]) -> None:
    """Delete what rules left that are no more, once it is too old to be sent."""
    try:
        folder = state_folder("", environ)
        if not any(folder.glob("notify-*.queue")):
            return
    except (SinkError, OSError):  # without rules, that is nobody's failure
        return
    from pi_detector.sinks.notify.leftover import remove_leftover

    remove_leftover(folder)


def make_web_sink(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    labels: Iterable[str],
    command: Callable[[str], None],
    healthy: Callable[[], bool],
    check: Check | None,
    metrics: Callable[[], tuple[bytes, str]] | None = None,
    video: LiveVideo | None = None,
) -> WebSink | None:
    """The sink behind the page, not started; None where the settings want no page.

    Args:
        settings: with their secrets.
        environ: environment variables.
        labels: of the model.
        command: takes ``reload``, ``pause``, ``resume``; called from the server's thread.
        healthy: whether the machine makes progress.
        check: reads the settings with other texts in the place of files; None: nothing can be
            saved.
        metrics: body and content type of ``/metrics``; None for none.
        video: of ``make_live_video``.

    Raises:
        SinkError: a path that makes no sense.
        DependencyMissingError: the extra ``web`` is not installed.
    """
    if not settings.web.enabled:
        return None
    try:
        from pi_detector.sinks.web.sink import WebSink
    except ImportError as error:
        raise DependencyMissingError(
            f"the page (web.enabled) needs {error.name}, which is not installed; "
            f"to install it: {how_to_install('web')}"
        ) from error
    recording = settings.recording
    return WebSink(
        settings,
        labels=sorted(labels),
        recordings=recordings_folder(recording.path, environ) if recording.enabled else None,
        drawn=drawn_file(environ),
        page=page_file(environ),
        command=command,
        healthy=healthy,
        check=check,
        metrics=metrics,
        video=video,
    )


def make_live_video(
    settings: Settings, packets: PacketHub, may: Callable[[], bool]
) -> LiveVideo | None:
    """The camera's own video for the page; None without a page, or of other sources.

    Args:
        settings: page and source.
        packets: of the source.
        may: whether packets may be shown as they are, now.
    """
    if not settings.web.enabled or not is_network(settings.source.uri):
        return None
    from pi_detector.sinks.web.live_video import LiveVideo

    video = LiveVideo(may)
    packets.add(video.take)
    return video


def subjects_of(settings: Settings, labels: Iterable[str]) -> Subjects:
    """What is published about: the labels that are reported, zones, lines and schedules."""
    from pi_detector.sinks.mqtt.discovery import Subjects

    wanted = settings.detection.labels
    return Subjects(
        labels=tuple(label for label in labels if not wanted or label in wanted),
        zones=tuple(settings.zones),
        lines=tuple(settings.lines),
        schedules=tuple(settings.schedule),
    )
