"""What all tables of the settings have in common."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

import msgspec

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]


Reload: TypeAlias = Literal["live", "sinks", "restart"]
"""When a change takes effect: at a reload, in the running machine; at a reload, by making the sinks
again that are made from it; at the next start."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the settings file.

    Attributes:
        RELOAD: each section of the tree says it itself.
    """

    RELOAD: ClassVar[Reload]
