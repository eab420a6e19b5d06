"""The records that pi-detector publishes: one JSON object per line, UTF-8, versioned.

``SCHEMA_VERSION`` grows by one when a change would break readers of the old records. New optional
fields do not count as a break.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from pi_detector.core.boxes import Box, BoxPx, Score, normalized, rounded_px
from pi_detector.core.clock import clock_synchronized, utc_now
from pi_detector.core.looks import LookReason
from pi_detector.core.readings import (
    FrameFlow,
    GovernorReadings,
    HostReadings,
    Milliseconds,
    ProcessReadings,
    StageLatencies,
)
from pi_detector.core.result import Result
from pi_detector.core.states import EndReason, Part, State
from pi_detector.util.uri import redact_within

SCHEMA_VERSION = 1

Seconds = Annotated[float, msgspec.Meta(ge=0)]
UtcTime = Annotated[datetime, msgspec.Meta(tz=True)]


class FrameSize(msgspec.Struct, frozen=True):
    """Size of the frame in pixels."""

    width: int
    height: int


class Detection(msgspec.Struct, frozen=True, omit_defaults=True):
    """One object: ``box_px`` is x1, y1, x2, y2 in pixels; ``box`` the same in 0..1 of the frame.

    ``track_id`` is the same number for the same object in every frame of a run; absent where
    nothing tracks.
    """

    label: str
    class_id: int
    score: Score
    box_px: BoxPx
    box: Box
    track_id: int | None = None


class LookRecord(msgspec.Struct, frozen=True):
    """A part of a frame that the detector was given, and why.

    ``whole`` is the whole frame's turn; ``motion``: something moves there; ``track``: an object
    there is small, or about to be lost; ``rest``: the rest of the frame, in turns; ``tile``: of
    ``detect --tiles``. ``box_px`` is x1, y1, x2, y2 in pixels of the frame.
    """

    reason: LookReason
    box_px: tuple[int, int, int, int]


class StageTimings(msgspec.Struct, frozen=True):
    """Milliseconds by stage; ``latency`` is from capture to the end of decoding."""

    preprocess: Milliseconds
    invoke: Milliseconds
    decode: Milliseconds
    latency: Milliseconds


class DetectionsRecord(msgspec.Struct, frozen=True, tag="detections", tag_field="type"):
    """What was found in one frame.

    ``inferred`` is false where the detector did not look at the frame, and else absent. ``looks``
    says what of the frame the detector was given, absent where that was the whole frame once;
    ``timings_ms`` are then those of all looks together. An object that no look shows is not
    detected in this frame.
    """

    sequence: int
    time: UtcTime
    clock_synchronized: bool
    monotonic_ns: int
    source: str
    frame: FrameSize
    detections: list[Detection]
    timings_ms: StageTimings
    dropped: int
    path: str | None = None
    inferred: Literal[False] | msgspec.UnsetType = msgspec.UNSET
    looks: list[LookRecord] | msgspec.UnsetType = msgspec.UNSET
    version: Literal[1] = 1


class Transition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an object did at a zone or line.

    ``kind`` is ``entered``, ``left`` or ``loitering`` of the zone ``name``; ``in`` or ``out`` of
    the line ``name``. ``dwell_s`` is how long it was inside the zone, ``total`` how many objects
    have crossed the line in this direction since the start, this one included.
    """

    kind: Literal["entered", "left", "loitering", "in", "out"]
    name: str
    time: UtcTime
    dwell_s: Seconds | None = None
    total: int | None = None


class BestView(msgspec.Struct, frozen=True):
    """The frame that shows the object of an event best: near, sharp, whole and certain."""

    sequence: int
    time: UtcTime
    score: Score
    box_px: BoxPx
    box: Box


class EventRecord(msgspec.Struct, frozen=True, tag="event", tag_field="type", kw_only=True):
    """One object from its appearance to its end: ``new``, then ``update`` s, then ``end``.

    ``id`` names the event in all of them, and is unique across restarts; ``revision`` counts its
    records from 0, so that both identify a repeated record. ``box`` and ``box_px`` are
    where the object was seen last, at ``last_seen``; ``score`` is the median over its history,
    ``hits`` the number of frames in which it was detected. ``duration_s`` is from ``started`` to
    ``last_seen`` by the monotonic clock. ``zones`` are those that it is in now, ``entered`` all
    that it was ever in; ``transitions`` what it did at zones and lines since the record before.
    ``reason`` is why an event ended. ``continues`` is the id of the event of the same standing
    object that ended when the source was lost.
    """

    id: str
    revision: Annotated[int, msgspec.Meta(ge=0)]
    phase: Literal["new", "update", "end"]
    label: str
    class_id: int
    track_id: int
    score: Score
    hits: int
    best: BestView
    source: str
    sequence: int
    time: UtcTime
    started: UtcTime
    last_seen: UtcTime
    clock_synchronized: bool
    monotonic_ns: int
    duration_s: Seconds
    frame: FrameSize
    box_px: BoxPx
    box: Box
    stationary: bool = False
    zones: tuple[str, ...] = ()
    entered: tuple[str, ...] = ()
    transitions: tuple[Transition, ...] = ()
    reason: EndReason | None = None
    continues: str | None = None
    version: Literal[1] = 1


