"""The operations of the HTTP API: what each takes and answers.

``openapi`` makes the document of it; the routes are checked against it by a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from pi_detector.config.drawn import Places
from pi_detector.sinks.web.archive import Detail, EventList
from pi_detector.sinks.web.camera_routes import CameraShown, MergedEvents, MergedQuery
from pi_detector.sinks.web.desk import SettingsChange, SettingsSaved, SettingsShown
from pi_detector.sinks.web.editor import Shown
from pi_detector.sinks.web.events import Page
from pi_detector.sinks.web.overview import Overview

PREFIX = "/api/v1"
"""All addresses of version 1. Within it fields and operations are added; none change or go."""
CommandName = Literal["reload", "pause", "resume"]
MOST_MARKED = 2000
"""Number of events that one request may mark."""
_Instant = Annotated[datetime, msgspec.Meta(tz=True)]
_CURSOR = r"^[0-9TZ:.+-]{1,40},[0-9]{1,18}$"


class Problem(msgspec.Struct, frozen=True):
    """Why a request was refused.

    Attributes:
        error: the thing, the problem and the fix, in a sentence.
    """

    error: str


class Done(msgspec.Struct, frozen=True):
    """The answer to a command.

    Attributes:
        done: always true.
    """

    done: Literal[True] = True


class Saved(msgspec.Struct, frozen=True):
    """The answer to a change.

    Attributes:
        version: of what holds now.
    """

    version: str


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command.

    Attributes:
        command: ``reload`` reads the settings again, ``pause`` and ``resume`` stop and start
            detection.
    """

    command: CommandName


class Drawing(Places, frozen=True, kw_only=True):
    """Zones, lines and masks to save, in place of all that there are.

    Attributes:
        zones: zones by name.
        lines: lines by name.
        masks: motion masks by name.
        privacy: privacy masks by name; without it they stay as they are.
        version: version of those that were changed, from the latest answer.
    """

    version: str


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events are wanted, the latest first.

    Attributes:
        id: the event of this id.
        label: events of this label.
        zone: events that entered this zone.
        since: events that ended at this time or later.
        until: events that began at this time or earlier.
        before: events after those of another answer, which gives this as `next`.
    """

    id: str | None = None
    label: str | None = None
    zone: str | None = None
    since: _Instant | None = None
    until: _Instant | None = None
    before: Annotated[str, msgspec.Meta(pattern=_CURSOR)] | None = None


class ListQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of the list of events is wanted.

    Attributes:
        before: events before those of another answer, which gives this as `earlier`.
    """

    before: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None


class EventChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a viewer says of an event; what is absent or null stays as it is.

    Attributes:
        kept: protects it from being deleted by itself.
        reviewed: it was reviewed.
    """

    kept: bool | None = None
    reviewed: bool | None = None


class ReviewMarks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Events to mark; ids that are unknown are ignored.

    Attributes:
        ids: of the events.
        reviewed: whether they are reviewed now.
    """

    ids: Annotated[list[str], msgspec.Meta(max_length=MOST_MARKED)]
    reviewed: bool


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address.

    Attributes:
        method: of HTTP.
        path: address; names of its variable parts in braces.
        summary: what it does.
        answer: type of the JSON that is answered, or a media type.
        query: type whose fields are the parameters of the address.
        body: type of the JSON that is sent, or a media type.
        refusals: further statuses, and what they mean.
        public: answered without the token.
    """

    method: str
    path: str
    summary: str
    answer: Any
    query: type[msgspec.Struct] | None = None
    body: Any = None
    refusals: Mapping[int, str] = field(default_factory=dict)
    public: bool = False


class Tried(msgspec.Struct, frozen=True):
    """What came of a test message, by one service of a rule.

    Attributes:
        service: kind of the service.
        problem: why it was not sent; null where it was.
    """

    service: str
    problem: str | None


_JPEG, _TEXT, _TOML = "image/jpeg", "text/plain", "application/toml"
_OF_CAMERAS = {404: "There is no such camera or file.", 502: "It does not answer, or refuses."}
_OF_SETTINGS = {
    409: "They have changed since `version`, or something above them hides the change.",
    422: "A setting is wrong, or cannot be changed on the page.",
    507: "The file cannot be written.",
}

OPERATIONS: tuple[Operation, ...] = (
    Operation("get", f"{PREFIX}/openapi.json", "This document.", dict[str, Any]),
    Operation("get", f"{PREFIX}/overview", "The state of the detector.", Overview),
    Operation(
        "get",
        f"{PREFIX}/live",
        "Server-sent events without end: `overview` each second (data: Overview), `event` when an "
        "event begins, changes or ends (data: Card). `Last-Event-ID` continues a stream.",
        "text/event-stream",
    ),
    Operation(
        "get",
        f"{PREFIX}/events",
        "A page of events: the recorded ones, or those of this run where nothing is recorded.",
        Page,
        query=EventsQuery,
    ),
    Operation(
        "get",
        f"{PREFIX}/review",
        "All events in columns, short; `earlier` asks for those before them.",
        EventList,
        query=ListQuery,
    ),
    Operation(
        "post",
        f"{PREFIX}/review",
        "Mark events as reviewed, or no longer.",
        Done,
        body=ReviewMarks,
    ),
    Operation(
        "get",
        f"{PREFIX}/events/{{id}}",
        "An event with its clips, its track and what it did at zones and lines.",
        Detail,
        refusals={404: "It is unknown, or was deleted."},
    ),
    Operation(
        "patch",
        f"{PREFIX}/events/{{id}}",
        "Keep an event, or mark it as reviewed.",
        Done,
        body=EventChange,
        refusals={404: "It is not recorded, or not yet."},
    ),
    Operation(
        "delete",
        f"{PREFIX}/events/{{id}}",
        "Delete an event and its files.",
        Done,
        refusals={404: "It is not recorded, or was deleted already."},
    ),
    Operation(
        "get",
        f"{PREFIX}/events/{{id}}/thumbnail.jpg",
        "The best view of an event, cropped around its object; also while it is ongoing.",
        _JPEG,
        refusals={404: "It has no image, or was deleted."},
    ),
    Operation("get", f"{PREFIX}/places", "Zones, lines, motion masks and privacy masks.", Shown),
    Operation(
        "put",
        f"{PREFIX}/places",
        "Save zones, lines and masks, and apply them.",
        Saved,
        body=Drawing,
        refusals={
            409: "They have changed since `version`, or cannot be saved.",
            422: "A setting is wrong.",
            507: "The file cannot be written.",
        },
    ),
    Operation(
        "post",
        f"{PREFIX}/command",
        "Give a command.",
        Done,
        body=Command,
        refusals={409: "Detection cannot be paused in this run."},
    ),
    Operation(
        "get",
        f"{PREFIX}/settings",
        "The settings that an owner changes, with what a form needs. Secrets are not shown.",
        SettingsShown,
        refusals={409: "The settings cannot be read now."},
    ),
    Operation(
        "patch",
        f"{PREFIX}/settings",
        "Check changes, and save and apply them; with `save` false only the former.",
        SettingsSaved,
        body=SettingsChange,
        refusals=_OF_SETTINGS,
    ),
    Operation(
        "get",
        f"{PREFIX}/settings/backup",
        "What was changed and drawn on the page, as one file without secrets.",
        _TOML,
        refusals={409: "The settings cannot be read now."},
    ),
    Operation(
        "put",
        f"{PREFIX}/settings/backup",
        "Restore a backup. Addresses of messages stay; a rule without one is off.",
        SettingsSaved,
        body=_TOML,
        refusals=_OF_SETTINGS,
    ),
    Operation(
        "post",
        f"{PREFIX}/notify/{{name}}/test",
        "Send a test message now by a rule, and say what failed.",
        list[Tried],
        refusals={
            404: "There is no such rule.",
            409: "Another test is running.",
            503: "There is no frame yet.",
        },
    ),
    Operation("get", f"{PREFIX}/cameras", "The other detectors.", list[CameraShown]),
    Operation(
        "get",
        f"{PREFIX}/cameras/events",
        "Events of all cameras, this one included.",
        MergedEvents,
        query=MergedQuery,
    ),
    Operation(
        "get",
        f"{PREFIX}/cameras/{{name}}/overview",
        "The state of another detector.",
        Overview,
        refusals=_OF_CAMERAS,
    ),
    Operation(
        "get",
        f"{PREFIX}/cameras/{{name}}/view.jpg",
        "Its newest frame.",
        _JPEG,
        refusals=_OF_CAMERAS,
    ),
    Operation(
        "get",
        f"{PREFIX}/cameras/{{name}}/media/{{path}}",
        "A clip or an image of one of its events.",
        "video/mp4",
        refusals=_OF_CAMERAS,
    ),
    Operation(
        "get",
        "/view.jpg",
        "The newest frame with its boxes.",
        _JPEG,
        refusals={503: "There is no frame yet."},
    ),
    Operation(
        "get",
        "/view.mjpeg",
        "The same as a stream without end.",
        "multipart/x-mixed-replace",
        refusals={503: "The live view has its most viewers."},
    ),
    Operation(
        "get",
        "/live.ts",
        "The video of a network camera as it sends it, without boxes, without end: MPEG-TS.",
        "video/mp2t",
        refusals={503: "There is none that may be shown, or it has its most viewers."},
    ),
    Operation(
        "get",
        "/media/{path}",
        "A clip or an image of an event, by the address that the event gives; with ranges.",
        "video/mp4",
        refusals={404: "There is none, or it was deleted."},
    ),
    Operation(
        "get",
        "/metrics",
        "Metrics for Prometheus.",
        "application/openmetrics-text",
        refusals={404: "This run has no metrics."},
    ),
    Operation(
        "get",
        "/healthz",
        "Whether frames go through the detector.",
        _TEXT,
        refusals={503: "None did lately."},
        public=True,
    ),
)
