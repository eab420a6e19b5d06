"""The settings of the governor."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from pi_detector.config.section import Part, Reload, Section


class GovernorSettings(Section, frozen=True):
    """The governor: slows detection down before the processor overheats or results come too late.

    Works on live sources only. It lowers, in this order and as far as needed, the looks per frame,
    the inference rate, the number of threads and the model.

    Attributes:
        enabled: Keep the processor's temperature and the latency below the targets of this section.
        temperature_celsius: Highest processor temperature, in degrees Celsius; the firmware
            throttles at 80 or 85. 0 = no limit.
        latency_ms: Highest latency from capture to the end of detection, in milliseconds, of 90 %
            of the frames; 0 = no limit.
        min_fps: Lowest inference rate that the governor may set, in frames per second.
        model: Smaller model with the same labels to switch to as the last resort, such as
            `street-small`; empty = none.
    """

    RELOAD: ClassVar[Reload] = "live"
    PARTS: ClassVar[frozenset[Part]] = frozenset({"detector"})

    enabled: bool = False
    temperature_celsius: Annotated[float, msgspec.Meta(ge=0, le=100)] = 75.0
    latency_ms: Annotated[float, msgspec.Meta(ge=0, le=60000)] = 0.0
    min_fps: Annotated[float, msgspec.Meta(ge=0.1, le=240)] = 1.0
    model: str = ""
