"""The settings of the governor."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from pi_detector.config.section import Reload, Section


class GovernorSettings(Section, frozen=True):
    """Slower detection before the processor gets too hot, or results come too late.

    Of live sources only. What is lowered, in this order and as far as needed: the rate of
    inference, threads, the model.

    Attributes:
        enabled: hold the targets.
        temperature_celsius: highest temperature of the processor; the firmware slows it at 80 or
            85. 0 holds none.
        latency_ms: highest latency, from capture to the end of detection, of nine frames in ten;
            0 holds none.
        min_fps: the rate of inference is not lowered below this, in frames a second.
        model: a smaller model, with the same labels, as the last resort, such as `street-small`;
            empty for none.
    """

    RELOAD: ClassVar[Reload] = "live"

    enabled: bool = False
    temperature_celsius: Annotated[float, msgspec.Meta(ge=0, le=100)] = 75.0
    latency_ms: Annotated[float, msgspec.Meta(ge=0, le=60000)] = 0.0
    min_fps: Annotated[float, msgspec.Meta(ge=0.1, le=240)] = 1.0
    model: str = ""
