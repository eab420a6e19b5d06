"""The base of all sections of the settings."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

import msgspec

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]
Secret = Annotated[str, msgspec.Meta(extra={"confidential": True})]
"""A text that is never shown, such as a token."""


Reload: TypeAlias = Literal["live", "sinks", "restart"]
"""When a change takes effect: at a reload, in the running pipeline (``live``); at a reload, by
recreating the sinks made from it (``sinks``); at the next start (``restart``)."""

Part: TypeAlias = Literal["detector", "stage", "gate", "privacy", "hours", "log"]
"""A part of the running pipeline: the detector, the event stage, the motion gate, the privacy
masks, the schedules, the log."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the settings file.

    Attributes:
        RELOAD: when a change takes effect; each section declares its own.
        PARTS: parts of the pipeline that are made from a live section.
    """

    RELOAD: ClassVar[Reload]
    PARTS: ClassVar[frozenset[Part]] = frozenset()
