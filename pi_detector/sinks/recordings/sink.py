"""The sink that records events: clips, best views, sidecars, index."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pi_detector.config.outputs import RecordingSettings
from pi_detector.core.frame import Frame
from pi_detector.core.packets import Packet
from pi_detector.core.records import EventRecord, Publication, StatusRecord, status_record
from pi_detector.core.result import Result
from pi_detector.sinks.recordings.copying import Copying
from pi_detector.sinks.recordings.disk import DiskThread
from pi_detector.sinks.recordings.encoder import lacking
from pi_detector.sinks.recordings.layout import (
    CLEAN,
    CLIP,
    SIDECAR,
    SNAPSHOT,
    THUMBNAIL,
    Media,
    day_folder,
    safe_stem,
)
from pi_detector.sinks.recordings.recorder import Clip, Recorder
from pi_detector.sinks.recordings.storage import Storage
from pi_detector.sinks.recordings.tracked import TrackedEvent
from pi_detector.sinks.recordings.views import Picture, picture_of

log = logging.getLogger(__name__)

MOST_OPEN = 32
"""Most simultaneous events; beyond that, the one silent for longest counts as ended."""
CLOSE_S = 4.0
RETRY_S = 2.0
CHECK_S = 10.0
TIDY_S = 3600.0

_SUFFIXES = (SIDECAR, CLIP, SNAPSHOT, CLEAN, THUMBNAIL)


class RecordingSink:
    """Records events in a folder.

    A separate thread does the disk work. While the disk is full or fails, nothing is recorded and
    ``handle`` raises; every two seconds it checks for recovery.

    Without PyAV, events are recorded with images but without clips.

    Args:
        folder: folder of the recordings; created if it does not exist.
        settings: settings of the recordings.
        report: receives a status record if clips cannot be recorded.
        is_on: whether events that begin now are recorded.
        copying: the packets of the source, where clips may be copied from them.
    """

    name = "recordings"
    lossless = False

    def __init__(
        self,
        folder: Path,
        settings: RecordingSettings,
        report: Callable[[StatusRecord], None] | None = None,
        is_on: Callable[[], bool] = lambda: True,
        copying: Copying | None = None,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._report = report
        self._is_on = is_on
        self._copying = copying
        self._started = False
        self._disk: DiskThread  # since start()

    def start(self) -> None:
        """Take the folder, put right what the last run left, and tidy up.

        Where it was started before, the next item looks whether the disk works again.

        Raises:
            SinkError: the folder cannot be written.
            RecordingInUseError: another process records there.
        """
        if self._started:
            self._retry_s = 0.0
            # What was handed over before the failure tells nothing of what comes now.
            self._disk.drain(RETRY_S)
            self._disk.take_done()
            return
        self._disk = DiskThread()
        try:
            self._storage = Storage(self._folder, self._settings)
        except BaseException:
            self._disk.close(CLOSE_S)
            raise
        self._number = self._storage.next_number()
        self._recorder = self._make_recorder()
        self._events: dict[str, TrackedEvent] = {}  # by path, also those whose clip goes on
        self._open: dict[str, TrackedEvent] = {}  # by id
        self._last: Result | None = None
        self._broken: Exception | None = None
        self._recovered = False
        self._filming = True
        self._retry_s = 0.0
        self._check_s = time.monotonic() + CHECK_S
        self._tidy_s = time.monotonic() + TIDY_S
        self._started = True

    def handle(self, item: Publication) -> bool:
        """Take a frame, or the record of an event.

        Returns:
            Whether the disk took something since the last call.

        Raises:
            SinkError: the disk is full or fails, or the encoder does.
            Exception: what the disk's thread met that was not foreseen.
        """
        if isinstance(item, Result):
            self._see(item)
        elif isinstance(item, EventRecord):
            self._hear(item)
        elif isinstance(item, StatusRecord):
            self._notice(item)
        self._do_regularly(time.monotonic())
        self._check_disk()
        return self._disk.take_done() and self._filming

    def close(self) -> None:
        """Finish the clips and the events. Raises SinkError where that is not possible."""
        if not self._started:
            return
        self._started = False
        self._storage.hurry()
        try:
            if self._recorder is not None:
                self._recorder.close()
            for event in list(self._open.values()):
                self._end(event, interrupted=True)
        finally:
            self._disk.submit(self._storage.sync)
            if self._disk.close(CLOSE_S):
                self._storage.close()
            else:
                log.warning("recordings: the disk did not finish within %.0f s", CLOSE_S)
        error = self._disk.take_error()
        if error is not None:
            raise error

    def _do_regularly(self, now_s: float) -> None:
        if now_s >= self._check_s:
            self._check_s = now_s + CHECK_S
            self._disk.submit(self._storage.check)
        if now_s >= self._tidy_s:
            self._tidy_s = now_s + TIDY_S
            self._disk.submit(self._storage.tidy)

    def _make_recorder(self) -> Recorder | None:
        """What films; None where no clips are wanted, or there is nothing to make them with."""
        if not self._settings.clips:
            return None
        if (reason := lacking(self._settings)) is not None:
            log.error("recordings: %s", reason, extra={"DETECTOR_EVENT": "sink_limited"})
            if self._report is not None:
                self._report(status_record("sink", self.name, "limited", reason=reason))
            return None
        return Recorder(
            self._settings,
            self._folder,
            submit=self._disk.submit,
            make_room=self._storage.make_room,
            next_path=self._next_clip_path,
            on_show=self._show,
            on_done=self._clip_done,
        )

    def _see(self, result: Result) -> None:
        self._last = result
        for view in result.views:
            event = self._open.get(view.event_id)
            if event is not None:
                event.picture = picture_of(result, view.box_px, view.score)
        self._follow(result)
        # Outside its hours not even the seconds before an event are kept.
        if self._recorder is None:
            return
        at_ns = result.frame.captured_ns
        packets = self._copying.take(at_ns) if self._copying is not None else None
        if self._events or self._is_on():
            self._filming = False
            self._film(self._recorder, result.frame, packets)
            self._filming = True

    @staticmethod
    def _film(recorder: Recorder, frame: Frame, packets: list[Packet] | None) -> None:
        if packets is None:
            recorder.see(frame)
            return
        for packet in packets:
            recorder.copy(packet)

    def _follow(self, result: Result) -> None:
        """Note where the objects of the open events stand."""
        numbers = result.detections.track_id
        if numbers is None or not self._open:
            return
        events = {event.record.track_id: event for event in self._open.values()}
        frame = result.frame
        for number, (x1, _, x2, y2) in zip(
            numbers.tolist(), result.detections.xyxy.tolist(), strict=True
        ):
            event = events.get(number)
            if event is not None:
                at_s = (frame.captured_ns - event.started_ns) / 1e9
                event.track.add(at_s, (x1 + x2) / 2 / frame.width, y2 / frame.height)

    def _hear(self, record: EventRecord) -> None:
        event = self._open.get(record.id)
        if event is None:
            if not self._is_on():
                return
            event = self._begin(record)
        event.hear(record)
        if record.phase == "end":
            self._let_go(event)
            self._end(event)

    def _begin(self, record: EventRecord) -> TrackedEvent:
        if len(self._open) >= MOST_OPEN:
            silent = min(self._open.values(), key=lambda event: event.record.monotonic_ns)
            log.warning("recordings: more than %d simultaneous events", MOST_OPEN)
            self._let_go(silent)
            self._end(silent, interrupted=True)
        path = self._free_path(record)
        started_ns = record.monotonic_ns - round(record.duration_s * 1e9)
        event = TrackedEvent(record, self._number, started_ns, path, self._first_picture(record))
        self._number += 1
        self._events[event.path] = self._open[record.id] = event
        if self._recorder is not None:
            settings = self._settings
            begin_ns = started_ns - round(settings.pre_s * 1e9)
            until_ns = record.monotonic_ns + round(settings.longest_event_s * 1e9)
            self._recorder.hold(event.path, begin_ns, until_ns)
        return event

    def _first_picture(self, record: EventRecord) -> Picture | None:
        """The frame of an event's first record, which came before the record."""
        last = self._last
        if last is None or last.frame.sequence != record.sequence:
            return None
        for view in last.views:
            if view.event_id == record.id:
                return picture_of(last, view.box_px, view.score)
        return picture_of(last, record.box_px, record.score)

    def _let_go(self, event: TrackedEvent) -> None:
        """Stop recording for an event that ended, after the time that follows it."""
        if self._recorder is None:
            return
        record = event.record
        if record.reason in ("source_lost", "shutdown"):
            self._recorder.release(event.path, record.monotonic_ns)
            self._recorder.expire(record.monotonic_ns + 1)
        else:
            until_ns = record.monotonic_ns + round(self._settings.post_s * 1e9)
            self._recorder.release(event.path, until_ns)

    def _end(self, event: TrackedEvent, *, interrupted: bool = False) -> None:
        event.ended, event.interrupted = True, interrupted
        del self._open[event.record.id]
        picture, event.picture = event.picture, None
        if picture is not None:
            event.pictures = (Media(f"{event.path}{THUMBNAIL}", "thumbnail"),)
            if self._settings.snapshots:
                event.pictures += (
                    Media(f"{event.path}{SNAPSHOT}", "snapshot"),
                    Media(f"{event.path}{CLEAN}", "clean"),
                )
        if event.pictures or event.clips:  # else there was no frame of it
            size = 0 if picture is None else len(picture.jpeg)
            self._disk.submit(partial(self._storage.store, event.entry(), picture), size)
        if event.complete:
            self._forget(event)

    def _forget(self, event: TrackedEvent) -> None:
        del self._events[event.path]
        if self._recorder is not None:
            self._recorder.forget(event.path)

    def _notice(self, record: StatusRecord) -> None:
        """Where the source is gone, no frame will come to end a clip with."""
        if record.part == "source" and record.state != "live" and self._recorder is not None:
            self._recorder.finish()

    def _show(self, clip: Clip, key: str) -> None:
        """A clip is going to show an event: its sidecar names the clip before there is one."""
        event = self._events.get(key)
        if event is not None and clip not in event.clips:
            event.clips.append(clip)
            self._disk.submit(partial(self._storage.note, event.entry()))

    def _clip_done(self, clip: Clip) -> None:
        for key in clip.events:
            event = self._events.get(key)
            if event is None or clip not in event.clips:
                continue
            self._disk.submit(partial(self._storage.store, event.entry(), None))
            if event.complete:
                self._forget(event)

    def _next_clip_path(self, key: str) -> str:
        event = self._events[key]
        while True:
            event.named += 1
            number = f".{event.named}" if event.named > 1 else ""
            path = f"{event.path}{number}{CLIP}"
            if not os.path.lexists(self._folder / path):
                return path

    def _free_path(self, record: EventRecord) -> str:
        """Where an event's files go: named after its id, beside none that are there already."""
        wanted = f"{day_folder(record.started)}/{safe_stem(record.id)}"
        path, number = wanted, 1
        while path in self._events or any(
            os.path.lexists(self._folder / f"{path}{end}") for end in _SUFFIXES
        ):
            number += 1
            path = f"{wanted}-{number}"
        return path

    def _check_disk(self) -> None:
        """Raise the error of the disk's thread, until it has recovered."""
        error = self._disk.take_error()
        if self._broken is None and error is not None:
            self._broken = error
            if self._recorder is not None:
                self._recorder.paused = True
                self._recorder.finish()
            self._retry_s = time.monotonic() + RETRY_S
        elif self._broken is not None:
            self._try_again()
        if self._broken is not None:
            raise self._broken

    def _recover(self) -> None:
        self._storage.recover()
        self._recovered = True

    def _try_again(self) -> None:
        if time.monotonic() < self._retry_s:
            return
        self._retry_s = time.monotonic() + RETRY_S
        self._recovered = False
        self._disk.submit(self._recover)
        self._disk.drain(RETRY_S)
        error = self._disk.take_error()
        if self._recovered:
            self._broken = None
            if self._recorder is not None:
                self._recorder.paused = False
        elif error is not None:
            self._broken = error
