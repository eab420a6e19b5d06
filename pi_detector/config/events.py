"""The settings of tracking and events."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from pi_detector.config.section import Part, Reload, Seconds, Section, Share


class TrackingSettings(Section, frozen=True):
    """The tracker: gives an object the same number in every frame.

    Attributes:
        enabled: Track objects from frame to frame; events need it.
        low_score_share: Share of the lowest score down to which a detection still continues a known
            object; such detections are not published and start no new object.
        match_iou: Smallest overlap (IoU) of a detection with an object's predicted box; a detection
            that overlaps less is another object.
        lost_s: Seconds unseen before a moving object is gone.
        stationary_lost_s: Seconds unseen before a stationary object is gone.
        min_misses: Inferred frames without the object before it is gone, in addition to `lost_s` or
            `stationary_lost_s`.
        alike: Groups of labels that the model confuses; an object may change between the labels of
            a group.
    """

    RELOAD: ClassVar[Reload] = "live"
    PARTS: ClassVar[frozenset[Part]] = frozenset({"detector", "stage"})

    enabled: bool = True
    low_score_share: Annotated[float, msgspec.Meta(ge=0.5, le=1)] = 0.7
    match_iou: Share = 0.2
    lost_s: Seconds = 3.0
    stationary_lost_s: Seconds = 60.0
    min_misses: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 3
    alike: tuple[tuple[str, ...], ...] = (("car", "bus", "truck"), ("bicycle", "motorcycle"))


class EventSettings(Section, frozen=True):
    """Events: one for each object that came and went, published as `new`, `update` and `end`.

    Attributes:
        enabled: Publish events; needs `tracking.enabled`.
        min_hits: Detections of an object within the last `window` frames before its event begins.
        window: Number of recent frames in which `min_hits` are counted.
        min_duration_s: Shortest time from an object's first detection to the start of its event, in
            seconds.
        min_score: Lowest median score over an object's history; unset = 1.1 times the lowest score
            of a detection.
        zones: Zones in which an event can begin; empty = anywhere.
        update_interval_s: Shortest time between two updates of an event, in seconds.
        position_interval_s: Seconds between position updates of a moving object; 0 = update only
            when its zone, line, label or stationary state changes.
        stationary_after_s: Seconds without movement before an object is stationary; its event is
            then updated only on changes.
        cooldown_s: Seconds after an event in which no other event of the same label and zone
            begins.
        cooldowns_s: Cooldown per label, in seconds; overrides `cooldown_s`.
    """

    RELOAD: ClassVar[Reload] = "live"
    PARTS: ClassVar[frozenset[Part]] = frozenset({"stage"})

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
    """Limits that objects of a label must meet to become events. The table's name is the label.

    Attributes:
        min_area: Smallest box, as a share of the frame; the median over the object's history is
            compared.
        max_area: Largest box, as a share of the frame; the median is compared.
        min_aspect: Narrowest box, as width divided by height in pixels.
        max_aspect: Widest box, as width divided by height in pixels.
        min_score: Lowest median score; overrides `events.min_score`; unset = no override.
    """

    RELOAD: ClassVar[Reload] = "live"
    PARTS: ClassVar[frozenset[Part]] = frozenset({"stage"})

    min_area: Share = 0.0
    max_area: Share = 1.0
    min_aspect: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 0.0
    max_aspect: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 1000.0
    min_score: Share | None = None