class StatusRecord(msgspec.Struct, frozen=True, tag="status", tag_field="type", kw_only=True):
    """A part of pi-detector that came up, went down or changed.

    ``part`` is the kind of part, ``name`` which one. ``reason`` says what happened, in words;
    ``retry_s`` is the delay before the retry. ``lost`` is what an outage that is over cost at most:
    results and events that a sink did not publish.
    """

    part: Part
    name: str
    state: State
    time: UtcTime
    clock_synchronized: bool
    monotonic_ns: int
    reason: str | None = None
    retry_s: Seconds | None = None
    lost: int = 0
    version: Literal[1] = 1


class PerformanceRecord(
    msgspec.Struct, frozen=True, tag="performance", tag_field="type", kw_only=True
):
    """How fast the machine was in the last ``interval_s`` seconds, and how it was then.

    ``reason`` is ``throttling`` for a record that was made at once because that changed.
    ``governor`` is null where none is enabled. ``looks`` counts the looks at frames by their
    reason, null where each frame was looked at as a whole, once.
    """

    reason: Literal["interval", "throttling"]
    source: str
    time: UtcTime
    clock_synchronized: bool
    monotonic_ns: int
    interval_s: Seconds
    fps_in: float
    fps_out: float
    frames: FrameFlow
    stages_ms: StageLatencies
    host: HostReadings
    process: ProcessReadings
    governor: GovernorReadings | None = None
    looks: dict[LookReason, int] | None = None
    version: Literal[1] = 1


Record = DetectionsRecord | EventRecord | StatusRecord | PerformanceRecord
"""Every record that this version publishes."""

Publication = Result | EventRecord | StatusRecord | PerformanceRecord
"""What the sinks are handed: a processed frame, or a record about something else."""

_encoder = msgspec.json.Encoder()


def detections_record(result: Result) -> DetectionsRecord:
    """The record of a processed frame."""
    frame, found = result.frame, result.detections
    width, height = frame.width, frame.height
    track_ids = [None] * len(found) if found.track_id is None else found.track_id.tolist()
    rows = zip(
        found.xyxy.tolist(), found.score.tolist(), found.class_id.tolist(), track_ids, strict=True
    )
    return DetectionsRecord(
        sequence=frame.sequence,
        time=frame.captured_at,
        clock_synchronized=clock_synchronized(),
        monotonic_ns=frame.captured_ns,
        source=_text(frame.source),
        frame=FrameSize(width, height),
        detections=[
            Detection(
                label=result.labels.get(class_id, str(class_id)),
                class_id=class_id,
                score=round(score, 4),
                box_px=rounded_px(xyxy),
                box=normalized(xyxy, width, height),
                track_id=track_id or None,
            )
            for xyxy, score, class_id, track_id in rows
        ],
        timings_ms=StageTimings(
            preprocess=round(result.timings.preprocess_ms, 3),
            invoke=round(result.timings.invoke_ms, 3),
            decode=round(result.timings.decode_ms, 3),
            latency=round(result.timings.latency_ms, 3),
        ),
        dropped=result.dropped,
        path=None if frame.path is None else _text(frame.path),
        inferred=msgspec.UNSET if result.inferred else False,
        looks=[LookRecord(look.reason, look.xyxy) for look in result.looks] or msgspec.UNSET,
    )


def status_record(
    part: Part,
    name: str,
    state: State,
    *,
    reason: str | None = None,
    retry_s: float | None = None,
    lost: int = 0,
) -> StatusRecord:
    """The record of a change that happens now."""
    return StatusRecord(
        part=part,
        name=_text(name),
        state=state,
        time=utc_now(),
        clock_synchronized=clock_synchronized(),
        monotonic_ns=time.monotonic_ns(),
        reason=None if reason is None else _text(redact_within(reason)),
        retry_s=None if retry_s is None else round(retry_s, 3),
        lost=lost,
    )


def _text(name: str) -> str:
    """A name that JSON can hold.

    Python keeps the bytes of a file name that are not UTF-8 as surrogates; they become an escape.
    """
    return name.encode("utf-8", "backslashreplace").decode()


def encode(record: Record) -> bytes:
    """One line of JSON, newline included."""
    return _encoder.encode(record) + b"\n"
