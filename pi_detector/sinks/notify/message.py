"""A message: what waits in the queue, and what a service gets."""

from __future__ import annotations

import base64
import functools
import hashlib
import socket
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from pi_detector.config.notify import NotifySettings, When
from pi_detector.config.template import filled
from pi_detector.core.clock import utc_now
from pi_detector.core.records import EventRecord, Transition
from pi_detector.sinks.links import event_link

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_ID_DIGITS = 32
_VERBS: Mapping[When, str] = {
    "new": "appeared",
    "loitering": "loitering",
    "crossing": "crossed",
    "end": "left",
}


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """One occasion as it waits in the queue of a service.

    Attributes:
        when: its kind.
        event: the record.
        change: what it did at a zone or line.
        group: of the message that it is part of.
        due_ns: monotonic, when that message is complete.
        queued_ns: monotonic, when it was queued.
        queued_at: the same moment, wall time in UTC.
        boot: of the machine; monotonic times of another boot mean nothing.
        image: JPEG, or None.
    """

    when: When
    event: EventRecord
    change: Transition | None
    group: str
    due_ns: int
    queued_ns: int
    queued_at: datetime
    boot: str
    image: bytes | None

    def age_s(self) -> float:
        """For how long it has waited; by the wall clock where the machine was started since."""
        if self.boot == boot_id():
            return (time.monotonic_ns() - self.queued_ns) / 1e9
        return (utc_now() - self.queued_at).total_seconds()

    def left_s(self) -> float:
        """In how long its message is complete; 0 where it is."""
        if self.boot != boot_id():
            return 0.0
        return max(0.0, (self.due_ns - time.monotonic_ns()) / 1e9)


@functools.cache
def boot_id() -> str:
    """What names this boot of the machine; the same in all processes."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Note)


def packed(note: Note) -> bytes:
    """A note as the queue holds it."""
    return _encoder.encode(note)


def unpacked(payload: bytes) -> Note | None:
    """The note of a payload; None of one that another version wrote, or that is damaged."""
    try:
        return _decoder.decode(payload)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


@dataclass(frozen=True, slots=True)
class Message:
    """What a service gets.

    Attributes:
        id: the same for the same message, however often it is sent; for no other.
        rule: name of the rule.
        when: the kind of what happened.
        title: one line.
        body: text.
        link: address of the first event on the page; empty for none.
        events: the records, the first to happen first.
        image: JPEG, or None.
        clip: MP4, or None.
    """

    id: str
    rule: str
    when: When
    title: str
    body: str
    link: str
    events: tuple[EventRecord, ...]
    image: bytes | None = None
    clip: bytes | None = None


class _Media(msgspec.Struct, frozen=True):
    content_type: str
    base64: str


class Notification(msgspec.Struct, frozen=True, kw_only=True, tag="notification", tag_field="type"):
    """The JSON of a message, as webhooks and commands get it."""

    id: str
    rule: str
    when: str
    title: str
    body: str
    link: str
    events: tuple[EventRecord, ...]
    image: _Media | None
    clip: _Media | None
    version: int = 1


def as_json(message: Message) -> bytes:
    """The message as JSON, its picture and clip in base64."""
    return msgspec.json.encode(
        Notification(
            id=message.id,
            rule=message.rule,
            when=message.when,
            title=message.title,
            body=message.body,
            link=message.link,
            events=message.events,
            image=_media("image/jpeg", message.image),
            clip=_media("video/mp4", message.clip),
        )
    )


def _media(content_type: str, data: bytes | None) -> _Media | None:
    return None if data is None else _Media(content_type, base64.b64encode(data).decode())


def message_of(notes: Sequence[Note], rule: str, settings: NotifySettings, page: str) -> Message:
    """The message about one group of notes.

    Args:
        notes: of one group, in their order.
        rule: name of the rule.
        settings: of the rule.
        page: address of the page, for links; empty for none.
    """
    # What was queued, and once more after a kill, is one.
    notes = list({_occasion(note): note for note in notes}.values())
    first = notes[0]
    name = f"{first.group}:{first.event.id}:{first.event.revision}"
    link = event_link(page, first.event.id)
    values = _values(notes, rule, link)
    best = max((note for note in notes if note.image), key=lambda note: note.event.best.score,
               default=first)  # fmt: skip
    return Message(
        id=hashlib.sha256(name.encode()).hexdigest()[:_ID_DIGITS],
        rule=rule,
        when=first.when,
        title=" ".join(filled(settings.title, values).split()),
        body=filled(settings.body, values).strip(),
        link=link,
        events=tuple({(each.event.id, each.event.revision): each.event for each in notes}.values()),
        image=best.image,
    )


def _occasion(note: Note) -> tuple[str, int, str | None, str | None]:
    """What makes two notes the same: event, revision, and what it did at which zone or line."""
    change = note.change
    return (
        note.event.id,
        note.event.revision,
        change.kind if change else None,
        change.name if change else None,
    )


def _values(notes: Sequence[Note], rule: str, link: str) -> dict[str, str]:
    first = notes[0]
    event, local = first.event, first.event.time.astimezone()
    # One object may do several things: cross two lines, or one of them there and back.
    label_of = {note.event.id: note.event.label for note in notes}
    labels = counted(list(label_of.values()))
    ended = first.when == "end"
    zones = dict.fromkeys(
        zone for note in notes for zone in (note.event.entered if ended else note.event.zones)
    )
    duration = f"{max(note.event.duration_s for note in notes):.0f} s"
    changes = [note.change for note in notes if note.change is not None]
    names = ", ".join(dict.fromkeys(change.name for change in changes))
    crossed: dict[str, dict[str, None]] = {}
    for change in changes if first.when == "crossing" else ():
        crossed.setdefault(change.name, {})[change.kind] = None
    directions = dict.fromkeys(kind for kinds in crossed.values() for kind in kinds)
    what = f"{labels} {_VERBS[first.when]}"
    if crossed:
        lines = (f"{line} ({', '.join(kinds)})" for line, kinds in crossed.items())
        what += f" {', '.join(lines)}"
    elif names:
        what += f" in {names}"
    elif ended:
        what += f" after {duration}"
    elif zones:
        what += f" in {', '.join(zones)}"
    return {
        "what": what[:1].upper() + what[1:],
        "labels": labels,
        "label": event.label,
        "count": str(len(label_of)),
        "when": first.when,
        "zones": ", ".join(zones),
        "line": ", ".join(crossed),
        "direction": ", ".join(directions),
        "score": f"{max(note.event.best.score for note in notes):.0%}".replace("%", " %"),
        "duration": duration,
        "time": f"{local:%H:%M:%S}",
        "date": f"{local:%Y-%m-%d}",
        "source": event.source,
        "detector": socket.gethostname(),
        "rule": rule,
        "id": event.id,
        "link": link,
    }


def counted(labels: Sequence[str]) -> str:
    """Labels with their numbers.

    Example:
        >>> counted(["car", "person", "car"])
        'car ×2, person'
    """
    return ", ".join(
        label if number == 1 else f"{label} ×{number}" for label, number in Counter(labels).items()
    )
