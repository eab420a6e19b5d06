"""The settings of frames that are collected for labelling."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from pi_detector.config.section import Reload, Section


class CollectSettings(Section, frozen=True):
    """Frames worth labelling, for a detector of your own: `pi-detector collect export`.

    Attributes:
        enabled: Collect frames.
        path: Folder of the frames; empty = `$STATE_DIRECTORY/collected` of a service, else
            `~/.local/share/pi-detector/collected`.
        below_score: Score below which a detection is doubtful, and its frame worth labelling.
        per_hour: Most frames collected per hour; no reason gets more than half of them.
        random_per_hour: Frames taken at random per hour, whatever they show; 0 = none.
        max_frames: Number of frames to keep; beyond it, the oldest of the hour that has most goes.
        max_mb: Total size of the frames, in MB; beyond it, frames go likewise.
    """

    RELOAD: ClassVar[Reload] = "sinks"

    enabled: bool = False
    path: str = ""
    below_score: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.55
    per_hour: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 8
    random_per_hour: Annotated[float, msgspec.Meta(ge=0, le=60)] = 1.0
    max_frames: Annotated[int, msgspec.Meta(ge=1, le=100000)] = 2000
    max_mb: Annotated[int, msgspec.Meta(ge=1, le=1000000)] = 500
