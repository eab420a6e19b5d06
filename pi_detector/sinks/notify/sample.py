"""The event that a test message is about."""

from __future__ import annotations

import time

from pi_detector.config.notify import NotifySettings
from pi_detector.core.boxes import normalized, rounded_px
from pi_detector.core.frame import Frame
from pi_detector.core.records import (
    BestView,
    EventRecord,
    FrameSize,
    Transition,
)
from pi_detector.sinks.files import jpeg_of
from pi_detector.sinks.notify.message import Note, boot_id
from pi_detector.sinks.notify.pictures import message_jpeg
from pi_detector.sinks.recordings.views import Picture


def sample_note(frame: Frame, rule: NotifySettings) -> Note:
    """A note about a visitor in a frame, of the first kind that the rule is about.

    Args:
        frame: that the picture is made from.
        rule: settings; says how the picture is to be.

    Raises:
        SinkError: the picture cannot be encoded.
    """
    when = rule.when[0] if rule.when else "new"
    width, height = frame.width, frame.height
    box = rounded_px((0.25 * width, 0.2 * height, 0.6 * width, 0.95 * height))
    share = normalized(box, width, height)
    change = None
    if when == "crossing":
        line = next(iter(rule.lines), "gate")
        change = Transition(kind="in", name=line, time=frame.captured_at, total=1)
    elif when == "loitering":
        zone = next(iter(rule.zones), "door")
        change = Transition(kind="loitering", name=zone, time=frame.captured_at, dwell_s=30.0)
    event = EventRecord(
        # Unlike any real one, so that no consumer takes it for a repetition.
        id=f"test-{frame.captured_at:%Y%m%dT%H%M%SZ}-{time.monotonic_ns()}",
        revision=0,
        phase="end" if when == "end" else "new",
        label=next(iter(rule.labels), "person"),
        class_id=1,
        track_id=1,
        score=0.9,
        hits=3,
        best=BestView(frame.sequence, frame.captured_at, 0.9, box, share),
        source="test",
        sequence=frame.sequence,
        time=frame.captured_at,
        started=frame.captured_at,
        last_seen=frame.captured_at,
        clock_synchronized=False,
        monotonic_ns=frame.captured_ns,
        duration_s=0.0,
        frame=FrameSize(width, height),
        box_px=box,
        box=share,
        zones=rule.zones,
        entered=rule.zones,
        transitions=() if change is None else (change,),
        reason="gone" if when == "end" else None,
    )
    image = None
    if rule.image != "none":
        picture = Picture(jpeg_of(frame.image, "the test's picture"), box, 0.9)
        image = message_jpeg(
            picture, event, rule.image, annotated=rule.annotated, width=rule.image_width
        )
    return Note(
        when=when,
        event=event,
        change=change,
        group=event.id,
        due_ns=0,
        queued_ns=time.monotonic_ns(),
        queued_at=frame.captured_at,
        boot=boot_id(),
        image=image,
    )
